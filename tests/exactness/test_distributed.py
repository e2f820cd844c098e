"""Two processes of torch.distributed equal one: losses, weights, predictions; whatever happens to one of them."""

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from isogloss import api
from isogloss.spec import Spec
from isogloss.store import Store
from models import checkpoint, sib200
from processes import together

TOLERANCE = 1e-5
KEYS = {
    "scores": ["method", "seed", "language", "split", "metric"],
    "predictions": ["method", "seed", "language", "example"],
    "history": ["method", "seed", "step", "metric", "language"],
}
ALIKE = {"backbone_dropout": 0.0, "batch_size": 5, "epochs": 2}
METHODS = {
    "deep-prompt": {"length": [2, 4], "batch_size": 5, "epochs": 3},  # a stack, dropout of the heads included
    "linear-probe": {"epochs": 3},
    "fine-tuning": {**ALIKE, "embeddings": True, "clip": 0.1, "l2_sp": 0.1},
    "lora": {**ALIKE, "batch_size": 22},  # of 23 examples: the last update has one
    "slow-fast": {**ALIKE, "drift": 1.0, "average": 2, "embeddings": True},
}


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    return Spec(
        name="small", backbone=str(checkpoint(folder / "model")), task="sib200",
        data={"path": sib200(folder / "data", rows=23)}, seeds=[0, 1], dtype="float32", device="cpu",
        methods=METHODS, dynamics={"examples": 5, "every": 4},
    )  # fmt: skip


@pytest.fixture(scope="module")
def alone(spec, tmp_path_factory):
    return api.run(spec, tmp_path_factory.mktemp("alone") / "run").path


def run(spec, out):
    """What a process of several does."""
    api.run(spec, out)
    return "done"


def same(one, other):
    for name, key in KEYS.items():
        tables = [pl.read_parquet(folder / f"{name}.parquet").sort(key) for folder in (one, other)]
        assert_frame_equal(*tables, rel_tol=1e-4, abs_tol=TOLERANCE)
    cells = [{cell.key: cell for cell in Store(folder).finished()} for folder in (one, other)]
    assert cells[0].keys() == cells[1].keys()
    for key, cell in cells[0].items():
        own, theirs = cell.weights(), cells[1][key].weights()
        assert own.keys() == theirs.keys()
        for tensor in own:
            if tensor.endswith("key.bias"):  # has no gradient but rounding, of which AdamW makes steps
                continue
            torch.testing.assert_close(theirs[tensor], own[tensor], rtol=1e-4, atol=TOLERANCE, msg=f"{key} {tensor}")
        records = cell.record, cells[1][key].record
        assert records[0].facts == records[1].facts
        assert records[0].selected_epoch == records[1].selected_epoch
        assert records[1].environment["engine"]["processes"] == 2


def test_two_equal_one(spec, alone, tmp_path):
    assert together(run, spec, tmp_path / "run") == ["done", "done"]
    same(alone, tmp_path / "run")
