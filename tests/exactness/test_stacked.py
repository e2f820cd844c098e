"""K stacked runs give what K solo trainings give: losses, weights and predictions, whatever they are stacked with."""

import numpy as np
import pytest
import torch

from isogloss.experiment.evaluate import predict
from isogloss.methods.registry import find
from isogloss.preprocessing.tokenize import tokenise
from isogloss.training.loop import train
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import LABELS, WORDS, backbone, train_state

COMMON = {"epochs": 3, "batch_size": 8, "dropout": 0.2}
# (method, settings of each run, seed of each run): rates, lengths, batches, epochs, decay and clipping all differ.
STACKS = {
    "linear-probe": ({"head_lr": 1e-2}, {"head_lr": 1e-3, "batch_size": 5}, {"epochs": 5, "clip": 0.01}),
    "soft-prompt": ({"length": 2}, {"length": 6, "lr": 1e-1, "batch_size": 5}, {"epochs": 2, "clip": 0.1}),
    "soft-prompt mlp": ({"length": 2, "mlp": True}, {"length": 5, "mlp": True, "clip": 0.1, "epochs": 2}),
    "soft-prompt after": ({"length": 2, "place": "after"}, {"length": 9, "place": "after", "batch_size": 5}),
    "soft-prompt after-first": ({"length": 4, "place": "after-first"}, {"length": 1, "place": "after-first"}),
    "deep-prompt": (
        {"length": 5, "lr": 3e-2},
        {"length": 1, "batch_size": 16, "decay": "cosine"},
        {"length": 3, "epochs": 4, "select": "last", "weight_decay": 0.1, "warmup": 0.5},
    ),
    # The one whose weights decay ends first: the others go on in a company where nothing does.
    "deep-prompt decay": ({"length": 2, "epochs": 4}, {"length": 2, "weight_decay": 0.1}),
    "linear-probe decay": ({"epochs": 4, "lr": 1e-3}, {"weight_decay": 0.1}, {"epochs": 2}),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return backbone(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def splits(model):
    generator = np.random.default_rng(0)

    def split(count):
        gold = generator.integers(0, 7, count).tolist()
        texts = [" ".join([WORDS[g], *generator.choice(WORDS[7:], generator.integers(1, 12))]) for g in gold]
        return tokenise((texts,), gold, model.tokenizer)

    return split(21), split(13), split(30)


def trained(model, splits, name, settings, seeds, budget):
    method = find(name.split()[0])
    runs = [
        new_run(method, model, method.settings(**COMMON | own), seed=seed, classes=len(LABELS))
        for own, seed in zip(settings, seeds, strict=True)
    ]
    stack = Stack(model, method, runs)
    train_states = [train_state(run, splits[0], splits[1]) for run in runs]
    train(stack, train_states, budget=budget, eval_budget=budget, source="eng-Latn")
    return [
        (one.history, method.stored(one.run.part) | one.run.head.state_dict(), predicted)
        for one, predicted in zip(train_states, predict(stack, runs, splits[2], budget=budget), strict=True)
    ]


@pytest.mark.parametrize("budget", [40, 4096])
@pytest.mark.parametrize("name", sorted(STACKS))
def test_stacked_equals_solo(model, splits, name, budget):
    settings = STACKS[name]
    seeds = [5, 0, 5][: len(settings)]
    stacked = trained(model, splits, name, settings, seeds, budget)
    for own, seed, together in zip(settings, seeds, stacked, strict=True):
        (alone,) = trained(model, splits, name, [own], [seed], 4096)
        assert len(together[0]) == len(alone[0])
        for one, other in zip(together[0], alone[0], strict=True):
            assert one.keys() == other.keys()
            for field, value in one.items():
                close = pytest.approx(other[field], rel=1e-4, abs=1e-5) if isinstance(value, float) else other[field]
                assert value == close, field
        for key, tensor in alone[1].items():
            torch.testing.assert_close(together[1][key], tensor, rtol=1e-4, atol=1e-4, msg=f"{name} {key}")
        assert np.array_equal(together[2].scores.argmax(1), alone[2].scores.argmax(1))
        torch.testing.assert_close(together[2].scores, alone[2].scores, rtol=1e-4, atol=1e-4)


def test_runs_of_a_stack_differ(model, splits):
    """Or the test above would pass on a loop that trains one run three times."""
    stacked = trained(model, splits, "deep-prompt", [{"length": 2}] * 2, [0, 1], 4096)
    assert stacked[0][0][0]["loss"] != stacked[1][0][0]["loss"]
    assert not torch.equal(stacked[0][1]["vectors"], stacked[1][1]["vectors"])
