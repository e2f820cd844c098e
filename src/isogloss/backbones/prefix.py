"""One layer's prefix for K runs, and what of it stands in front of the rows of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class BatchPrefix:
    """Keys and values of one layer that stand in front of each row of a batch."""

    key: Float[Tensor, "B heads P D"]
    value: Float[Tensor, "B heads P D"]
    valid: Bool[Tensor, "B P"] | None  # None: every position is real
    shift: bool  # whether the text's positions begin after it


@dataclass(frozen=True)
class LayerPrefix:
    """One layer's prefix for K runs, and the run of each row."""

    key: Float[Tensor, "K heads P D"]
    value: Float[Tensor, "K heads P D"]
    valid: Bool[Tensor, "K P"] | None  # None: every position is real
    run: Int[Tensor, "B"]
    shift: bool = True

    def rows(self, which: slice, dtype: torch.dtype) -> BatchPrefix:
        """What stands in front of these rows of the batch."""
        run = self.run[which]
        size = len(run)
        if len(self.key) == 1:
            valid = None if self.valid is None else self.valid.expand(size, -1)
            key, value = self.key.to(dtype), self.value.to(dtype)
            return BatchPrefix(key.expand(size, -1, -1, -1), value.expand(size, -1, -1, -1), valid, self.shift)
        key, value = (pick(tensor, run, dtype) for tensor in (self.key, self.value))
        return BatchPrefix(key, value, None if self.valid is None else self.valid[run], self.shift)


def pick(table: Tensor, run: Int[Tensor, "B"], dtype: torch.dtype) -> Tensor:
    """Each row's own of K tensors.

    Plain indexing would sum the gradient in the dtype of the rows, and on several threads in another order each time; a
    product with one-hot rows would carry a run's infinities over to all others.
    """
    picked: Tensor = _Pick.apply(table, run, dtype)  # type: ignore[no-untyped-call]
    return picked


class _Pick(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, run: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(run)
        ctx.runs, ctx.dtype = len(table), table.dtype
        return table.to(dtype)[run]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (run,) = ctx.saved_tensors
        total = grad.new_zeros(ctx.runs, *grad.shape[1:], dtype=torch.float32)
        return total.index_add_(0, run, grad.float()).to(ctx.dtype), None, None
