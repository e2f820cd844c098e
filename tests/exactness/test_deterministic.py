"""`deterministic: true`: a whole experiment twice, and the same bytes of weights, predictions and scores."""

import json

import pytest
import torch

from isogloss import api
from isogloss.spec import Spec
from isogloss.training import loop
from models import checkpoint, sib200

METHODS = {
    "linear-probe": {"epochs": 2}, "soft-prompt": {"epochs": 1, "length": 3},
    "deep-prompt": {"epochs": 1, "length": 3}, "fine-tuning": {"epochs": 1, "embeddings": True},
    "lora": {"epochs": 1}, "slow-fast": {"epochs": 1}, "prompted-fine-tuning": {"epochs": 1, "length": 3},
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data")
    return folder


def spec(home, **more):
    values = {
        "name": "small", "backbone": str(home / "model"), "task": "sib200", "data": {"path": home / "data"},
        "methods": METHODS, "deterministic": True,
    }  # fmt: skip
    return Spec(**values | more)


def results(folder):
    files = [
        *folder.glob("weights/*/*/*.safetensors"),
        *folder.glob("weights/*/*/*.parquet"),
        folder / "scores.parquet",
    ]
    return {file.relative_to(folder): file.read_bytes() for file in files}


def test_a_run_twice_gives_the_same_bytes(home, tmp_path):
    one, two = (api.run(spec(home), tmp_path / name) for name in ("one", "two"))
    assert len(results(one.path)) > 3 * len(METHODS)
    assert results(one.path) == results(two.path)
    assert one.load().predict(["a text", "another"]) == two.load().predict(["a text", "another"])
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_run_says_whether_it_was_and_goes_on_either_way(home, tmp_path, monkeypatch):
    one = {"methods": {"linear-probe": {"epochs": 1}}}
    seen = []

    def train(*arguments, **options):
        seen.append(torch.are_deterministic_algorithms_enabled())
        return loop.train(*arguments, **options)

    monkeypatch.setattr("isogloss.experiment.job_training.train", train)
    for number, asked in enumerate([False, True, False]):
        api.run(spec(home, **one, deterministic=asked, seeds=list(range(number + 1))), tmp_path)
        record = json.loads((tmp_path / "weights" / "linear-probe" / str(number) / "run.json").read_text())
        assert record["environment"]["deterministic"] is asked
        assert "deterministic" not in record["facts"]
    assert seen == [False, True, False]
