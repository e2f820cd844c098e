"""A backbone with numbers that mean nothing in place of its weights: as much work as the real one, in little memory.

To know how fast a model is on a device, none of its weights has to be read: layers of one shape may share their
numbers, and all rows of a table of words are one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.meta_copy import modules_of, shared_by, with_tensors

ROWS = 1 << 14  # from which on a matrix is a table of words, of which few are looked up at a time
SCALE = 0.02  # of the numbers, as models begin with them


def stand_in(outline: Backbone, device: torch.device) -> Backbone:
    """A backbone that computes nonsense in the time that the real one takes.

    Args:
        outline: the backbone without its weights, see `loading.outline`.
        device: where it is to compute.
    """
    made: dict[tuple[torch.Size, torch.dtype], Tensor] = {}
    generator = torch.Generator().manual_seed(0)

    def numbers(shape: torch.Size, dtype: torch.dtype) -> Tensor:
        if not dtype.is_floating_point:  # a place or a kind of token: the first of each
            return torch.zeros(shape, dtype=dtype, device=device)
        return (torch.randn(shape, generator=generator) * SCALE).to(device, dtype)

    def make(tensor: Tensor) -> Tensor:
        key = tensor.shape, tensor.dtype
        if key not in made:
            table = tensor.dim() == 2 and len(tensor) >= ROWS  # noqa: PLR2004 - a matrix
            made[key] = numbers(tensor.shape[1:] if table else tensor.shape, tensor.dtype)
        return made[key].expand(tensor.shape)

    return with_tensors(outline, modules_of(outline), make, shared_by(outline))
