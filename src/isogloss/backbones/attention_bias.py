"""Who attends to whom, as far as it depends on where they stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isogloss.backbones.layout import RowGroup

DistanceBias = Callable[[Int[Tensor, "*rows T S"]], Float[Tensor, "*rows heads T S"]]


@dataclass(frozen=True)
class AttentionBias:
    """The rules of one layer, in terms of the distance from a query back to a key.

    Args:
        causal: nothing behind the query is seen.
        window: nothing so far before the query, or farther, is seen (a sliding window).
        bias: what a distance adds to a score, if anything (ALiBi, T5's buckets).
        shift: whether a prefix stands at a distance; where it does not, it is seen from everywhere alike.
    """

    causal: bool = False
    window: int | None = None
    bias: DistanceBias | None = None
    shift: bool = True

    @property
    def bare(self) -> bool:
        """Whether everything is seen alike."""
        return not self.causal and self.window is None and self.bias is None

    def of(self, group: RowGroup, like: Tensor) -> Float[Tensor, "any heads T S"] | None:
        """What is added to the scores of a group's rows, one for all rows, heads or queries that are alike; or nothing.

        Args:
            group: padded rows with the prefix in front of each row's own keys.
            like: a tensor of the device and dtype wanted.
        """
        # The lowest finite number, not -inf: a row with nothing to attend to must not become NaN.
        hidden = torch.finfo(like.dtype).min
        if self.bare:
            if group.mask is None:
                return None
            return like.new_zeros(group.mask.shape).masked_fill_(~group.mask, hidden)[:, None, None]
        key = torch.arange(group.keys, device=like.device)
        prefix = group.prefix[:, None, None]
        distance = torch.arange(group.length, device=like.device)[:, None] + prefix - key  # (rows or 1, T, S)
        added = self.at(distance, like)
        if not self.shift:
            before = (key < prefix)[:, None]
            added = torch.where(before, like.new_zeros(()), added)
        if group.mask is not None:
            added = added.masked_fill(~group.mask[:, None, None, :], hidden)
        return added

    def at(self, distance: Int[Tensor, "rows T S"], like: Tensor) -> Float[Tensor, "rows any T S"]:
        """What is added at each distance."""
        closed = torch.zeros_like(distance, dtype=torch.bool)
        if self.causal:
            closed = distance < 0
        if self.window is not None:
            closed = closed | (distance >= self.window)
        added = like.new_zeros(1, 1, 1, 1) if self.bias is None else self.bias(distance).to(like.dtype)
        return added.masked_fill(closed[:, None], torch.finfo(like.dtype).min)
