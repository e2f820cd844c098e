"""A cell that left its run directory labels as it did there, and has taken nothing of the machine along."""

import json
import shutil

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import isogloss
from isogloss.errors import IsoglossError
from isogloss.interop.exported_run import exported_run
from isogloss.interop.model_card import model_card
from isogloss.interop.results.registry import results_formats
from isogloss.run_directory.record import write_record
from isogloss.runtime import yaml
from isogloss.store import Store
from models import checkpoint, sib200
from one_cell import one_cell

TEXTS = ["the cat sat", "a dog ran on", "the red sun", "one big blue log"]
METHODS = {
    "linear-probe": {"epochs": 1}, "deep": {"method": "deep-prompt", "epochs": 1, "length": [2, 4]},
    "fine-tuning": {"epochs": 1, "backbone_dropout": [0.1]},
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    sib200(folder / "data")
    spec = {
        "name": "small", "backbone": str(checkpoint(folder / "my model")), "task": "sib200", "source": "en",
        "targets": ["de"], "data": {"path": str(folder / "data")}, "methods": METHODS, "device": "cpu",
        "dtype": "float32",
    }  # fmt: skip
    isogloss.run(spec, folder / "run")
    return folder


@pytest.fixture(params=["linear-probe", "deep[length=4]", "fine-tuning[backbone_dropout=0.1]"])
def exported(request, made, tmp_path):
    store = Store(made / "run")
    cell = store.has(request.param, 0)
    exported_run(store, cell, tmp_path / "out" / "isogloss")
    return cell, tmp_path / "out" / "isogloss"


def test_it_predicts_the_same(exported, made):
    cell, folder = exported
    there = isogloss.load(made / "run", cell.record.method, 0).predict(TEXTS, "de")
    assert isogloss.load(folder, backbone=made / "my model").predict(TEXTS, "de") == there
    assert isogloss.load(folder.parent, cell.record.method, 0, backbone=made / "my model").predict(TEXTS, "de") == there
    shutil.copytree(made / "my model", folder.parent / "backbone")  # as beside an adapter
    assert isogloss.load(folder.parent).predict(TEXTS, "de") == there


def test_it_is_a_run_directory_with_its_scores(exported):
    cell, folder = exported
    store = Store(folder)
    (again,) = store.finished()
    assert (again.key, store.labels()) == (cell.key, [cell.record.method])
    assert again.record.test_data == cell.record.test_data
    assert store.known_spec().targets == ["deu-Latn"]
    columns = [name for name in store.table("scores").columns if name != "backbone"]
    assert_frame_equal(store.table("scores").select(columns), cell.table("scores").select(columns))
    assert isogloss.open_run(folder).scores["backbone"].unique().to_list() == ["my model"]
    from isogloss.experiment.cells import cells

    assert [one.key for one in cells(store.known_spec())] == [cell.key]


def test_nothing_of_the_machine_and_no_answer_is_in_it(exported, made):
    _, folder = exported
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert [name.rsplit("/", 1)[-1] for name in files] == [
        "environment.json", "spec.yaml", "run.json", "scores.parquet", "weights.safetensors",
    ]  # fmt: skip
    for path in folder.rglob("*"):
        if path.is_file():
            assert str(made).encode() not in path.read_bytes(), path
    for file in (folder / "environment.json", next(folder.rglob("run.json"))):
        text = file.read_text()
        assert not {"command", "cpu", "platform", "git"} & set(json.loads(text).get("environment", json.loads(text)))


def test_what_it_lacks_is_said_in_a_line(exported):
    _, folder = exported
    with pytest.raises(IsoglossError, match="lay in a folder called 'my model'; give a folder or a hub id"):
        isogloss.load(folder)
    asked = [lambda: isogloss.report(folder), lambda: isogloss.analyze(folder, "gap")]
    opened = isogloss.open_run(folder)
    for ask in (*asked, lambda: opened.predictions, lambda: str(opened.table())):
        with pytest.raises(IsoglossError, match="exported without its predictions") as told:
            ask()
        assert "\n" not in str(told.value)
    with pytest.raises(IsoglossError, match="exported without its history"):
        _ = isogloss.open_run(folder).history


def test_another_backbone_is_refused(exported, tmp_path):
    _, folder = exported
    other = checkpoint(tmp_path / "other", "bert")
    with pytest.raises(IsoglossError, match="other weights now"):
        isogloss.load(folder, backbone=other)
    with pytest.raises(IsoglossError, match="does not exist"):
        isogloss.load(folder, backbone=tmp_path / "nothing")


def test_a_backbone_of_the_hub_keeps_its_name_and_its_commit(tmp_path):
    gold = {"eng-Latn": ["a", "b"] * 4}
    environment = {"backbone": {"name": "org/model", "revision": "a" * 40, "device": "cpu"}, "command": ["isogloss"]}
    store = one_cell(tmp_path / "run", gold, gold, spec={"backbone": "org/model"}, environment=environment)
    exported_run(store, store.finished()[0], tmp_path / "out")
    record = Store(tmp_path / "out").finished()[0].record
    assert record.environment == {"backbone": {"name": "org/model", "revision": "a" * 40}}
    assert yaml.load(tmp_path / "out" / "spec.yaml")["backbone"] == "org/model"


def test_secrets_and_paths_of_a_spec_stay_behind(tmp_path):
    gold = {"eng-Latn": ["a", "b"] * 4}
    card = {
        "name": "mine", "kind": "classification", "source": "en", "labels": ["a", "b"],
        "columns": {"text": "text", "label": "label"}, "local": {"path": "{code}.tsv", "format": "tsv"},
        "languages": "en",
    }  # fmt: skip
    train = {"task": "custom", "card": card, "path": "/secret/more"}
    spec = {
        "data": {"path": "/secret/data", "card": card, "train": train},
        "dynamics": {"parallel": {"path": "/secret/parallel"}}, "track": {"mlflow": {"uri": "https://secret"}},
        "backbone": "/secret/place/model",
    }  # fmt: skip
    store = one_cell(tmp_path / "run", gold, gold, task="custom", spec=spec)
    exported_run(store, store.finished()[0], tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file() and b"secret" in path.read_bytes()]
    assert Store(tmp_path / "out").known_spec().backbone == "local:model"


def test_a_path_among_settings_is_published_as_a_name(tmp_path):
    gold = {"eng-Latn": ["a", "b"] * 4}
    named = "m[path=/secret/place/adapter]"
    store = one_cell(
        tmp_path / "run", gold, gold, name=named, spec={"methods": {"m": {"method": "linear-probe"}}}
    )  # fmt: skip
    (cell,) = store.finished()
    place = {"path": "/secret/place/adapter"}
    settings = {**cell.record.facts["settings"], **place, "more": ["/secret/x", "~/secret/y", 3]}
    changes = {"name": "m", "variant": place, "facts": {**cell.record.facts, "settings": settings}}
    write_record(cell.folder / "run.json", cell.record.model_copy(update=changes))
    store = Store(store.path)
    exported_run(store, store.finished()[0], tmp_path / "out")
    for one in results_formats().values():
        one.write(store, tmp_path / "out" / one.name)
    (tmp_path / "out" / "README.md").write_text(model_card(store, store.finished()[0], loading="x", title="t"))
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not [path for path in files if b"secret" in path.read_bytes() or "secret" in str(path.relative_to(tmp_path))]
    (again,) = Store(tmp_path / "out").finished()
    assert again.record.method == "m[path=adapter]"
    assert again.record.facts["settings"]["more"] == ["x", "y", 3]
    assert Store(tmp_path / "out").table("scores")["method"].unique().to_list() == ["m[path=adapter]"]


def test_a_damaged_cell_is_not_exported_and_nothing_is_half_written(made, tmp_path):
    shutil.copytree(made / "run", tmp_path / "run")
    store = Store(tmp_path / "run")
    cell = store.has("linear-probe", 0)
    weights = cell.folder / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(IsoglossError, match="not the file that was written"):
        exported_run(store, cell, tmp_path / "out")
    weights.unlink()
    with pytest.raises(IsoglossError, match="there is no such file"):
        exported_run(store, cell, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    (tmp_path / "out").mkdir()
    with pytest.raises(IsoglossError, match="is there already"):
        exported_run(store, cell, tmp_path / "out")


def test_an_exported_run_can_be_exported_again(exported, made, tmp_path):
    _, folder = exported
    store = Store(folder)
    exported_run(store, store.finished()[0], tmp_path / "again")
    assert pl.read_parquet(next((tmp_path / "again").rglob("scores.parquet"))).height
    assert isogloss.load(tmp_path / "again", backbone=made / "my model").predict(TEXTS)
