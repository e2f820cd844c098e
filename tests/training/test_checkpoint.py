"""What a checkpoint holds on the disk: those of before must be gone on from."""

import json

import pytest
from safetensors import safe_open

from isogloss.methods.registry import find
from isogloss.preprocessing.tokenize import tokenise
from isogloss.training.checkpoint import Checkpoints
from isogloss.training.stack import new_run
from models import WORDS, backbone, train_state


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return backbone(tmp_path_factory.mktemp("model"))


def state(model, seed):
    method = find("soft-prompt")
    run = new_run(method, model, method.settings.model_validate({"length": 2}), seed=seed, classes=7)
    return train_state(run, tokenise((WORDS[:7],), list(range(7)), model.tokenizer))


def test_names_in_a_checkpoint_stay(model, tmp_path):
    file = tmp_path / "lane.safetensors"
    Checkpoints([file], ["a"], minutes=0.0).save([state(model, 0)])
    with safe_open(file, framework="pt") as stored:
        facts = json.loads(stored.metadata()["lane"])
        assert {name.split(".")[0] for name in stored.keys()} == {"run"}  # noqa: SIM118 - it is no dict
    assert set(facts) == {
        "version", "fingerprint", "step", "tokens", "skipped", "best", "best_epoch", "history", "trend",
    }  # fmt: skip


def test_a_checkpoint_is_taken_by_the_run_that_wrote_it_and_no_other(model, tmp_path):
    written = state(model, 0)
    written.step = 5
    Checkpoints([tmp_path / "file"], ["a"], minutes=0.0).save([written])
    for fingerprint, step in (("a", 5), ("b", 0)):
        read = state(model, 0)
        Checkpoints([tmp_path / "file"], [fingerprint], minutes=0.0).load([read])
        assert read.step == step
