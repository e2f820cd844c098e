"""The same training twice is the same to the last bit, on several threads too."""

import pytest
import torch

from isogloss.methods.registry import find
from isogloss.preprocessing.tokenize import tokenise
from isogloss.training.loop import train
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import WORDS, backbone, train_state

pytestmark = pytest.mark.slow
TEXTS = [" ".join(WORDS[(3 * i + j * j) % len(WORDS)] for j in range(2 + i % 9)) for i in range(160)]
GOLD = [i % 3 for i in range(160)]
LENGTH = 25  # long enough, with so many rows, that torch shares the work of a gradient between threads


@pytest.fixture(autouse=True)
def several_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("linear-probe", {}),
        ("soft-prompt", {"length": LENGTH, "lr": 0.1}),
        ("soft-prompt", {"length": LENGTH, "lr": 0.1, "place": "after-first"}),
        ("deep-prompt", {"length": LENGTH, "lr": 0.1}),
        ("fine-tuning", {"embeddings": True, "lr": 1e-2}),
        ("prompted-fine-tuning", {"length": LENGTH, "lr": 0.1}),
        ("slow-fast", {"lr": 1e-2, "slow_place": False}),
    ],
)
def test_training_twice_gives_the_same_bits(name, settings, tmp_path):
    model = backbone(tmp_path, positions=64)
    features = tokenise((TEXTS,), GOLD, model.tokenizer)
    method = find(name)
    found = []
    for _ in range(3):
        own = model if method.frozen else model.copy()
        seeds = (0, 1) if method.frozen else (0,)
        runs = [
            new_run(method, own, method.settings(epochs=2, batch_size=80, **settings), seed=seed, classes=3)
            for seed in seeds
        ]
        train_states = [train_state(run, features) for run in runs]
        train(Stack(own, method, runs), train_states, budget=10**6, eval_budget=10**6, source="eng-Latn")
        found.append([run.state() for run in runs])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            for key, tensor in one.items():
                assert two[key].equal(tensor), key
