"""Queries, keys and values by one product where their weights do not learn, on devices where launches count."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

_FUSED: WeakKeyDictionary[nn.Module, tuple[Any, Tensor, Tensor]] = WeakKeyDictionary()


def projected(attention: Any, states: Float[Tensor, "one N H"]) -> tuple[Tensor, ...]:
    """Queries, keys and values (1, N, heads D) of an attention with linear layers `query`, `key` and `value`.

    The weights of a frozen layer become views of one matrix, and take no more memory. On a CPU three products are as
    fast as one, and leave each result in memory of its own.
    """
    layers = [attention.query, attention.key, attention.value]
    apart = any(type(layer) is not nn.Linear or layer.weight.requires_grad for layer in layers)
    if not states.is_cuda or apart or isinstance(states, FakeTensor):  # of which nobody knows where it lies
        return tuple(layer(states) for layer in layers)
    now = [(layer.weight.data_ptr(), layer.weight._version) for layer in layers]  # noqa: SLF001 - whether it is the same
    known = _FUSED.get(attention)
    if known is None or known[0] != now:
        with torch.no_grad():
            weight = torch.cat([layer.weight for layer in layers])
            bias = torch.cat([layer.bias for layer in layers])
            for layer, part in zip(layers, weight.chunk(3), strict=True):
                layer.weight.data = part
        now = [(layer.weight.data_ptr(), layer.weight._version) for layer in layers]  # noqa: SLF001
        known = _FUSED[attention] = (now, weight, bias)
    return nn.functional.linear(states, known[1], known[2]).chunk(3, dim=-1)
