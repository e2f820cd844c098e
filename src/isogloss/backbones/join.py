"""Prompt and text brought together by one index, and apart again in the backward pass.

PyTorch's own gradient of an index adds in whatever order threads come, and fills a table with zeros first. Here every
place of the result is read by one place of the text, so that its gradient is gathered as well; what comes back to a
prompt from all of a run's rows is laid out by rows and summed in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from isogloss.backbones.layout import Join, PromptRows


def joined(
    prompt: Shaped[Tensor, "KP *width"], text: Shaped[Tensor, "N *width"], join: Join
) -> Shaped[Tensor, "joined *width"]:
    """Prompts and text in one, in the dtype of the text: vectors, or what else tokens have.

    Args:
        prompt: of all runs end to end.
        text: all rows end to end.
        join: where everything goes.
    """
    out: Tensor = _Joined.apply(prompt, text, join)  # type: ignore[no-untyped-call]
    return out


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, prompt: Tensor, text: Tensor, join: Join) -> Tensor:
        ctx.join, ctx.dtype = join, prompt.dtype
        return torch.cat([prompt.to(text.dtype), text]).index_select(0, join.source)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        join: Join = ctx.join
        prompt, text = None, None
        if ctx.needs_input_grad[0]:
            rows, length = join.prompt.shape
            of_rows = grad.index_select(0, join.prompt.flatten()).view(rows, length, -1)
            prompt = summed(of_rows, join.rows).view(-1, *grad.shape[1:]).to(ctx.dtype)
        if ctx.needs_input_grad[1]:
            text = grad.index_select(0, join.text)
        return prompt, text, None


def summed(of_rows: Float[Tensor, "B P width"], rows: PromptRows) -> Float[Tensor, "K P width"]:
    """What comes back to the prompts from each row, summed by run in float32, in an order that is always the same."""
    if rows.mask is not None:  # not a product: what is not there may be infinite
        of_rows = of_rows.masked_fill(~rows.mask[..., None], 0.0)
    if rows.runs == 1:
        return of_rows.sum(0, keepdim=True, dtype=torch.float32)
    if rows.even:
        return of_rows.view(rows.runs, -1, *of_rows.shape[1:]).sum(1, dtype=torch.float32)
    total = of_rows.new_zeros(rows.runs, *of_rows.shape[1:], dtype=torch.float32)
    return total.index_add_(0, rows.run, of_rows.float())
