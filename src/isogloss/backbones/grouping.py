"""Packed rows laid out in padded groups and packed again, by indices alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import embedding  # an index of two dimensions in one call

from isogloss.backbones.join import summed
from isogloss.backbones.layout import PaddedRows


def grouped(
    query: Float[Tensor, "N heads D"],
    key: Float[Tensor, "N key_heads D"],
    value: Float[Tensor, "N key_heads D"],
    prefix: Float[Tensor, "two KP key_heads D"] | None,
    how: PaddedRows,
) -> list[Float[Tensor, "_ _ D"]]:
    """Queries, keys and values of each group in turn, with each row's prefix in front of its own keys and values."""
    width = query.shape[2]
    if prefix is not None:
        front = prefix.to(key.dtype)
        key, value = torch.cat([front[0], key]), torch.cat([front[1], value])
    query, key, value = (table.reshape(-1, width) for table in (query, key, value))
    return [
        embedding(index, table)
        for group in how.groups
        for index, table in ((group.query, query), (group.key, key), (group.key, value))
    ]


def together(parts: Sequence[Float[Tensor, "_ _ D"]]) -> Float[Tensor, "_ D"]:
    """All groups' end to end."""
    flat = [part.reshape(-1, part.shape[-1]) for part in parts]
    return flat[0] if len(flat) == 1 else torch.cat(flat)


def narrowed(of_heads: Float[Tensor, "any heads D"], key_heads: int) -> Float[Tensor, "any key_heads D"]:
    """What comes back to key heads, each of which may serve several query heads."""
    return (
        of_heads
        if of_heads.shape[1] == key_heads
        else of_heads.view(len(of_heads), key_heads, -1, of_heads.shape[2]).sum(2)
    )


class Grouped(torch.autograd.Function):
    """`grouped`, whose gradient is gathered by indices too."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, prefix: Tensor | None, how: PaddedRows
    ) -> tuple[Tensor, ...]:
        """See `grouped`."""
        ctx.how, ctx.shape, ctx.key_heads = how, query.shape, key.shape[1]
        ctx.prefix_dtype = None if prefix is None else prefix.dtype
        return tuple(grouped(query, key, value, prefix, how))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """What comes back to queries, keys, values and the prefix."""
        query, key, value = (together(grads[number::3]) for number in range(3))
        return (
            *apart(query, key, value, ctx.how, ctx.shape, ctx.key_heads, ctx.prefix_dtype, ctx.needs_input_grad),
            None,
        )


def apart(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    how: PaddedRows,
    shape: torch.Size,
    key_heads: int,
    prefix_dtype: torch.dtype | None,
    needed: tuple[bool, ...],
) -> list[Tensor | None]:
    """Gradients of what `grouped` gives, as gradients of what it was given.

    Args:
        query: of all groups' queries, end to end.
        key: of their keys.
        value: of their values.
        how: the indices of the padded rows.
        shape: of the packed queries.
        key_heads: of keys and values.
        prefix_dtype: of the prefix, if there is one.
        needed: which of the gradients of queries, keys, values and prefix are wanted.
    """
    _, heads, width = shape
    back: list[Tensor | None] = [query.index_select(0, how.text).view(shape) if needed[0] else None]
    for table, wanted in ((key, needed[1]), (value, needed[2])):
        back.append(narrowed(table.index_select(0, how.text_key).view(shape), key_heads) if wanted else None)
    if not needed[3]:
        return [*back, None]
    rows = how.prompts
    assert rows is not None
    assert how.prompt_key is not None
    halves = []
    for table in (key, value):
        of_rows = table.index_select(0, how.prompt_key).view(len(rows.run), -1, heads * width)
        halves.append(narrowed(summed(of_rows, rows).view(-1, heads, width), key_heads))
    return [*back, torch.stack(halves).to(prefix_dtype)]


class Ungrouped(torch.autograd.Function):
    """What attention gives for the groups, packed again."""

    @staticmethod
    def forward(ctx: Any, how: PaddedRows, *mixed: Tensor) -> Tensor:
        """(rows heads, T, D) of each group to (N heads, D)."""
        ctx.how = how
        return together(mixed).index_select(0, how.text)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Zeros where rows were padded."""
        return (None, *spread(grad, ctx.how))


def spread(packed: Float[Tensor, "_ D"], how: PaddedRows) -> list[Float[Tensor, "_ _ D"]]:
    """What belongs to tokens and heads, laid out for each group, with zeros where rows are padded."""
    table = torch.cat([packed, packed.new_zeros(1, packed.shape[1])])
    return [embedding(group.out, table) for group in how.groups]
