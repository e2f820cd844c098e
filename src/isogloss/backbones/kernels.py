"""Kernels that compute the same attention, and which of them wins where, as `benchmarks/attention.py` measures."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention.bias import CausalBias, causal_lower_right

SOFTMAX_STEP = 32  # bf16 softmax on a CPU is several times slower where the number of keys is no multiple of it
CACHED_KEYS = 384  # with so many keys a score matrix still fits the cache

Kernel = Callable[..., Tensor]  # (query, key, value, bias, scaling, dropout) -> (B, heads, T, D)


def matmul_kernel(
    query: Float[Tensor, "B heads T D"],
    key: Float[Tensor, "B heads S D"],
    value: Float[Tensor, "B heads S D"],
    bias: Tensor | None,
    scaling: float,
    dropout: float,
) -> Float[Tensor, "B heads T D"]:
    """Two matmuls and a softmax. `bias` is additive, broadcast to (B, heads, T, S)."""
    scores = torch.matmul(query * scaling, key.transpose(-1, -2))
    if bias is not None:
        scores = scores + bias
    weights = torch.softmax(scores, dim=-1)
    if dropout:
        weights = nn.functional.dropout(weights, dropout)
    return torch.matmul(weights, value)


def fused_kernel(
    query: Float[Tensor, "B heads T D"],
    key: Float[Tensor, "B heads S D"],
    value: Float[Tensor, "B heads S D"],
    bias: Tensor | None,
    scaling: float,
    dropout: float,
) -> Float[Tensor, "B heads T D"]:
    """PyTorch's fused scaled dot product attention. `bias` may also be `lower_right`."""
    if isinstance(bias, CausalBias) and query.shape[2] == key.shape[2]:
        return nn.functional.scaled_dot_product_attention(
            query, key, value, dropout_p=dropout, is_causal=True, scale=scaling
        )
    return nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=bias, dropout_p=dropout, scale=scaling
    )


def lower_right(tokens: int, keys: int) -> Tensor:
    """Causal attention with a prefix in front, as a mask that the fused kernels need not see written out."""
    mask: Tensor = causal_lower_right(tokens, keys)
    return mask


KERNELS: dict[str, Kernel] = {"matmul": matmul_kernel, "fused": fused_kernel}


def choose(*, device: str, keys: int) -> str:
    """The name of the fastest kernel.

    On a GPU the fused kernels win. On a CPU the fused backward loses to two matmuls and a softmax until the score
    matrix no longer fits the cache.

    Args:
        device: `cpu`, `cuda`, ….
        keys: how many positions are attended to.
    """
    return "matmul" if device == "cpu" and keys <= CACHED_KEYS else "fused"
