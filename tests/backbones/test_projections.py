"""Three projections by one product, on devices where that pays."""

from types import SimpleNamespace

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from isogloss.backbones.projections import projected


def test_stand_ins_without_memory_are_not_asked_where_they_lie():
    """An estimate of a GPU's pass has none; PyTorch warns whoever asks, and warnings are errors here."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def stand_in(*shape):
        return FakeTensor(mode, torch.empty(*shape, device="meta"), torch.device("cuda"))

    layers = [nn.Linear(4, 4, device="meta").requires_grad_(requires_grad=False) for _ in range(3)]
    for layer in layers:
        layer.weight = nn.Parameter(stand_in(4, 4), requires_grad=False)
        layer.bias = nn.Parameter(stand_in(4), requires_grad=False)
    attention = SimpleNamespace(**dict(zip(("query", "key", "value"), layers, strict=True)))
    with mode:
        made = projected(attention, stand_in(1, 5, 4))
    assert [tuple(part.shape) for part in made] == [(1, 5, 4)] * 3
    assert all(part.is_cuda for part in made)
