"""Weights that compute in bf16 learn in float32."""

from itertools import pairwise

import pytest
import torch

from isogloss.optim.master_weights import MasterWeights


def linear(dtype):
    torch.manual_seed(0)
    return torch.nn.Linear(4, 3).to(dtype)


def test_the_gradients_of_several_passes_are_summed_in_float32():
    model, inputs = linear(torch.bfloat16), torch.randn(300, 4).bfloat16()
    masters = MasterWeights(model, dict(model.named_parameters()))
    for row in inputs:
        model(row).sum().backward()
    assert all(weight.grad is None for weight in model.parameters())
    assert torch.equal(masters.get_parameter("bias").grad, torch.full((3,), 300.0))  # in bf16 the sum stops at 256
    assert torch.equal(masters.get_parameter("weight").grad, inputs.float().sum(0).expand(3, 4))


def test_steps_too_small_for_bf16_add_up():
    model = linear(torch.bfloat16)
    masters = MasterWeights(model, dict(model.named_parameters()))
    before = model.weight.detach().float().clone()
    for _ in range(100):
        with torch.no_grad():
            masters.get_parameter("weight").mul_(1.0001)
        model(torch.zeros(4).bfloat16())
    assert torch.equal(model.weight, masters.get_parameter("weight").bfloat16())
    assert (model.weight.float() / before).mean().item() == pytest.approx(1.01, abs=0.004)


@pytest.mark.parametrize("fused", [False, True])
def test_the_model_follows_every_step_of_the_optimiser(fused):
    model = linear(torch.bfloat16)
    masters = MasterWeights(model, dict(model.named_parameters()))
    optimizer = torch.optim.AdamW(masters.parameters(), lr=0.1, weight_decay=0.0, fused=fused)
    seen = []
    for _ in range(4):
        model(torch.ones(4).bfloat16()).sum().backward()
        seen.append(model.weight.detach().clone())
        optimizer.step()
        optimizer.zero_grad()
    for one, next_ in pairwise(seen):
        assert ((one - next_).float() - 0.1).abs().max() < 0.01


def test_weights_that_are_up_to_date_are_not_copied_again(monkeypatch):
    """Where whoever steps brings them up to date, the next forward pass has nothing to do."""
    model = linear(torch.bfloat16)
    masters = MasterWeights(model, dict(model.named_parameters()))
    copies, copy = [], torch._foreach_copy_
    monkeypatch.setattr(torch, "_foreach_copy_", lambda *given: (copies.append(1), copy(*given)))
    for step in range(3):
        model(torch.ones(4).bfloat16()).sum().backward()
        with torch.no_grad():
            masters.get_parameter("weight").add_(1.0)
        masters.publish()
        assert torch.equal(model.weight, masters.get_parameter("weight").bfloat16())
        assert len(copies) == step + 2  # and once before the first forward pass


def test_in_float32_the_masters_are_the_weights():
    model = linear(torch.float32)
    masters = MasterWeights(model, dict(model.named_parameters()))
    assert masters.get_parameter("weight") is model.weight
    masters.load({name: torch.ones_like(tensor) for name, tensor in masters.named().items()})
    assert torch.equal(model(torch.ones(4)), torch.full((3,), 5.0))
