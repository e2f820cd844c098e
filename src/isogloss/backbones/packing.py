"""Rows of unequal length end to end, and in groups of like length for attention."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

LIKE = 0.75  # rows of a group have at least this share of its longest row's tokens
LIKE_ON_GPU = 0.5  # where another launch costs more than a little padding


@dataclass(frozen=True)
class RowGroup:
    """Consecutive packed rows of like length, which attention pads to the longest of them."""

    rows: slice
    tokens: slice  # where they lie end to end
    mask: Bool[Tensor, "B T"]
    places: Int[Tensor, "N"] | None  # where each token stands in (B, T); none if every place is taken
    memo: dict[Any, Tensor] = field(default_factory=dict)  # what attention need not make anew in every layer

    def pad(self, packed: Shaped[Tensor, "1 total *rest"]) -> Shaped[Tensor, "B T *rest"]:
        """These rows, with zeros behind the shorter ones."""
        real, (rows, columns) = packed[0, self.tokens], self.mask.shape  # real tokens (N, *rest)
        if self.places is not None:
            real = real.new_zeros(rows * columns, *real.shape[1:]).index_copy(0, self.places, real)
        return real.view(rows, columns, *real.shape[1:])

    def pack(self, padded: Shaped[Tensor, "B T *rest"]) -> Shaped[Tensor, "N *rest"]:
        """The real positions, end to end."""
        flat = padded.flatten(0, 1)
        return flat if self.places is None else flat.index_select(0, self.places)


@dataclass(frozen=True)
class Packing:
    """Rows of unequal length, laid end to end without padding.

    Everything but attention works on single tokens, so only attention needs to see rows, a group at a time.
    """

    whole: RowGroup
    groups: list[RowGroup]

    @classmethod
    def of(cls, mask: Bool[Tensor, "B T"]) -> Packing:
        """The packing of rows with these real positions; best with the longest rows first."""
        counts: list[int] = mask.sum(dim=1).tolist()
        cuts = [0]
        like = LIKE if mask.device.type == "cpu" else LIKE_ON_GPU
        for row, count in enumerate(counts):
            if not like * counts[cuts[-1]] <= count <= counts[cuts[-1]]:
                cuts.append(row)
        starts = [0, *accumulate(counts)]
        groups = []
        for begin, end in pairwise([*cuts, len(counts)]):
            # Real tokens side by side, whatever gaps were between them: attention goes by the distances.
            lengths = torch.tensor(counts[begin:end], device=mask.device)
            real = torch.arange(max(counts[begin:end]), device=mask.device) < lengths[:, None]
            groups.append(_group(real, starts, begin, end))
        return cls(_group(mask, starts, 0, len(counts)), groups)

    def pack(self, padded: Shaped[Tensor, "B T *rest"]) -> Shaped[Tensor, "1 N *rest"]:
        """Only the real positions."""
        return self.whole.pack(padded)[None]

    def pad(self, packed: Shaped[Tensor, "1 N *rest"]) -> Shaped[Tensor, "B T *rest"]:
        """Zeros at the others."""
        return self.whole.pad(packed)


def _group(mask: Tensor, starts: list[int], begin: int, end: int) -> RowGroup:
    tokens = slice(starts[begin], starts[end])
    full = tokens.stop - tokens.start == mask.numel()
    return RowGroup(slice(begin, end), tokens, mask, None if full else mask.flatten().nonzero().squeeze(1))
