"""A run that diverges takes no other along: its updates are skipped and counted."""

import pytest
import torch

from decoders import backbone
from isogloss.training.engine import Engine
from models import gradients
from stacks import CAUSAL, SOME, lay_end_to_end, made, updated


@pytest.fixture(scope="module", params=["bert", pytest.param("gemma3_text", marks=pytest.mark.slow)])
def model(request, tmp_path_factory):
    return backbone(tmp_path_factory.mktemp(request.param), request.param, words=True)


def broken(model, case, which, fill):
    """A stack of which one run holds what is no number."""
    stack, states = made(model, case)
    if which is not None:
        run = stack.runs[which]
        with torch.no_grad():
            next(iter(run.parameters())).fill_(fill)
    return stack, states


@pytest.mark.parametrize("way", [pytest.param("plain", marks=pytest.mark.slow), "fixed", "end-to-end"])
@pytest.mark.parametrize("case", SOME)
def test_the_others_learn_as_if_it_were_well(model, case, way, monkeypatch):
    if model.causal and case not in CAUSAL:
        pytest.skip("an encoder's")
    if way == "end-to-end":
        if model.causal and case == "deep, unshifted":
            pytest.skip("padded, where there are windows")
        lay_end_to_end(monkeypatch, [model])
    fixed = way != "plain"
    whole, losses = gradients(*broken(model, case, None, 0.0), 100, fixed=fixed)
    for which, fill in ((0, torch.nan), (1, torch.inf), (2, torch.nan)):
        stack, states = broken(model, case, which, fill)
        beside, same = gradients(stack, states, 100, fixed=fixed)
        start = [run.state() for run in stack.runs]
        engine = Engine(stack, states, budget=100, fixed=fixed)
        updated(engine, 2)
        for number in range(3):
            moved = any(not tensor.equal(start[number][name]) for name, tensor in stack.runs[number].state().items())
            if number == which:
                assert states[number].skipped == 2
                assert not moved or fill != fill  # noqa: PLR0124 - NaN equals nothing
                continue
            assert (states[number].skipped, moved) == (0, True)
            assert same[number] == pytest.approx(losses[number], rel=1e-5)
            for name, tensor in whole[number].items():
                torch.testing.assert_close(beside[number][name], tensor, rtol=1e-4, atol=1e-5, msg=f"{case} {name}")
