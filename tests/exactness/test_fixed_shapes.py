"""Batches filled up to few shapes, and rows laid end to end, give what rows as they are give."""

import numpy as np
import pytest
import torch

from decoders import CONFIGS, ENCODERS, backbone
from isogloss.backbones import transformer
from isogloss.preprocessing.tokenize import tokenise
from isogloss.training import engine as engine_module
from isogloss.training.engine import Engine
from isogloss.training.graphs import form
from models import WORDS, gradients, train_state
from stacks import CASES, CAUSAL, QUICK, SOME, lay_end_to_end, made, updated
from varlen import variable_length

FEW = 12  # shapes of all batches of an epoch
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    known = {}

    def of(family):
        if family not in known:
            known[family] = backbone(tmp_path_factory.mktemp(family), family, words=family not in ENCODERS)
        return known[family]

    return of


@pytest.fixture(autouse=True)
def every_update_is_logged(monkeypatch):
    monkeypatch.setattr(engine_module, "LOG_EVERY", 1)


@pytest.mark.parametrize(("count", "budget"), [(1, 4096), (3, 60)])
@pytest.mark.parametrize("case", SOME)
def test_filled_up_batches_teach_the_same(models, case, count, budget):
    found = []
    for fixed in (False, True):
        # AdamW divides by a gradient's size: of one that is a small difference of large sums, whose last digits are the
        # processor's, a weight takes as much error as the rate is high.
        stack, states = made(models("bert"), case, count, lr=1e-2)
        engine = Engine(stack, states, budget=4096 if not fixed else budget, fixed=fixed)
        found.append((updated(engine, 6), [run.state() for run in stack.runs]))
        assert all(one.skipped == 0 for one in states)
    (losses, weights), (same, others) = found
    for one, other in zip(losses, same, strict=True):
        assert len(one) == 6
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)
    for one, other in zip(weights, others, strict=True):
        for name, tensor in one.items():
            if name != "head.bias" or "passages" not in case:  # which moves no span: its gradient is rounding alone
                torch.testing.assert_close(other[name], tensor, rtol=1e-4, atol=1e-4, msg=f"{case} {name}")


@pytest.mark.parametrize("case", CASES)
def test_filled_up_batches_have_the_same_gradients(models, case):
    stack, states = made(models("bert"), case)
    whole, losses = gradients(stack, states)
    for budget in (4096, 60):
        filled, same = gradients(stack, states, budget, fixed=True)
        assert losses == pytest.approx(same, rel=1e-5)
        for one, other in zip(whole, filled, strict=True):
            for name, tensor in one.items():
                torch.testing.assert_close(other[name], tensor, **CLOSE, msg=f"{case} {name} {budget}")


@pytest.mark.parametrize("case", ["deep", "soft after first", "deep, words", "deep, passages"])
@pytest.mark.parametrize("budget", [4096, 200])
def test_the_batches_of_an_epoch_have_few_shapes(models, case, budget):
    stack, states = made(models("bert"), case, batch_size=4)
    engine = Engine(stack, states, budget=budget, fixed=True)
    seen = set()
    for _ in range(2 * states[0].updates):
        plan = engine.plan()
        seen |= {form((batch, plan.step)) for batch in plan.batches}
        for one in states:
            one.step += 1
    assert len(seen) <= FEW


def test_the_batches_of_many_texts_have_few_shapes(models):
    generator = np.random.default_rng(0)
    model = models("bert")
    texts = [" ".join(generator.choice(WORDS, size)) for size in generator.integers(1, 30, 600)]
    stack, _ = made(model, "deep", 2, batch_size=32)
    shapes = {}
    for fixed in (False, True):
        states = [train_state(run, tokenise((texts,), [0] * 600, model.tokenizer)) for run in stack.runs]
        engine = Engine(stack, states, budget=4096, fixed=fixed)
        shapes[fixed] = set()
        for step in range(states[0].updates):
            for one in states:
                one.step = step
            plan = engine.plan()
            shapes[fixed] |= {form((batch, plan.step)) for batch in plan.batches}
    assert len(shapes[True]) <= FEW < len(shapes[False]) == states[0].updates


SLOW = pytest.mark.slow
FAMILIES = ["bert", "xlm-roberta", *sorted(CONFIGS.keys() - ENCODERS - {"bloom"})]


def test_families_without_a_bias_are_known(models, monkeypatch):
    """Those that add one to scores have no such kernel."""
    biased = set()
    for family in ("bert", "bloom", "mt5", "llama"):
        model = models(family)
        biased |= {family for call in model.attention_calls if call.biased}
        monkeypatch.setattr(type(model), "device", torch.device("cuda"))
        monkeypatch.setattr(model, "dtype", torch.bfloat16)
        monkeypatch.setattr(transformer, "variable_length", lambda: variable_length)
        monkeypatch.setattr(transformer, "windows", lambda: True)
        narrow = any(call.width % 8 for call in model.attention_calls)
        assert model.end_to_end(None) == (family not in biased and not narrow)
        monkeypatch.undo()
    assert biased == {"bloom", "mt5"}


@pytest.mark.parametrize(
    ("fixed", "every"), [(True, False), pytest.param(True, True, marks=SLOW), pytest.param(False, True, marks=SLOW)]
)
@pytest.mark.parametrize("family", FAMILIES)
def test_rows_end_to_end_give_the_same_states_and_gradients(models, family, fixed, every, monkeypatch):
    model = models(family)
    cases = [case for case in (CAUSAL if model.causal else CASES) if every or case in QUICK]
    windows = any(call.window is not None for call in model.attention_calls)
    found = {}
    for laid in (False, True):
        if laid:
            lay_end_to_end(monkeypatch, [model])
        for case in cases:
            if windows and case == "deep, unshifted":
                continue  # what is seen from everywhere has no place in a window: the backbone pads
            stack, states = made(model, case)
            learnt = gradients(stack, states, 100, fixed=fixed and laid)
            prepared = [stack.states(one.train, one.run, budget=60) for one in states]
            found.setdefault(case, []).append((learnt, prepared))
            assert laid == ("end-to-end" in model.kernels)
    monkeypatch.undo()
    model.kernels.clear()
    for case, (((one, losses), states), ((other, same), prepared)) in found.items():
        assert losses == pytest.approx(same, rel=1e-5)
        for mine, theirs in zip(states, prepared, strict=True):
            torch.testing.assert_close(theirs, mine, **CLOSE, msg=case)
        for mine, theirs in zip(one, other, strict=True):
            for name, tensor in mine.items():
                atol = 1e-5 * max(1.0, float(tensor.abs().max()))
                torch.testing.assert_close(theirs[name], tensor, rtol=1e-4, atol=atol, msg=f"{case} {name}")
