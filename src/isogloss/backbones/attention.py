"""One attention function for every backbone that has transformers' attention interface.

It is registered under the name `isogloss`, with transformers' own `sdpa_mask` to make its masks. Before a forward
pass the backbone lays what this layer needs on the attention module itself, so that two models in one process never
see each other's: the layer's prefix, and how packed rows lie. Several kernels compute the same thing; `choose` says
which wins where, as measured by `benchmarks/attention.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise
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


Front = tuple[Tensor, Tensor, Tensor | None]  # keys and values (B, heads, P, D), mask (B, P) if not all are real


@dataclass(frozen=True)
class LayerPrefix:
    """One layer's prefix for K runs, and the run of each row."""

    key: Float[Tensor, "K heads P D"]
    value: Float[Tensor, "K heads P D"]
    valid: Bool[Tensor, "K P"] | None  # None: every position is real
    run: Int[Tensor, "B"]

    def rows(self, which: slice, dtype: torch.dtype) -> Front:
        """What stands in front of these rows of the batch."""
        run = self.run[which]
        size = len(run)
        if len(self.key) == 1:
            valid = None if self.valid is None else self.valid.expand(size, -1)
            key, value = self.key.to(dtype), self.value.to(dtype)
            return key.expand(size, -1, -1, -1), value.expand(size, -1, -1, -1), valid
        key, value = (
            _Pick.apply(tensor, run, dtype)  # type: ignore[no-untyped-call]
            for tensor in (self.key, self.value)
        )
        return key, value, None if self.valid is None else self.valid[run]


class _Pick(torch.autograd.Function):
    """Each row's own of K tensors.

    Plain indexing would sum the gradient in the dtype of the rows, and a product with one-hot rows would carry a
    run's infinities over to all others.
    """

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


@dataclass(frozen=True)
class Group:
    """Consecutive packed rows of like length, which attention pads to the longest of them."""

    rows: slice
    tokens: slice  # where they lie end to end
    mask: Bool[Tensor, "B T"]
    places: Int[Tensor, "N"] | None  # where each token stands in (B, T); none if every place is taken

    def pad(self, packed: Shaped[Tensor, "1 total *rest"]) -> Shaped[Tensor, "B T *rest"]:
        """These rows, with zeros behind the shorter ones."""
        own, (rows, columns) = packed[0, self.tokens], self.mask.shape
        if self.places is not None:
            own = own.new_zeros(rows * columns, *own.shape[1:]).index_copy(0, self.places, own)
        return own.view(rows, columns, *own.shape[1:])

    def pack(self, padded: Shaped[Tensor, "B T *rest"]) -> Shaped[Tensor, "N *rest"]:
        """The real positions, end to end."""
        flat = padded.flatten(0, 1)
        return flat if self.places is None else flat.index_select(0, self.places)


@dataclass(frozen=True)
class Packing:
    """Rows of unequal length, laid end to end without padding.

    Everything but attention works on single tokens, so only attention needs to see rows, a group at a time.
    """

    whole: Group
    groups: list[Group]

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
            longest = int(mask[begin:end].any(dim=0).nonzero().max()) + 1
            groups.append(_group(mask[:, :longest], starts, begin, end))
        return cls(_group(mask, starts, 0, len(counts)), groups)

    def pack(self, padded: Shaped[Tensor, "B T *rest"]) -> Shaped[Tensor, "1 N *rest"]:
        """Only the real positions."""
        return self.whole.pack(padded)[None]

    def pad(self, packed: Shaped[Tensor, "1 N *rest"]) -> Shaped[Tensor, "B T *rest"]:
        """Zeros at the others."""
        return self.whole.pad(packed)


LIKE = 0.75  # rows of a group have at least this share of its longest row's tokens
LIKE_ON_GPU = 0.5  # where another launch costs more than a little padding


def _group(mask: Tensor, starts: list[int], begin: int, end: int) -> Group:
    mask = mask[begin:end]
    tokens = slice(starts[begin], starts[end])
    full = tokens.stop - tokens.start == mask.numel()
    return Group(slice(begin, end), tokens, mask, None if full else mask.flatten().nonzero().squeeze(1))


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


SOFTMAX_STEP = 32  # bf16 softmax on a CPU is several times slower where the number of keys is no multiple of it
CACHED_KEYS = 384  # with so many keys a score matrix still fits the cache

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
    prefix: LayerPrefix | None = getattr(module, _PREFIX, None)
    packing: Packing | None = getattr(module, _PACKING, None)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if packing is None:
        front = None if prefix is None else prefix.rows(slice(None), key.dtype)
        return _rows(query, key, value, attention_mask, front, scale, dropout).transpose(1, 2), None
    done = []
    for group in packing.groups:
        padded = [group.pad(part.transpose(1, 2)).transpose(1, 2) for part in (query, key, value)]
        mask = None if group.places is None else group.mask[:, None, None, :]
        front = None if prefix is None else prefix.rows(group.rows, key.dtype)
        done.append(group.pack(_rows(padded[0], padded[1], padded[2], mask, front, scale, dropout).transpose(1, 2)))
    return torch.cat(done)[None], None


def _rows(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    front: Front | None,
    scale: float,
    dropout: float,
) -> Tensor:
    """Attention of padded rows (B, heads, T, D), each with what stands in front of it."""
    rows, key_heads, tokens, width = key.shape
    length = 0 if front is None else front[0].shape[2]
    name = choose(device=query.device.type, keys=length + tokens)
    blank = -(length + tokens) % SOFTMAX_STEP if name == "matmul" and query.dtype == torch.bfloat16 else 0
    valid = None
    if length or blank:
        behind = key.new_zeros(rows, key_heads, blank, width)
        before_key, before_value, valid = (behind[:, :, :0], behind[:, :, :0], None) if front is None else front
        key, value = torch.cat([before_key, key, behind], dim=2), torch.cat([before_value, value, behind], dim=2)
    bias = None if mask is None else _additive(mask, query)
    if blank or valid is not None or (length and bias is not None):
        before = query.new_zeros(rows, length) if valid is None else _additive(valid, query)
        text = query.new_zeros(rows, 1, 1, tokens) if bias is None else bias
        closed = query.new_full((rows, blank), torch.finfo(query.dtype).min)
        around = [part[:, None, None].expand(-1, 1, text.shape[2], -1) for part in (before, closed)]
        bias = torch.cat([around[0], text, around[1]], dim=-1)
    if key_heads < query.shape[1]:  # grouped-query attention: a key head serves several query heads
        key = key.repeat_interleave(query.shape[1] // key_heads, dim=1)
        value = value.repeat_interleave(query.shape[1] // key_heads, dim=1)
    return KERNELS[name](query, key, value, bias, scale, dropout)


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask as transformers hands it (bool or additive) as a bias in the dtype of the scores."""
    if mask.dtype == torch.bool:
        # The lowest finite number, not -inf: a row with nothing to attend to must not become NaN.
        return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(~mask, torch.finfo(like.dtype).min)
    return mask.to(like.dtype)


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
