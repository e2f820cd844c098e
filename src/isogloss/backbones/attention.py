"""One attention function for every backbone that has transformers' attention interface.

It is registered under the name `isogloss`, with transformers' own `sdpa_mask` to make its masks. Before a forward
pass the backbone lays what this layer needs on the attention module itself, so that two models in one process never
see each other's: the layer's prefix, and how packed rows lie. Several kernels compute the same thing; `choose` says
which wins where, as measured by `benchmarks/attention.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

NAME = "isogloss"
_PREFIX = "_isogloss_prefix"
_PACKING = "_isogloss_packing"
_RECORD: list[nn.Module] | None = None  # while `attention_modules` looks on


@dataclass(frozen=True)
class LayerPrefix:
    """One layer's prefix for K runs, and the run of each row."""

    key: Float[Tensor, "K heads P D"]
    value: Float[Tensor, "K heads P D"]
    valid: Bool[Tensor, "K P"] | None  # None: every position is real
    run: Int[Tensor, "B"]

    def rows(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor | None]:
        """Keys and values (B, heads, P, D) and mask (B, P) of each row of the batch."""
        size = len(self.run)
        if len(self.key) == 1:
            valid = None if self.valid is None else self.valid.expand(size, -1)
            key, value = self.key.to(dtype), self.value.to(dtype)
            return key.expand(size, -1, -1, -1), value.expand(size, -1, -1, -1), valid
        # A product with one-hot rows picks exactly and, unlike indexing, sums the gradient in float32 and in order.
        pick = nn.functional.one_hot(self.run, len(self.key)).to(dtype)
        key, value = (
            (pick @ tensor.to(dtype).flatten(1)).view(size, *tensor.shape[1:]) for tensor in (self.key, self.value)
        )
        return key, value, None if self.valid is None else self.valid[self.run]


@dataclass(frozen=True)
class Packing:
    """Rows of unequal length, laid end to end without padding.

    Everything but attention works on single tokens, so only attention needs to see rows.
    """

    places: Int[Tensor, "N"]  # where each token stands in a padded (B, T)
    mask: Bool[Tensor, "B T"]
    full: bool  # every position is real; known once, because asking a GPU in every layer would stall it

    @classmethod
    def of(cls, mask: Bool[Tensor, "B T"]) -> Packing:
        """The packing of rows with these real positions."""
        places = mask.flatten().nonzero().squeeze(1)
        return cls(places, mask, full=len(places) == mask.numel())

    def pack(self, padded: Shaped[Tensor, "B T *rest"]) -> Shaped[Tensor, "1 N *rest"]:
        """Only the real positions."""
        return padded.flatten(0, 1).index_select(0, self.places)[None]

    def pad(self, packed: Shaped[Tensor, "1 N *rest"]) -> Shaped[Tensor, "B T *rest"]:
        """Zeros at the others."""
        rows, columns = self.mask.shape
        blank = packed.new_zeros(rows * columns, *packed.shape[2:])
        return blank.index_copy(0, self.places, packed[0]).view(rows, columns, *packed.shape[2:])


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
    """PyTorch's fused scaled dot product attention."""
    return nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=bias, dropout_p=dropout, scale=scaling
    )


CACHED_KEYS = 512  # with so many keys a row's score matrix still fits the cache

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


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask as transformers hands it (bool or additive) as a bias in the dtype of the scores."""
    if mask.dtype == torch.bool:
        # The lowest finite number, not -inf: a row with nothing to attend to must not become NaN.
        return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(~mask, torch.finfo(like.dtype).min)
    return mask.to(like.dtype)


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Transformers' attention interface: (B, heads, T, D) in, (B, T, heads, D) out, with this layer's prefix."""
    if _RECORD is not None:
        _RECORD.append(module)
    packing: Packing | None = getattr(module, _PACKING, None)
    if packing is not None:
        query, key, value = (packing.pad(part.transpose(1, 2)).transpose(1, 2) for part in (query, key, value))
        attention_mask = None if packing.full else packing.mask[:, None, None, :]
    groups = query.shape[1] // key.shape[1]
    bias = None if attention_mask is None else _additive(attention_mask, query)
    prefix: LayerPrefix | None = getattr(module, _PREFIX, None)
    if prefix is not None:
        prefix_key, prefix_value, valid = prefix.rows(key.dtype)
        key = torch.cat([prefix_key, key], dim=2)
        value = torch.cat([prefix_value, value], dim=2)
        bias = _with_prefix(bias, valid, query, prefix_key.shape[2], key.shape[2])
    if groups > 1:  # grouped-query attention: each key head serves `groups` query heads
        key = key.repeat_interleave(groups, dim=1)
        value = value.repeat_interleave(groups, dim=1)
    kernel = KERNELS[choose(device=query.device.type, keys=key.shape[2])]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    attended = kernel(query, key, value, bias, scale, dropout).transpose(1, 2)
    return attended if packing is None else packing.pack(attended), None


def _with_prefix(bias: Tensor | None, valid: Tensor | None, like: Tensor, length: int, keys: int) -> Tensor | None:
    """The bias with `length` open columns in front, closed where a run's prompt is shorter."""
    if bias is None and valid is None:
        return None
    rows = like.shape[0]
    open_columns = torch.ones(rows, length, dtype=torch.bool, device=like.device) if valid is None else valid
    front = _additive(open_columns[:, None, None, :], like)
    if bias is None:
        bias = like.new_zeros(rows, 1, 1, keys - length)
    return torch.cat([front.expand(rows, 1, bias.shape[2], length), bias], dim=-1)


def lay(modules: list[nn.Module], prefixes: list[LayerPrefix | None], packing: Packing | None) -> None:
    """Lay each layer's prefix (or none) and the packing (or none) on its attention module, until the next call.

    They stay after the forward pass, because gradient checkpointing runs the layers again in the backward.
    """
    for module, prefix in zip(modules, prefixes, strict=True):
        setattr(module, _PREFIX, prefix)
        setattr(module, _PACKING, packing)


def attention_modules(forward: Callable[[], object]) -> list[nn.Module]:
    """The self-attention modules in the order of the layers, found by watching one forward pass."""
    global _RECORD  # noqa: PLW0603 - the interface gives us no other way to look on
    _RECORD = []
    try:
        with torch.no_grad():
            forward()
        return _RECORD
    finally:
        _RECORD = None


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
