"""A setting that sets several: in specs, in variants, and in runs that were stored when it was one."""

import json

import pytest

from isogloss.api import open_run, report, run
from isogloss.errors import IsoglossError
from isogloss.experiment.cells import cells, resolved_methods
from isogloss.runtime import yaml
from isogloss.spec import Spec
from models import checkpoint, sib200

TWO = ("hidden_dropout", "attention_dropout")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data")
    return folder


def spec(home, seeds=(0,), **methods):
    return Spec(
        name="small", backbone=str(home / "model"), task="sib200", data={"path": home / "data"}, seeds=list(seeds),
        methods=methods, dtype="float32", device="cpu",
    )  # fmt: skip


def tuning(**settings):
    return {"method": "fine-tuning", "epochs": 1, "batch_size": 8, **settings}


def made_before(folder, share):
    """A run directory as it was when the two were one."""
    for file in folder.glob("weights/*/*/run.json"):
        record = json.loads(file.read_text())
        settings = record["facts"]["settings"]
        assert [settings.pop(name) for name in TWO] == [share, share]
        settings["backbone_dropout"] = share
        file.write_text(json.dumps(record))
    stored = yaml.load(folder / "spec.yaml")
    for settings in stored["methods"].values():
        if not isinstance(settings.get("backbone_dropout"), list):
            for name in TWO:
                del settings[name]
            settings["backbone_dropout"] = share
    (folder / "spec.yaml").write_text(yaml.dumps(stored))


def test_it_sets_all_that_it_stands_for(home):
    (one,) = cells(spec(home, tuned=tuning(backbone_dropout=0.25)))
    (other,) = cells(spec(home, tuned=tuning(hidden_dropout=0.25, attention_dropout=0.25)))
    assert one == other
    resolved = resolved_methods(spec(home, tuned=tuning(backbone_dropout=0.25)))["tuned"]
    assert "backbone_dropout" not in resolved
    assert [resolved[name] for name in TWO] == [0.25, 0.25]


def test_its_variants_are_called_by_it_and_stored_so_that_they_are_read_again(home):
    wanted = spec(home, tuned=tuning(backbone_dropout=[0.0, 0.25]))
    made = cells(wanted)
    assert [cell.label for cell in made] == ["tuned[backbone_dropout=0.0]", "tuned[backbone_dropout=0.25]"]
    assert [[getattr(cell.settings, name) for name in TWO] for cell in made] == [[0.0, 0.0], [0.25, 0.25]]
    assert cells(spec(home, **resolved_methods(wanted))) == made


@pytest.mark.parametrize("value", [1, 1.5, -0.1, "much", None, True, {}])
def test_a_mistake_in_it_is_told_of_it(home, value):
    with pytest.raises(IsoglossError, match=r"^methods.tuned: backbone_dropout: expected "):
        cells(spec(home, tuned=tuning(backbone_dropout=value)))


@pytest.mark.parametrize("name", TWO)
def test_it_is_not_given_beside_what_it_stands_for(home, name):
    message = "methods.tuned: `backbone_dropout` sets hidden_dropout and attention_dropout; expected it alone"
    with pytest.raises(IsoglossError, match=message):
        cells(spec(home, tuned=tuning(backbone_dropout=0.1, **{name: 0.1})))
    with pytest.raises(IsoglossError, match=message):
        cells(spec(home, tuned=tuning(backbone_dropout=[0.1, 0.2], **{name: 0.1})))


def test_other_methods_have_none(home):
    with pytest.raises(IsoglossError, match="backbone_dropout"):
        cells(spec(home, probe={"method": "linear-probe", "backbone_dropout": 0.1}))


@pytest.mark.parametrize("given", [0.25, [0.25]])
def test_a_run_of_before_opens_reports_predicts_and_goes_on(home, tmp_path, given):
    folder = tmp_path / "run"
    run(spec(home, tuned=tuning(backbone_dropout=given)), folder)
    made_before(folder, 0.25)
    weights = {file: file.read_bytes() for file in folder.glob("weights/*/*/*.safetensors")}
    results = open_run(folder)
    assert report(folder).exists()
    assert len(results.load().predict(["a text"])) == 1
    run(spec(home, (0, 1), tuned=tuning(backbone_dropout=given)), folder)
    if given == 0.25:
        run(spec(home, (0, 2), tuned=tuning(**dict.fromkeys(TWO, given))), folder)
        with pytest.raises(IsoglossError, match=r"\(settings.attention_dropout: 0.25 → 0.0\)"):
            run(spec(home, tuned=tuning(hidden_dropout=0.25, attention_dropout=0.0)), folder)
    assert {file: file.read_bytes() for file in weights} == weights
    assert set(open_run(folder).scores["seed"]) == ({0, 1, 2} if given == 0.25 else {0, 1})
