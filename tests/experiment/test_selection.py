"""Choices of weights and the drift penalty in a spec: as variants, in the store, and in what a training is worth."""

import pytest

from isogloss import api
from isogloss.experiment import cost
from isogloss.experiment.workspace import Workspace
from isogloss.spec import Spec
from models import checkpoint, sib200

HALF = {"mean": 0.5, "every": 4}
TUNED = {"method": "fine-tuning", "epochs": 2, "batch_size": 8}


def spec(home, **methods):
    if not (home / "data").exists():
        sib200(home / "data", ("eng_Latn", "deu_Latn"))
        checkpoint(home / "model")
    return Spec(name="a", task="sib200", data={"path": home / "data"}, backbone=str(home / "model"), methods=methods)


def test_choices_are_variants_that_are_found_again(tmp_path):
    wanted = spec(tmp_path, tuned={**TUNED, "select": ["last", {"mean": 0.5}], "drift": 1.0})
    results = api.run(wanted, tmp_path / "run")
    labels = sorted(results.scores["method"].unique())
    assert labels == ["tuned[select=last]", f"tuned[select={HALF}]"]
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "run").rglob("weights.safetensors")}
    again = api.run(wanted, tmp_path / "run")
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert again.scores.equals(results.scores)
    for label in labels:
        assert len(list(api.load(tmp_path / "run", method=label).predict(["the cat sat", "two dogs"]))) == 2


@pytest.mark.parametrize(
    ("settings", "share"), [({}, 0), ({"drift": 1.0}, 1 / 3), ({"drift": 1.0, "drift_layer": 3}, 1)]
)
def test_a_drift_penalty_has_its_price(settings, share, tmp_path):
    """The pre-trained states up to a layer of three, in every update and once for their variance."""
    workspace = Workspace.open(spec(tmp_path, tuned={**TUNED, **settings}))
    (cell,) = workspace.cells
    parts = workspace.encoded(cell).train_dev(0)
    train, dev = (float(part.lengths.sum()) for part in (parts.train, parts.dev))
    assert cost.training(workspace, cell) == pytest.approx(2 * ((3 + share) * train + dev) + share * train)
