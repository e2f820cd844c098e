"""Who attends to whom, as far as it depends on where they stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

DistanceBias = Callable[[Int[Tensor, "*rows T S"]], Float[Tensor, "*rows heads T S"]]


@dataclass(frozen=True)
class AttentionBias:
    """The rules of one layer, in terms of the distance from a query back to a key.

    Args:
        causal: nothing behind the query is seen.
        window: nothing so far before the query, or farther, is seen (a sliding window).
        bias: what a distance adds to a score, if anything (ALiBi, T5's buckets).
    """

    causal: bool = False
    window: int | None = None
    bias: DistanceBias | None = None

    def among_text(self, length: int, like: Tensor) -> Float[Tensor, "1 any T T"] | None:
        """What is added to the scores of a text's tokens among themselves; None for nothing."""
        if not self.causal and self.window is None and self.bias is None:
            return None
        at = torch.arange(length, device=like.device)
        return self._of((at[:, None] - at)[None], like)

    def to_prefix(self, length: int, prefix: Int[Tensor, "rows"], positions: int, like: Tensor) -> Tensor | None:
        """What is added to the scores of a text's tokens towards the positions of a prefix; None for nothing.

        Args:
            length: tokens T of the text.
            prefix: how many positions stand in front of each row; a single number if that is so for every row.
            positions: the greatest such number P.
            like: a tensor of the device and dtype wanted.

        Returns:
            (rows, heads or 1, T, P)
        """
        if self.window is None and self.bias is None:
            return None
        text = torch.arange(length, device=like.device)[:, None] - torch.arange(positions, device=like.device)
        return self._of(prefix[:, None, None] + text, like)

    def _of(self, distance: Tensor, like: Tensor) -> Tensor:
        added = like.new_zeros(1, 1, 1, 1) if self.bias is None else self.bias(distance).to(like.dtype)
        closed = torch.zeros_like(distance, dtype=torch.bool)
        if self.causal:
            closed |= distance < 0
        if self.window is not None:
            closed |= distance >= self.window
        # The lowest finite number, not -inf: a row with nothing to attend to must not become NaN.
        return added.masked_fill(closed[:, None], torch.finfo(like.dtype).min)
