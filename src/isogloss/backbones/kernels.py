"""Kernels that compute the same attention, and which of them runs where, as `benchmarks/attention.py` measures.

* `products`: two products and a softmax, with a backward pass written out. On a CPU it is the fastest in training until
  the scores no longer fit the cache.
* `fused`: PyTorch's scaled dot product attention. The fastest of all where nothing learns, and for long rows.
* `end-to-end`: one call of PyTorch's attention of variable length, without padding; on a GPU in half precision.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from isogloss.backbones.grouping import Grouped, Ungrouped, apart, grouped, spread, together
from isogloss.backbones.layout import EndToEnd, PaddedRows

FEW_KEYS = {torch.float32: 96, torch.bfloat16: 384}  # up to so many, products win in training on a CPU
WIDEST = 256  # numbers of a head, for flash attention
ON_GPU = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]

Kernel = Callable[..., Tensor]
"""(query, key, value, prefix, how, biases, scaling, dropout) -> (N, heads, D), of rows in padded groups.

Queries are (N, heads, D), keys and values (N, key heads, D), a prefix (2, K P, key heads, D); a bias for each group is
added to its scores (rows, heads, T, S), by broadcasting.
"""


def products(
    query: Float[Tensor, "N heads D"],
    key: Float[Tensor, "N key_heads D"],
    value: Float[Tensor, "N key_heads D"],
    prefix: Float[Tensor, "two KP key_heads D"] | None,
    how: PaddedRows,
    biases: Sequence[Tensor | None],
    scaling: float,
    dropout: float,
) -> Float[Tensor, "N heads D"]:
    """Two products and a softmax, and a backward pass written out."""
    out: Tensor = _Products.apply(query, key, value, prefix, how, biases, scaling, dropout)  # type: ignore[no-untyped-call]
    return out


class _Products(torch.autograd.Function):
    """Some twenty calls a group, where autograd's own backward pass takes twice as many and fills tables with zeros."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, prefix: Tensor | None, how: PaddedRows,
        biases: Sequence[Tensor | None], scaling: float, dropout: float,
    ) -> Tensor:  # fmt: skip
        laid, mixed, saved = grouped(query, key, value, prefix, how), [], []
        heads = query.shape[1]
        for number, bias in enumerate(biases):
            one, two, three = laid[3 * number : 3 * number + 3]
            scores = _scores(one, two, bias, heads, scaling)
            weights = torch.softmax(scores, dim=-1)
            kept = torch.empty_like(weights).bernoulli_(1 - dropout).div_(1 - dropout) if dropout else None
            mixed.append(torch.bmm(weights if kept is None else weights * kept, three))
            saved += [weights, kept]
        ctx.save_for_backward(*laid, *saved)
        ctx.how, ctx.scaling = how, scaling
        ctx.shape, ctx.key_heads = query.shape, key.shape[1]
        ctx.prefix_dtype = None if prefix is None else prefix.dtype
        return together(mixed).index_select(0, how.text).view(query.shape)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        how: PaddedRows = ctx.how
        tensors, count = ctx.saved_tensors, len(how.groups)
        laid, saved = tensors[: 3 * count], tensors[3 * count :]
        back: list[list[Tensor]] = [[], [], []]
        for number, given in enumerate(spread(grad.reshape(-1, grad.shape[-1]), how)):
            one, two, three = laid[3 * number : 3 * number + 3]
            weights, kept = saved[2 * number : 2 * number + 2]
            to_weights = torch.bmm(given, three.transpose(1, 2))
            if kept is not None:
                to_weights = to_weights * kept
            to_scores = torch.ops.aten._softmax_backward_data(to_weights, weights, -1, weights.dtype)  # noqa: SLF001 - softmax's own
            nothing = one.new_zeros(1, 1, 1)
            back[0].append(torch.baddbmm(nothing, to_scores, two, beta=0, alpha=ctx.scaling))
            back[1].append(torch.baddbmm(nothing, to_scores.transpose(1, 2), one, beta=0, alpha=ctx.scaling))
            back[2].append(torch.bmm((weights if kept is None else weights * kept).transpose(1, 2), given))
        tables = [together(parts) for parts in back]
        found = apart(
            tables[0], tables[1], tables[2], how, ctx.shape, ctx.key_heads, ctx.prefix_dtype, ctx.needs_input_grad
        )
        return (*found, None, None, None, None)


def _scores(query: Tensor, key: Tensor, bias: Tensor | None, heads: int, scaling: float) -> Tensor:
    """(rows heads, T, S), the bias added."""
    key = key.transpose(1, 2)
    if bias is None:
        return torch.baddbmm(query.new_zeros(1, 1, 1), query, key, beta=0, alpha=scaling)
    if bias.shape[1:3] == (1, 1):  # of keys alone: it is small, and one call adds it too
        flat = bias.expand(-1, heads, -1, -1).reshape(-1, 1, bias.shape[3])
        return torch.baddbmm(flat, query, key, alpha=scaling)
    scores = torch.baddbmm(query.new_zeros(1, 1, 1), query, key, beta=0, alpha=scaling)
    scores.view(-1, heads, *scores.shape[1:]).add_(bias)
    return scores


def fused(
    query: Float[Tensor, "N heads D"],
    key: Float[Tensor, "N key_heads D"],
    value: Float[Tensor, "N key_heads D"],
    prefix: Float[Tensor, "two KP key_heads D"] | None,
    how: PaddedRows,
    biases: Sequence[Tensor | None],
    scaling: float,
    dropout: float,
) -> Float[Tensor, "N heads D"]:
    """PyTorch's fused scaled dot product attention, group by group."""
    heads = query.shape[1]
    laid = Grouped.apply(query, key, value, prefix, how)  # type: ignore[no-untyped-call]
    mixed = []
    for number, (bias, group) in enumerate(zip(biases, how.groups, strict=True)):
        one, two, three = (part.view(group.rows, heads, *part.shape[1:]) for part in laid[3 * number : 3 * number + 3])
        with _backends(query):
            done = nn.functional.scaled_dot_product_attention(
                one, two, three, attn_mask=bias, dropout_p=dropout, scale=scaling
            )
        mixed.append(done.flatten(0, 1))
    out: Tensor = Ungrouped.apply(how, *mixed)  # type: ignore[no-untyped-call]
    return out.view(query.shape)


def _backends(query: Tensor) -> AbstractContextManager[None]:
    """On a GPU not cuDNN's, which newer PyTorches take first on an H100: it plans anew for each shape of rows."""
    return sdpa_kernel(ON_GPU) if query.is_cuda else nullcontext()


KERNELS: dict[str, Kernel] = {"products": products, "fused": fused}


def choose(*, device: str, dtype: torch.dtype, keys: int, learning: bool) -> str:
    """The name of the fastest kernel over padded rows.

    On a GPU the fused kernels win. On a CPU the fused forward pass does; its backward pass loses up to a number of keys
    that depends on the dtype, since it computes in float32 whatever it is given.

    Args:
        device: `cpu`, `cuda`, ….
        dtype: of queries, keys and values.
        keys: how many positions are attended to.
        learning: whether there will be a backward pass.
    """
    return "products" if device == "cpu" and learning and keys <= FEW_KEYS.get(dtype, 0) else "fused"


@cache
def variable_length() -> Callable[..., Tensor] | None:
    """PyTorch's attention of variable length, and None in a PyTorch that has none.

    Its signature changed between 2.10 and 2.13; what is handed over goes by the one that runs.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    known = inspect.signature(varlen_attn).parameters

    def attend(
        query: Tensor, key: Tensor, value: Tensor, lay: EndToEnd, *, scaling: float, back: int | None, causal: bool
    ) -> Tensor:
        more: dict[str, Any] = {}
        if "scale" in known:
            more["scale"] = scaling
        else:
            query = query * (scaling * query.shape[-1] ** 0.5)
        if "window_size" in known:
            more["window_size"] = (-1 if back is None else back, 0 if causal else -1)
        else:
            assert back is None  # `windows` was asked
        if "is_causal" in known and "window_size" not in known:
            more["is_causal"] = causal
        heads, key_heads = query.shape[1], key.shape[1]
        if heads != key_heads:
            if "enable_gqa" in known:
                more["enable_gqa"] = True
            else:
                key, value = (part.repeat_interleave(heads // key_heads, dim=1) for part in (key, value))
        out = varlen_attn(
            query, key, value, lay.query_starts, lay.key_starts, lay.longest_query, lay.longest_key, **more
        )
        assert isinstance(out, Tensor)
        return out

    return attend


@cache
def windows() -> bool:
    """Whether that attention has sliding windows."""
    from torch.nn.attention.varlen import varlen_attn

    return "window_size" in inspect.signature(varlen_attn).parameters
