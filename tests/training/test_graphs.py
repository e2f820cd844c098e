"""Captured updates, with a recorder that captures nothing and does the work again: what is decided around a capture."""

import pytest
import torch

from decoders import backbone
from isogloss.methods.registry import find
from isogloss.training import engine as engine_module
from isogloss.training.engine import Engine
from isogloss.training.graphs import MOST, Graphs
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import train_state
from stacks import features, made, updated

STEPS = 9


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return backbone(tmp_path_factory.mktemp("bert"), "bert", words=True)


@pytest.fixture(autouse=True)
def every_update_is_logged(monkeypatch):
    monkeypatch.setattr(engine_module, "LOG_EVERY", 1)


def again(work):
    return work


def state(engine):
    """All that an update may change, besides what it forgets first."""
    optimizer = engine.optimizer
    tables = [engine.flat.values, optimizer.mean, optimizer.square, optimizer.steps, optimizer.skipped]
    if engine.trend is not None:
        tables += [engine.trend.start, engine.trend.mean, engine.trend.seen, engine.trend.onset]
    return [table.clone() for table in (*tables, torch.random.get_rng_state())]


class Watched(Graphs):
    """Graphs that see what a capture leaves behind."""

    def _capture(self, kind, given, work):
        before = [*state(self.engine), self.engine.flat.gradients.clone(), self.engine.loss.clone()]
        found = super()._capture(kind, given, work)
        after = [*state(self.engine), self.engine.flat.gradients, self.engine.loss]
        for one, other in zip(before, after, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
        return found


def stack_of(model, case):
    if case != "tuned":
        return made(model, case, epochs=4)
    own, method = model.copy(), find("fine-tuning")
    settings = method.settings(batch_size=16, epochs=4, lr=1e-3)
    run = new_run(method, own, settings, seed=0, classes=3)
    run.part.train()
    return Stack(own, method, [run]), [train_state(run, features(model, "texts"))]


def trained(model, case, record=None, *, budget=4096, fixed=True, steps=STEPS):
    """Losses and weights of so many updates, and the engine; without a recorder, plainly."""
    stack, states = stack_of(model, case)
    engine = Engine(stack, states, budget=budget, fixed=fixed)
    if record is not None:
        engine.graphs = Watched(engine, record=record)
    losses = updated(engine, steps)
    return losses, [run.state() for run in stack.runs], engine


def same(one, other):
    assert one[0] == other[0]
    for mine, theirs in zip(one[1], other[1], strict=True):
        for name, tensor in mine.items():
            assert theirs[name].equal(tensor), name


@pytest.mark.parametrize("budget", [4096, 90])
@pytest.mark.parametrize("case", ["deep", "soft after first", "soft, mlp", "deep, passages", "tuned"])
def test_replays_teach_what_plain_updates_teach(model, case, budget, capsys):
    captured = trained(model, case, again, budget=budget)
    same(trained(model, case, budget=budget), captured)
    graphs = captured[2].graphs
    kinds = {kind for kind, _ in graphs.captured}
    assert kinds == {"update"} if budget == 4096 else {"pass", "step"} <= kinds
    assert all(found is not None for found in graphs.captured.values())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("case", ["deep", "tuned"])
@pytest.mark.parametrize(
    "error", [RuntimeError("no capture here\nat all"), NotImplementedError("not that"), RuntimeError()]
)
def test_what_cannot_be_captured_goes_plainly_and_says_so(model, case, error, capsys):
    def fails(_):
        raise error

    for budget in (4096, 90):
        same(trained(model, case, budget=budget), trained(model, case, fails, budget=budget))
        said = capsys.readouterr().err
        why = (str(error) or type(error).__name__).split("\n")[0]
        assert said == f"a CUDA graph is not used, as {why}; these updates go on without one\n"


def off_gradients(engine):
    engine.flat.gradients.mul_(1.1)


def off_loss(engine):
    engine.loss.mul_(1.1)


def not_at_all(engine):
    engine.flat.gradients.fill_(torch.nan)


@pytest.mark.parametrize("spoil", [off_gradients, off_loss, not_at_all])
@pytest.mark.parametrize("budget", [4096, 90])
@pytest.mark.parametrize("case", ["deep", "tuned"])
def test_a_replay_that_computes_something_else_is_refused(model, case, budget, spoil, capsys):
    stack, states = stack_of(model, case)
    engine = Engine(stack, states, budget=budget, fixed=True)

    def wrong(work):
        def replay():
            work()
            spoil(engine)

        return replay

    graphs = engine.graphs = Graphs(engine, record=wrong)
    losses = updated(engine, STEPS)
    same(trained(model, case, budget=budget), (losses, [run.state() for run in stack.runs]))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "differ by" in said[0]
    assert all(found is None for (kind, _), found in graphs.captured.items() if kind != "step")


def test_beyond_so_many_shapes_updates_go_plainly(model):
    """Rows as they are have a shape of their own in nearly every update."""
    captured = trained(model, "deep", again, fixed=False, steps=12)
    same(trained(model, "deep", fixed=False, steps=12), captured)
    known = captured[2].graphs.captured
    assert sum(found is not None for found in known.values()) == MOST
    counted = captured[2].stack.updates
    assert counted["plain"] > 0
    assert counted["plain"] + counted["captured"] == 12


def test_a_run_that_diverged_is_no_reason_to_refuse(model, capsys):
    found = []
    for record in (None, again):
        stack, states = stack_of(model, "deep")
        with torch.no_grad():
            stack.runs[1].part.vectors.fill_(torch.nan)
        engine = Engine(stack, states, budget=4096, fixed=True)
        if record is not None:
            engine.graphs = Watched(engine, record=record)
        losses = updated(engine, 4)
        found.append(([losses[0], losses[2]], [stack.runs[0].state(), stack.runs[2].state()]))
        assert [one.skipped for one in states] == [0, 4, 0]
    same(*found)
    assert capsys.readouterr().err == ""
