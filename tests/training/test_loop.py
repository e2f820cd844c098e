"""The loop against rules written out by hand: rates, clipping, selection, order."""

import gc
import math
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from isogloss.methods.registry import find
from isogloss.preprocessing.features import Features
from isogloss.tasks.heads import ClassificationHead
from isogloss.training import loop
from isogloss.training.engine import Engine
from isogloss.training.loop import train
from isogloss.training.plan import Step
from isogloss.training.run import Run, new_run
from isogloss.training.stack import Stack
from isogloss.training.train_state import TrainState
from models import backbone
from models import train_state as way_through


def features(count):
    starts = np.arange(count + 1)
    return Features(
        tokens=np.zeros(count, dtype=np.int64), types=None, starts=starts, labels=np.zeros(count, dtype=np.int64)
    )


def made(count=10, **settings):
    chosen = find("deep-prompt").settings(**{"batch_size": 4, "epochs": 4, "lr": 0.5, "head_lr": 0.25, **settings})
    part = nn.ParameterDict({"matrix": nn.Parameter(torch.ones(2, 2)), "vector": nn.Parameter(torch.ones(2))})
    run = Run(chosen, 0, part, ClassificationHead(3, 2, torch.Generator()))
    return TrainState(run, features(count), features(3), "accuracy", lambda _: 0.0)


def rates(train_state):
    out = []
    for step in range(train_state.total):
        train_state.step = step
        out.append({group.peak: rate for group, rate in zip(train_state.groups, train_state.rates(), strict=True)})
    return out


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        # 10 examples by 4 are 3 updates an epoch, 12 in all; a quarter of them, 3, warm up; 9 remain.
        ("constant", [1 / 3, 2 / 3, 1] + [1] * 9),
        ("linear", [1 / 3, 2 / 3, 1] + [1 - i / 9 for i in range(9)]),
        ("cosine", [1 / 3, 2 / 3, 1] + [(1 + math.cos(math.pi * i / 9)) / 2 for i in range(9)]),
    ],
)
def test_rates_warm_up_and_decay(decay, expected):
    train_state = made(decay=decay, warmup=0.25)
    assert train_state.total == 12
    seen = rates(train_state)
    assert [rate[0.5] for rate in seen] == pytest.approx([0.5 * factor for factor in expected])
    assert [rate[0.25] for rate in seen] == pytest.approx([0.25 * factor for factor in expected])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return backbone(tmp_path_factory.mktemp("model"))


def stepped(model, train_state, fill):
    """A step of the optimiser on such gradients, as the engine takes it."""
    engine = Engine(Stack(model, find("deep-prompt"), [train_state.run]), [train_state], budget=1)
    engine.flat.gradients.zero_()
    for parameter in train_state.run.parameters():
        parameter.grad.fill_(fill)
    rates = torch.tensor([train_state.rates()])
    nothing = torch.zeros(1)
    step = Step(rates, nothing, nothing, nothing.int(), torch.tensor([0]))
    engine.finish(step)
    return engine


def test_gradients_are_clipped_by_their_common_norm(model):
    """Of Adam's moments, the first is a tenth of the gradient that it was given."""
    train_state = made(clip=1.0, warmup=0)
    stepped(model, train_state, 3.0)
    given = [train_state.optimizer[f"mean.{name}"] / 0.1 for name in train_state.run.named()]
    assert math.sqrt(sum(float((grad**2).sum()) for grad in given)) == pytest.approx(1.0, abs=1e-4)
    assert len({round(float(value), 5) for grad in given for value in grad.flatten()}) == 1


def test_decay_of_weights_spares_vectors(model):
    train_state = made(weight_decay=0.1, warmup=0, decay="constant")
    before = train_state.run.state()
    stepped(model, train_state, 0.0)
    after = train_state.run.state()
    for name, tensor in before.items():
        rate = 0.5 if name.startswith("part") else 0.25
        torch.testing.assert_close(after[name], tensor * (1 - rate * 0.1) if tensor.ndim > 1 else tensor)


def test_the_rate_in_the_history_is_that_of_what_learns(model):
    """A linear probe has a rate for what it trains besides the head, which is nothing."""
    probe = find("linear-probe")
    settings = probe.settings(lr=0.5, head_lr=0.25, warmup=0, decay="constant")
    run = new_run(probe, model, settings, seed=0, classes=2)
    ended = way_through(run, features(4))
    train(Stack(model, probe, [run]), [ended], budget=64, eval_budget=64, source="eng-Latn")
    assert {row["learning_rate"] for row in ended.history if row["learning_rate"] is not None} == {0.25}


def test_what_has_ended_keeps_no_engine_and_nothing_of_others_alive(model, monkeypatch):
    made_here = []

    class Watched(Engine):
        def __init__(self, *arguments, **options):
            gc.collect()
            assert not any(engine() for engine in made_here)  # the last one's tables go before the next one's come
            super().__init__(*arguments, **options)
            made_here.append(weakref.ref(self))

    monkeypatch.setattr(loop, "Engine", Watched)
    method = find("deep-prompt")
    runs = [
        new_run(method, model, method.settings(length=length, epochs=epochs), seed=0, classes=2)
        for length, epochs in ((2, 1), (1, 2), (3, 2))
    ]
    states = [way_through(run, features(4)) for run in runs]
    train(Stack(model, method, runs), states, budget=64, eval_budget=64, source="eng-Latn")
    assert len(made_here) == 2
    gc.collect()
    assert not any(engine() for engine in made_here)
    for state in states:
        assert all(parameter.grad is None for parameter in state.run.parameters())
        alive = [*(parameter.data for parameter in state.run.parameters()), *state.optimizer.values()]
        assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in alive)
        assert state.skipped == 0
        assert float(state.optimizer["steps"].max()) == state.total


@pytest.mark.parametrize("fill", [torch.inf, -torch.inf, torch.nan])
def test_an_update_with_an_infinite_gradient_is_skipped_and_counted(model, fill):
    train_state = made()
    before = train_state.run.state()
    stepped(model, train_state, fill)
    assert train_state.skipped == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in train_state.run.state().items())
    stepped(model, train_state, 1.0)  # and the next one learns
    assert not any(torch.equal(tensor, before[name]) for name, tensor in train_state.run.state().items())


@pytest.mark.parametrize(("select", "epoch"), [("best", 3), ("last", 4)])
def test_the_best_epoch_is_kept_ties_by_loss(select, epoch):
    train_state = made(select=select)
    for number, (score, loss) in enumerate([(0.5, 1.0), (0.7, 0.9), (0.7, 0.8), (0.6, 0.1)], start=1):
        train_state.step = number * train_state.updates
        nn.init.constant_(train_state.run.part["vector"], number)
        train_state.keep(score, loss)
    assert train_state.best_epoch == epoch
    assert train_state.best_state["part.vector"].tolist() == [epoch] * 2


def test_an_epoch_shows_every_example_once_in_an_order_of_its_own():
    train_state = made()
    orders = []
    for epoch in range(2):
        seen = []
        for update in range(train_state.updates):
            train_state.step = epoch * train_state.updates + update
            seen.append(train_state.batch().tolist())
        assert [len(batch) for batch in seen] == [4, 4, 2]
        orders.append([example for batch in seen for example in batch])
        assert sorted(orders[-1]) == list(range(10))
    assert orders[0] != orders[1]
