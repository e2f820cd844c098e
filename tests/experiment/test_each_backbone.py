"""Several backbones in one spec: each is a run as alone, and together they are a comparison."""

import json
import shutil

import polars as pl
import pytest
from safetensors.torch import load_file, save_file

import isogloss
from isogloss import api
from isogloss.analysis import run as analyses
from isogloss.cli import commands as cli
from isogloss.errors import IsoglossError
from isogloss.executors.serial import Serial
from isogloss.experiment.each_backbone import run_each
from isogloss.experiment.job import Detached
from isogloss.interop.serve.models import load as served
from isogloss.reports import report
from isogloss.runtime.console import err
from isogloss.spec import Spec
from isogloss.store import Store
from models import checkpoint, sib200

METHODS = {"linear-probe": {"epochs": 2}, "deep": {"method": "deep-prompt", "epochs": 1, "length": [2, 4]}}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "small")
    checkpoint(folder / "other", "bert")
    sib200(folder / "data")
    return folder


def spec_of(home, *names, **changes):
    given = {
        "name": "two", "task": "sib200", "data": {"path": home / "data"}, "methods": METHODS, "seeds": [0, 1],
        "dtype": "float32", "device": "cpu", "backbone": [str(home / name) for name in names],
    }  # fmt: skip
    return Spec.model_validate({**given, **changes})


@pytest.fixture(scope="module")
def results(home):
    return isogloss.run(spec_of(home, "small", "other"), home / "run")


@pytest.fixture
def command(monkeypatch, capsys):
    def call(*words, code=0):
        monkeypatch.setattr("sys.argv", ["isogloss", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert (stop.value.code or 0) == code
        return capsys.readouterr()

    return call


@pytest.fixture
def drawn(monkeypatch):
    """What a page would say is missing, in place of pages whose figures take seconds to draw."""
    pages = []

    def page(_groups, _title, _command, missing):
        pages.append([line for line in missing if "finished" in line])
        return ""

    monkeypatch.setattr(report, "page", page)
    monkeypatch.setattr(report, "write_figures", lambda *_: None)
    monkeypatch.setattr(analyses, "charts_of", lambda *_: {})
    return pages


def numbers(folder):
    """All that a run directory holds that is no remark on when and where it was made."""
    stored = Store(folder)
    return (
        {
            cell.key: {name: tensor.numpy().tobytes() for name, tensor in cell.weights().items()}
            for cell in stored.finished()
        },
        [cell.record.model_dump(exclude={"environment", "tables_sha256"}) for cell in stored.finished()],
        [stored.table(name).write_json() for name in ("scores", "predictions", "history")],
        (folder / "spec.yaml").read_text(),
    )  # fmt: skip


def test_each_backbone_is_to_the_bit_as_it_is_alone_and_one_in_a_list_is_alone(results, home):
    assert numbers(home / "run" / "other")[0]
    alone = isogloss.run(spec_of(home, "other"), home / "alone")
    assert numbers(home / "run" / "other") == numbers(alone.path)
    assert spec_of(home, "other") == spec_of(home, backbone=str(home / "other"))
    beside = {"comparison.json", "spec.yaml", ".lock"}
    assert {entry.name for entry in results.path.iterdir()} == {"small", "other", *beside}


def test_results_hold_all_of_them_by_their_backbone(results, home, tmp_path):
    names = [str(home / "small"), str(home / "other")]
    again = isogloss.open_run(results.path)
    for table in (results.scores, again.scores, again.predictions, again.history):
        assert table["backbone"].unique(maintain_order=True).to_list() == names
    assert results.spec.backbone == names
    shown = str(again.table())
    assert all(part in shown for part in (*names, "2 backbones", "mean of 2 targets", "deep[length=4]"))
    page = again.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "small: linear-probe" in page
    assert "other: deep[length=2]" in page
    assert set(again.analyze("gap")) == {"small/gap", "other/gap"}
    assert (results.path / "other" / "analysis" / "gap-intervals.parquet").is_file()
    assert "2 of 2 backbones are finished" in str(isogloss.status(results.path))


def test_two_revisions_of_a_model_are_two_backbones(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(results.path / "small", tmp_path / "run" / "org--model@a")
    about = {"tool": "isogloss", "format": 1, "backbones": ["org/model@a", "org/model@b"]}
    (tmp_path / "run" / "comparison.json").write_text(json.dumps(about))
    scores = tmp_path / "run" / "org--model@a" / "scores.parquet"
    table = pl.read_parquet(scores).with_columns(backbone=pl.lit("org/model"))
    table.write_parquet(scores)
    assert set(isogloss.open_run("run").scores["backbone"]) == {"org/model@a"}


def test_the_best_on_source_dev_labels_unless_a_backbone_is_named(results, home):
    dev = results.scores.filter(split="dev").sort("value", descending=True, maintain_order=True)
    best = dev["backbone"][0]
    with err.capture() as told:
        assert isogloss.load(results.path).stack.backbone.identity.name == best
    assert f"{best}: the best of 2 backbones, by accuracy on English" in told.get()
    for name in ("other", str(home / "other")):
        model = isogloss.load(results.path, "linear-probe", backbone=name)
        assert model.stack.backbone.identity.name == str(home / "other")
    assert set(served({"two": results.path}).by_name) == {"two"}
    every = served({"two": results.path}, every=True, seed=1)
    assert {"two/other/linear-probe/1", "two/small/deep[length=4]/1"} <= set(every.by_name)
    assert len(every.by_name) == 6
    for given, message in (
        ({"backbone": "otter"}, "unknown backbone of this comparison 'otter'; did you mean 'other'"),
        ({"method": "deep"}, "unknown method of this comparison 'deep'"),
        ({"seed": 9}, "has no seed 9"),
    ):
        with pytest.raises(IsoglossError, match=message):
            isogloss.load(results.path, **given)
    with pytest.raises(IsoglossError, match="no comparison of backbones; leave backbone out"):
        isogloss.export(results.path / "other", home / "none", to="peft", backbone="other")


def test_backbones_may_be_added_and_what_is_there_is_never_mistaken(results, home, tmp_path, command):
    shutil.copytree(results.path, tmp_path / "run")
    checkpoint(home / "third", positions=30)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("run.json")}
    one = {"methods": {"linear-probe": {"epochs": 2}}, "seeds": [0]}
    more = isogloss.run(spec_of(home, "third", "other", **one), tmp_path / "run")
    assert [*more.store.stores] == [str(home / name) for name in ("small", "other", "third")]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    with pytest.raises(IsoglossError, match="compares backbones, and is no run directory of one; those are"):
        isogloss.run(spec_of(home, "other"), tmp_path / "run")
    with pytest.raises(IsoglossError, match="is the run directory of one backbone, and the spec compares 2"):
        isogloss.run(spec_of(home, "third", "other"), tmp_path / "run" / "other")
    with pytest.raises(IsoglossError, match="holds files that isogloss did not write"):
        isogloss.run(spec_of(home, "third", "other"), home / "data")
    with pytest.raises(IsoglossError, match="in the folder that"):
        isogloss.run(spec_of(home, backbone=["elsewhere/x", str(tmp_path / "THIRD")]), tmp_path / "run")
    with pytest.raises(IsoglossError, match=r"backbone .*third: .*made differently \(settings.epochs: 2 → 3"):
        isogloss.run(spec_of(home, "third", "other", methods={"linear-probe": {"epochs": 3}}), tmp_path / "run")
    (tmp_path / "run" / "comparison.json").unlink()  # whatever was lost, what is finished stays
    assert isogloss.run(spec_of(home, "small", "other"), tmp_path / "run").store.finished()
    (tmp_path / "run" / "comparison.json").write_text('{"tool": "isogloss", "backbones": ["a", "a"]}')
    assert "is not what isogloss writes there; delete it" in command("status", tmp_path / "run", code=2).err


def test_what_does_not_go_with_one_backbone_is_said_before_anything_is_trained(home, tmp_path):
    checkpoint(tmp_path / "short", positions=8)
    two = spec_of(home, backbone=[str(home / "small"), str(tmp_path / "short")], methods={"deep-prompt": {"length": 9}})
    with pytest.raises(IsoglossError, match="backbone .*short: deep-prompt leaves room for 0 tokens"):
        isogloss.run(two, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_that_fails_leaves_the_others_finished(home, tmp_path, capsys, drawn):
    broken = checkpoint(tmp_path / "broken") / "model.safetensors"
    whole = load_file(broken)
    save_file({name: tensor * float("nan") for name, tensor in whole.items()}, broken, metadata={"format": "pt"})
    two = spec_of(home, backbone=[str(tmp_path / "broken"), str(home / "small")], seeds=[0])
    with pytest.raises(
        IsoglossError, match=r"broken: .*NaN or infinite.*1 of 2 backbones failed; the others are stored"
    ):
        isogloss.run(two, tmp_path / "run")
    assert "broken failed: " in capsys.readouterr().err
    found = isogloss.open_run(tmp_path / "run")
    assert found.scores["backbone"].unique().to_list() == [str(home / "small")]
    assert "nothing is trained yet" in str(api.status(tmp_path / "run"))
    assert "1 of 2 backbones are finished" in str(api.status(tmp_path / "run"))
    found.report()
    assert drawn[-1] == [f"{tmp_path / 'broken'}: nothing of it is finished"]
    save_file(whole, broken, metadata={"format": "pt"})
    assert isogloss.run(two, tmp_path / "run").scores["backbone"].n_unique() == 2


def test_the_command_line_knows_a_comparison(results, command, tmp_path, drawn):
    file = tmp_path / "two.yaml"
    file.write_text((results.path / "spec.yaml").read_text())  # as it was written, to be run again
    assert "0 runs still to train" in command("run", file, "--out", results.path, "--dry-run").out
    assert "2 backbones" in command("run", file, "--out", results.path).out
    (tmp_path / "texts").write_text("the cat\n")
    told = command("predict", results.path, tmp_path / "texts", "--backbone", "other", "--method", "linear-probe")
    assert json.loads(told.out)["text"] == "the cat"
    assert str(results.path / "small" / "analysis") in command("analyze", results.path, "gap", "--quiet").out
    assert command("report", results.path).out.endswith("report.html\n")
    assert (results.path / "report" / "methods.csv").is_file()
    assert drawn == [[]]  # nothing is missing
    where = tmp_path / "out"
    assert "as " in command("export", results.path, where, "--to", "transformers", "--method", "linear-probe").out
    assert "those are" in command("export", results.path, tmp_path / "scores", "--to", "mteb", code=2).err


def test_nothing_is_written_through_a_link_out_of_a_comparison(results, tmp_path):
    """Somebody may have sent it."""
    shutil.copytree(results.path / "small", tmp_path / "mine" / "small")
    shutil.copytree(results.path / "other", tmp_path / "run" / "other")
    shutil.copy(results.path / "comparison.json", tmp_path / "run")
    (tmp_path / "run" / "small").symlink_to(tmp_path / "mine" / "small")
    before = {entry.name for entry in (tmp_path / "mine" / "small").rglob("*")}
    for write in (isogloss.report, isogloss.analyze, lambda run: isogloss.run(results.spec, run)):
        with pytest.raises(IsoglossError, match="is a link that leads out of the run directory"):
            write(tmp_path / "run")
    assert {entry.name for entry in (tmp_path / "mine" / "small").rglob("*")} == before
    assert isogloss.open_run(tmp_path / "run").scores["backbone"].n_unique() == 2  # to read it harms nobody


class Leaving(Serial):
    """An executor whose jobs go on elsewhere."""

    detach = True

    def carry_out(self, jobs, workspace):
        yield from ()
        raise Detached(f"{next(iter(jobs)).title} is submitted")


def test_jobs_of_each_backbone_are_submitted_before_a_command_leaves(home, tmp_path, capsys):
    made = run_each(spec_of(home, "small", "other"), tmp_path / "run", Leaving())
    assert capsys.readouterr().err.count("is submitted") == 2
    assert all(Store(run).spec() is not None for run in made.runs.values())
    assert "0 of 2 backbones are finished" in str(api.status(tmp_path / "run"))
    with pytest.raises(IsoglossError, match="holds no finished run"):
        isogloss.open_run(tmp_path / "run")
