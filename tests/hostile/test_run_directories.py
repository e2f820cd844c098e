"""Run directories that were cut off, copied, changed by hand or sent by somebody: read, mended, or named in a line."""

import json
import os
import shutil
from random import Random

import polars as pl
import pytest

from fork_server import snapshot

CELL = "weights/linear-probe/0"
COMMANDS = {
    "report": ["report", "run", "--out", "page.html"],
    "analyze": ["analyze", "run", "gap", "--quiet"],
    "predict": ["predict", "run"],
    "run": ["run", "spec.yaml", "--out", "run"],
}
TOP = ["spec.yaml", "environment.json", "scores.parquet", "predictions.parquet", "history.parquet"]
OF_CELL = [f"{CELL}/{name}" for name in
           ("run.json", "weights.safetensors", "scores.parquet", "predictions.parquet", "history.parquet",
            "confidence.parquet")]  # fmt: skip
FILES = [*TOP, *OF_CELL, "analysis/made.json"]


def missing(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


def cut_off(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def short_by_one(path):
    path.write_bytes(path.read_bytes()[:-1])


def noise(path):
    path.write_bytes(Random(str(path.name)).randbytes(500))  # noqa: S311


def zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_full_folder(path):
    a_folder(path)
    (path / "x").touch()


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def a_circle(path):
    path.unlink()
    path.symlink_to(path)


def a_device(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def another_file(path):
    path.write_text("<html>not found</html>\n")


def nested(path):
    path.write_text("[" * 100_000)


WHOLE_FILE = [
    missing, empty, cut_off, short_by_one, noise, zeros, a_folder, a_full_folder, a_pipe, a_circle, a_device,
    another_file, nested,
]  # fmt: skip


def flipped(number):
    def damage(path):
        content, draw = bytearray(path.read_bytes()), Random(number)  # noqa: S311
        for _ in range(1 + number % 3):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)

    return damage


def key(name, value):
    """A record with something else at a key, such as `facts.settings`."""

    def damage(path):
        record = json.loads(path.read_text())
        *outer, last = name.split(".")
        inside = record
        for part in outer:
            inside = inside[part]
        if value is missing:
            del inside[last]
        else:
            inside[last] = value
        path.write_text(json.dumps(record))

    return damage


def table(change):
    def damage(path):
        change(pl.read_parquet(path, glob=False)).write_parquet(path)

    return damage


TABLES = {
    "no rows": table(lambda rows: rows.clear()),
    "no columns": table(lambda _: pl.DataFrame()),
    "other columns": table(lambda rows: rows.rename({"method": "way"})),
    "a column less": table(lambda rows: rows.drop("seed")),
    "other types": table(lambda rows: rows.with_columns(pl.col("seed").cast(pl.String))),
    "lists": table(lambda rows: rows.with_columns(pl.concat_list("method"))),
    "empty values": table(lambda rows: rows.with_columns(pl.lit(None, pl.String).alias("method"))),
    "of another cell": table(lambda rows: rows.with_columns(pl.lit("other").alias("method"))),
    "of another language": table(lambda rows: rows.with_columns(pl.lit("yor-Latn").alias("language"))),
    "rows twice": table(lambda rows: pl.concat([rows, rows])),
    "one row": table(lambda rows: rows.head(1)),
}
KEYS = [
    "method", "name", "variant", "seed", "facts", "test_data", "kind", "inputs", "labels", "trainable_parameters",
    "backbone_parameters", "selected_epoch", "updates", "truncated", "environment", "facts.method", "facts.settings",
    "facts.backbone", "facts.backbone.weights", "facts.backbone.dtype", "facts.metrics", "facts.labels", "facts.source",
    "facts.settings.head", "facts.settings.lr", "facts.subword", "facts.longest", "facts.kind", "temperature",
]  # fmt: skip
VALUES = {"missing": missing, "null": None, "a number": -7, "a text": "nope", "a list": [1], "an object": {"x": 1}}


def _copied(run):
    shutil.copytree(run / CELL, run / "weights/linear-probe/7")


def _renamed(run):
    (run / "weights/linear-probe").rename(run / "weights/other")


def _copied_method(run):
    shutil.copytree(run / "weights/linear-probe", run / "weights/linear-probe (1)")


def _file_in_place_of(name):
    def damage(run):
        path = run / name
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")

    return damage


def _folder_in_place_of(name):
    def damage(run):
        (run / name).unlink(missing_ok=True)
        (run / name / "inside").mkdir(parents=True)

    return damage


def _emptied(name):
    def damage(run):
        shutil.rmtree(run / name)
        (run / name).mkdir()

    return damage


def _gone(name):
    return lambda run: shutil.rmtree(run / name)


def _old_temporary(run):
    (run / ".scores.parquet-abcdefgh").write_text("x")
    (run / CELL).with_name(".0-abcdefgh").mkdir()


def _gathered_never(run):
    for name in ("scores", "predictions", "history"):
        (run / f"{name}.parquet").unlink()


def _leases_of_nobody(run):
    (run / ".leases").mkdir()
    (run / ".leases" / "a.lease").write_text("filelock/2\npid=999999\nhost=elsewhere\nmode=lease\n")
    (run / ".leases" / "b.json").write_text("[]")
    (run / ".leases" / "c.cells").write_text("{")
    (run / ".leases" / "d").mkdir()


FOLDERS = {
    "a cell copied": _copied, "a method renamed": _renamed, "a method copied": _copied_method,
    "no weights": _gone("weights"), "no cell": _gone(CELL), "an empty cell": _emptied(CELL),
    "empty weights": _emptied("weights"), "an empty method": _emptied("weights/linear-probe"),
    "half-written files": _old_temporary, "never gathered": _gathered_never, "leases of nobody": _leases_of_nobody,
    **{f"a file for {name}": _file_in_place_of(name) for name in
       ("weights", "weights/linear-probe", CELL, "analysis", "checkpoints", "checkpoints/linear-probe", ".leases")},
    **{f"a folder for {name}": _folder_in_place_of(name) for name in
       (".lock", "spec.yaml.bak", "weights/notes", "analysis/gap.parquet", "weights/linear-probe/notes")},
}  # fmt: skip


def damages():
    """Each by a name: what is done to a finished run directory."""
    every = {}
    for name in FILES:
        every |= {f"{name}: {damage.__name__}": (name, damage) for damage in WHOLE_FILE}
        every |= {f"{name}: flipped {number}": (name, flipped(number)) for number in range(3)}
    for name in FILES:
        if name.endswith(".parquet"):
            every |= {f"{name}: {what}": (name, damage) for what, damage in TABLES.items()}
    every |= {
        f"run.json: {at}: {what}": (f"{CELL}/run.json", key(at, value)) for at in KEYS for what, value in VALUES.items()
    }
    every |= {what: (".", damage) for what, damage in FOLDERS.items()}
    return every


DAMAGES = damages()


def tried():
    """Every damage with a command, those of whole files and folders with two; few with a report, which is slow."""
    cheap = ["run", "predict", "analyze"]
    chosen = []
    for number, name in enumerate(DAMAGES):
        commands = [cheap[number % 3]]
        if not name.startswith("run.json: "):
            commands.append("report" if number % 5 == 0 else cheap[(number + 1) % 3])
        chosen += [(name, command) for command in commands]
    return chosen


@pytest.fixture(scope="module")
def analysed(isogloss, _made, tmp_path_factory):
    """A finished run directory with an analysis in it."""
    folder = tmp_path_factory.mktemp("analysed")
    shutil.copytree(_made / "run", folder / "run")
    isogloss("analyze", "run", "gap", "--quiet", cwd=folder).well(code=0)
    return folder / "run"


@pytest.mark.parametrize(("name", "command"), tried())
def test_a_damaged_run_directory_is_mended_or_named(isogloss, home, analysed, name, command):
    run = home / "run"
    shutil.rmtree(run)
    shutil.copytree(analysed, run)
    place, damage = DAMAGES[name]
    damage(run / place)
    readable = damage not in {a_circle, a_pipe, a_device} and (run / "weights").is_dir()
    before = snapshot(run / "weights") if readable else None
    answer = isogloss(*COMMANDS[command], cwd=home, stdin=b"the cat sat\n")
    answer.well()
    if before is not None and (answer.code == 2 or command != "run"):
        assert snapshot(run / "weights") == before


def test_there_are_enough():
    assert len(tried()) >= 400


def test_what_is_made_by_analyses_is_nothing_elsewhere(isogloss, home, analysed):
    """A list that somebody sent names files to be replaced: plain names in that folder alone."""
    run = home / "run"
    shutil.rmtree(run)
    shutil.copytree(analysed, run)
    victims = [home / "victim.parquet", home / "victim.svg", run / "victim.pdf", run / "weights" / "victim.png"]
    for victim in victims:
        victim.write_text("of others")
    made = json.loads((run / "analysis/made.json").read_text())
    titles = ["../../victim", str(home / "victim"), "../victim", "../weights/victim", "..", "", "x/../../victim", "\0"]
    made |= {title: ["gap", "x"] for title in titles}
    made |= {"a": 1, "b": ["gap"], "c": [["gap"], "x"], "victim": ["nope", "x"]}
    (run / "analysis/made.json").write_text(json.dumps(made))
    for command in (["analyze", "run", "gap", "--quiet"], ["report", "run"]):
        isogloss(*command, cwd=home).well(code=0)
        assert all(victim.read_text() == "of others" for victim in victims)


LINKS = [
    "analysis", "weights", "report", "checkpoints", ".leases", ".lock", "report.html", "scores.parquet", "spec.yaml",
    "analysis/gap.parquet", "analysis/made.json", CELL, f"{CELL}/run.json", "weights/linear-probe",
]  # fmt: skip


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("command", ["report", "analyze", "run"])
def test_nothing_is_written_through_a_link_that_leads_outside(isogloss, home, analysed, name, command):
    run, outside = home / "run", home / "outside"
    shutil.rmtree(run)
    shutil.copytree(analysed, run)
    path = run / name
    if path.exists():
        path.rename(outside)
    elif name in {".lock", "report.html"}:
        outside.touch()
    else:
        outside.mkdir()
    path.symlink_to(outside)
    before = snapshot(home)
    arguments = ["report", "run"] if command == "report" else COMMANDS[command]
    answer = isogloss(*arguments, cwd=home)
    assert "leads out of the run directory" in answer.well(f"run/{name}", code=2)
    assert snapshot(home) == before
    if path.name not in {".lock", ".leases", "checkpoints", "report", "report.html"}:
        isogloss("predict", "run", cwd=home, stdin=b"the cat\n").well(code=0)  # which writes nothing


def test_a_report_replaces_files_alone(isogloss, home):
    os.mkfifo(home / "pipe")
    (home / "device").symlink_to("/dev/full")
    for out in ("pipe", "device", "/dev/null", "run", "spec.yaml/page.html"):
        isogloss("report", "run", "--out", out, cwd=home).well(out, code=2)
    assert (home / "device").is_symlink()
    assert not (home / "pipe").is_file()
