"""The same modules with other tensors: without memory, or as stand-ins that only say where they would lie."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from isogloss.backbones.attention import lay
from isogloss.backbones.backbone import Backbone

T = TypeVar("T")


def meta_copy(backbone: Backbone) -> Backbone:
    """A backbone on the device `meta`: every shape, and no number."""
    lay(backbone.attention, None)  # the last batch is none of the copy's business
    return with_tensors(
        backbone, modules_of(backbone), lambda tensor: torch.empty_like(tensor, device="meta"), shared_by(backbone)
    )


def with_tensors(value: T, modules: Iterable[nn.Module], make: Callable[[Tensor], Tensor], shared: list[Any]) -> T:
    """A copy of a structure in which the modules' parameters and buffers are others.

    Args:
        value: it holds the modules.
        modules: whose tensors are exchanged.
        make: the tensor that takes a tensor's place.
        shared: what is not copied.
    """
    memo: dict[int, Any] = {id(one): one for one in shared}
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            if id(tensor) not in memo:
                made = make(tensor.detach())
                parameter = isinstance(tensor, nn.Parameter)
                memo[id(tensor)] = nn.Parameter(made, requires_grad=tensor.requires_grad) if parameter else made
    return copy.deepcopy(value, memo)


def modules_of(backbone: Backbone) -> list[nn.Module]:
    """All that holds a backbone's weights."""
    return [backbone.model] if backbone.lm_head is None else [backbone.model, backbone.lm_head]


def shared_by(backbone: Backbone) -> list[Any]:
    """What two backbones of the same model have in common."""
    return [backbone.tokenizer, backbone.identity]
