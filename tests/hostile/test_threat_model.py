"""A test for each sentence of `docs/inside/threat-model.md`: what a stranger's directory may do, which is nothing."""

import ast
import json
import os
import pickle
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

import isogloss as package
from fork_server import snapshot

SOURCES = sorted(Path(package.__file__).parent.rglob("*.py"))
PAGE = Path(__file__).resolve().parents[2] / "docs" / "inside" / "threat-model.md"
COMMANDS = {
    "report": ["report", "run"],
    "analyze": ["analyze", "run", "gap", "significance"],
    "predict": ["predict", "run", "in.txt"],
    "run": ["run", "spec.yaml", "--out", "run"],
}


@pytest.fixture
def stranger(home):
    """A run directory of somebody's, with texts to label, and beside it what it must not touch."""
    (home / "in.txt").write_text("the cat\n")
    (home / "outside").mkdir()
    for name in ("victim.parquet", "victim.svg", "victim.pdf", "scores.parquet", "report.html", "run.json", "note.txt"):
        (home / "outside" / name).write_text("kept")
    return home


def link_everything(home):
    """Each file and folder at the top of the run leads outside."""
    for name in ("report", "analysis", "report.html", ".lock", "checkpoints"):
        path = home / "run" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        path.symlink_to(home / "outside" / ("report.html" if name == "report.html" else ""))


def link(name):
    """The same of one alone, which no other one's refusal comes before."""

    def attack(home):
        path = home / "run" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        path.symlink_to(home / "outside" / ("report.html" if name == "report.html" else ""))

    return attack


LINKED = {f"link to {name}": link(name) for name in ("report", "analysis", "report.html", "checkpoints", ".leases")}


def made_of_others(home):
    folder = home / "run" / "analysis"
    folder.mkdir(exist_ok=True)
    title = os.path.relpath(home / "outside" / "victim", folder)
    made = {
        name: ["gap", "0"] for name in (title, str(home / "outside" / "victim"), "..", "", "a/../../outside/victim")
    }
    (folder / "made.json").write_text(json.dumps(made))


def weights_elsewhere(home):
    shutil.move(home / "run" / "weights", home / "outside" / "weights")
    (home / "run" / "weights").symlink_to(home / "outside" / "weights")


def tables_elsewhere(home):
    for name in ("scores", "predictions", "history"):
        shutil.move(home / "run" / f"{name}.parquet", home / "outside" / f"{name}-of-it.parquet")
        (home / "run" / f"{name}.parquet").symlink_to(home / "outside" / f"{name}-of-it.parquet")


def record_of_others(home):
    """A cell's record names paths where names should be."""
    for file in (home / "run" / "weights").glob("*/*/run.json"):
        record = json.loads(file.read_text())
        file.write_text(json.dumps({**record, "method": "../../../outside/victim", "name": "../../../outside/victim"}))


ATTACKS = {
    attack.__name__: attack
    for attack in (link_everything, made_of_others, weights_elsewhere, tables_elsewhere, record_of_others)
} | LINKED


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_strangers_directory_changes_nothing_outside_it(isogloss, stranger, command, attack):
    ATTACKS[attack](stranger)
    before = {name: held for name, held in snapshot(stranger).items() if not name.startswith("run/")}
    isogloss(*COMMANDS[command], cwd=stranger).well()
    after = {name: held for name, held in snapshot(stranger).items() if not name.startswith("run/")}
    assert after == before


class Bomb:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def replaced(home, key, value):
    text = (home / "run" / "spec.yaml").read_text()
    changed = re.sub(rf"(?m)^{key}:.*(\n  .*)*", f"{key}: {value}", text)
    (home / "run" / "spec.yaml").write_text(changed)


def model_of_pickles(home):
    folder = home / "pickled"
    folder.mkdir()
    name = re.search(r"(?m)^backbone: (.*)$", (home / "run" / "spec.yaml").read_text())[1]
    for file in Path(name).iterdir():
        if file.suffix != ".safetensors":
            shutil.copy(file, folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    replaced(home, "backbone", folder)


def asking_for_pickles(home):
    model_of_pickles(home)
    with (home / "run" / "spec.yaml").open("a") as stream:
        stream.write("weights: pickle\n")


def code_of_a_model(home):
    model_of_pickles(home)
    config = home / "pickled" / "config.json"
    held = json.loads(config.read_text())
    auto = dict.fromkeys(("AutoConfig", "AutoModel", "AutoTokenizer", "AutoModelForMaskedLM"), "evil.Evil")
    config.write_text(json.dumps({**held, "model_type": "evil", "auto_map": auto}))
    (home / "pickled" / "evil.py").write_text("open('pwned', 'w')\n")
    (home / "evil.py").write_text("open('pwned', 'w')\n")


def generator_of_theirs(home):
    (home / "evil.py").write_text("open('pwned', 'w')\ndef examples(*_): ...\n")
    replaced(home, "task", "custom")
    card = "{name: custom, title: t, citation: c, licence: l, kind: classification, source: en, languages: {en: en, de: de},"  # noqa: E501
    replaced(
        home,
        "data",
        f"{{card: {card} labels: [a, b], metrics: [accuracy], columns: {{text: text, label: label}},"
        " generator: evil}}",
    )


def spec_of_tags(home):
    with (home / "run" / "spec.yaml").open("a") as stream:
        stream.write("dynamics: !!python/object/apply:os.system ['touch pwned']\n")


def pickles_for_tables(home):
    for file in [
        *(home / "run").rglob("*.parquet"),
        *(home / "run").rglob("*.safetensors"),
        *(home / "run").rglob("*.json"),
    ]:
        file.write_bytes(pickle.dumps(Bomb()))


CODE = {
    attack.__name__: attack
    for attack in (
        model_of_pickles,
        asking_for_pickles,
        code_of_a_model,
        generator_of_theirs,
        spec_of_tags,
        pickles_for_tables,
    )
}


@pytest.mark.parametrize("attack", CODE)
@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "run"])
def test_a_strangers_directory_runs_nothing(isogloss, stranger, command, attack):
    CODE[attack](stranger)
    names = {**COMMANDS, "analyze": ["analyze", "run", "representation", "tokenization"]}[command]
    isogloss(*names, cwd=stranger, stdin=b"y\ny\n").well()
    assert not list(stranger.rglob("pwned"))


@pytest.mark.parametrize("key", ["generator: evil", "generator: os", "generator: evil.sub"])
def test_a_card_of_a_users_names_no_module(isogloss, tmp_path, key):
    (tmp_path / "evil.py").write_text("open('pwned', 'w')\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "card.yaml").write_text(
        "name: x\ntitle: t\ncitation: c\nlicence: l\nkind: classification\nsource: en\nlanguages: en de\n"
        "labels: [a, b]\n"
        f"metrics: [accuracy]\ncolumns: {{text: text, label: label}}\n{key}\n"
    )
    isogloss("data", "custom", "--path", "data", cwd=tmp_path).well(code=2)
    assert not (tmp_path / "pwned").exists()


def test_a_path_in_a_stored_spec_is_used_only_if_what_lies_there_fits(isogloss, whole_home):
    weights = whole_home / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\x3f")
    (whole_home / "in.txt").write_text("the cat\n")
    isogloss("predict", "run", "in.txt", cwd=whole_home).well(code=2)


@pytest.mark.parametrize("head", [True, False])
def test_a_report_shows_no_text_of_other_data_than_the_runs_own(isogloss, whole_home, head):
    for file in (whole_home / "data").rglob("*.tsv"):
        lines = file.read_text().splitlines(keepends=True)
        kept = 0 if head else 1  # a table still, of other texts, or something that cannot be read
        changed = "".join(lines[kept:]).replace("the ", "a secret ").replace("cat", "secret")
        file.write_text("".join(lines[:kept]) + changed)
    isogloss("report", "run", cwd=whole_home).well(code=0)
    for file in (whole_home / "run").rglob("*"):
        if file.suffix in {".html", ".csv", ".tex", ".svg"}:
            assert "secret" not in file.read_text(encoding="utf-8")
        if file.suffix == ".parquet" and file.parent.name == "analysis":
            assert "secret" not in str(pl.read_parquet(file).to_dicts())


def test_a_report_reads_no_training_data(isogloss, whole_home):
    for split in ("train", "dev"):
        for file in (whole_home / "data").rglob(f"{split}.tsv"):
            file.unlink()
    isogloss("report", "run", cwd=whole_home).well(code=0)
    notes = pl.read_parquet(whole_home / "run" / "analysis" / "errors-notes.parquet")
    assert notes.is_empty()


@pytest.mark.parametrize("name", ["x[1]", "x*", "x?", "[a-z]1", "{x,y}", "x[!2]"])
def test_no_path_is_a_pattern(isogloss, home, name):
    shutil.copytree(home / "run", home / "x1")
    isogloss("report", name, cwd=home).well(name, code=2)
    shutil.copytree(home / "run", home / name)
    before = snapshot(home / "x1")
    isogloss("report", name, cwd=home).well(code=0)
    isogloss("predict", name, cwd=home, stdin=b"the cat\n").well(code=0)
    assert snapshot(home / "x1") == before
    assert (home / name / "report.html").is_file()


def test_a_home_is_written_to_where_it_is_named_and_nowhere_else(isogloss, home):
    own = home / "own"
    own.mkdir()
    for out, folder in {"./~": home / "~", "~/runs/x": own / "runs" / "x"}.items():
        isogloss("run", "spec.yaml", "--out", out, cwd=home, HOME=str(own)).well(code=0)
        isogloss("predict", out, cwd=home, HOME=str(own), stdin=b"the cat\n").well(code=0)
        assert (folder / "scores.parquet").is_file()
        assert list(own.iterdir()) == [own / "runs"] if out == "~/runs/x" else not list(own.iterdir())


def test_the_page_asks_nothing_of_a_network(isogloss, home):
    isogloss("report", "run", cwd=home).well(code=0)
    page = (home / "run" / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=[\"']?https?:", page)


def calls(tree):
    """Dotted names of what is called, and the call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


ALLOWED = {  # the table of the page
    "torch.load": {"pickled.py"},
    "np.load": {"uriel.py", "feature_cache.py"},
    "subprocess.run": {"environment.py"},
    "importlib.import_module": {"registry.py", "dataset.py"},
    "import_module": {"__init__.py", "uriel.py"},
}
FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "pickle.load",
    "pickle.loads",
    "os.system",
    "os.popen",
    "glob.glob",
    "marshal.loads",
    "joblib.load",
    "torch.hub.load",
    "cloudpickle.loads",
    "shelve.open",
    "runpy.run_path",
}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_code_comes_in_only_where_the_page_says(source):
    for name, call in calls(ast.parse(source.read_text(encoding="utf-8"))):
        where = f"{source}:{call.lineno}"
        assert name not in FORBIDDEN, where
        if name in ALLOWED:
            assert source.name in ALLOWED[name], where
        options = {option.arg: ast.unparse(option.value) for option in call.keywords}
        if name == "torch.load":
            assert options["weights_only"] == "True", where
        if name == "np.load":
            assert options["allow_pickle"] == "False", where
        if name.endswith(("AutoConfig.from_pretrained", "AutoTokenizer.from_pretrained", "AutoModel.from_pretrained")):
            assert options.get("trust_remote_code") == "False" or "**" in ast.unparse(call), where
        if name.endswith((".glob", ".rglob")):  # never a pattern of a user's
            assert all(isinstance(part, ast.Constant) for part in call.args), where


def test_every_promise_of_the_page_is_tried():
    promises = re.findall(r"\*\*(.+?)\*\*", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(promises) == 13
