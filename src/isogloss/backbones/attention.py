"""One attention function for every backbone.

It is registered with transformers under the name `isogloss`; families with an attention of their own call it from a
forward pass of ours. Before a forward pass the backbone lays what this layer needs on the attention module itself, so
that two models in one process never see each other's: the layer's prefix, and how packed rows lie. Masks are made
here, group by group: where no function for masks is registered beside the attention, transformers makes none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from isogloss.backbones.attention_bias import AttentionBias, DistanceBias
from isogloss.backbones.kernels import KERNELS, SOFTMAX_STEP, choose, lower_right
from isogloss.backbones.packing import Packing, RowGroup
from isogloss.backbones.prefix import BatchPrefix, LayerPrefix

NAME = "isogloss"
_PREFIX = "_isogloss_prefix"
_PACKING = "_isogloss_packing"
_KEPT = "_isogloss_kept"
_RECORD: list[nn.Module] | None = None  # while `attention_modules` looks on

Kept = list[tuple[Tensor, Tensor]]  # packed keys and values (1, heads, N, D), a pair a layer


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    position_bias: DistanceBias | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Transformers' attention interface: (B, heads, T, D) in, (B, T, heads, D) out, with this layer's prefix."""
    if _RECORD is not None:
        _RECORD.append(module)
    layer_prefix: LayerPrefix | None = getattr(module, _PREFIX, None)
    packing: Packing | None = getattr(module, _PACKING, None)
    if (kept := getattr(module, _KEPT, None)) is not None:
        kept.append((key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    attention_bias = AttentionBias(bool(getattr(module, "is_causal", False)), sliding_window, position_bias)
    if packing is None:  # rows as they are, none of them padded
        assert attention_mask is None
        prefix = None if layer_prefix is None else layer_prefix.rows(slice(None), key.dtype)
        return _rows(query, key, value, None, prefix, attention_bias, scale, dropout).transpose(1, 2), None
    done = []
    for group in packing.groups:
        padded = [group.pad(part.transpose(1, 2)).transpose(1, 2) for part in (query, key, value)]
        prefix = None if layer_prefix is None else layer_prefix.rows(group.rows, key.dtype)
        mixed = _rows(padded[0], padded[1], padded[2], group, prefix, attention_bias, scale, dropout)
        done.append(group.pack(mixed.transpose(1, 2)))
    return torch.cat(done)[None], None


def _rows(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    group: RowGroup | None,
    prefix: BatchPrefix | None,
    attention_bias: AttentionBias,
    scale: float,
    dropout: float,
) -> Tensor:
    """Attention of padded rows (B, heads, T, D), each with its prefix, if any."""
    rows, key_heads, tokens, width = key.shape
    length = 0 if prefix is None else prefix.key.shape[2]
    name = choose(device=query.device.type, keys=length + tokens)
    blank = -(length + tokens) % SOFTMAX_STEP if name == "matmul" and query.dtype == torch.bfloat16 else 0
    if length or blank:
        behind = key.new_zeros(rows, key_heads, blank, width)
        before_key, before_value = (behind[:, :, :0],) * 2 if prefix is None else (prefix.key, prefix.value)
        key, value = torch.cat([before_key, key, behind], dim=2), torch.cat([before_value, value, behind], dim=2)
    plain = attention_bias == AttentionBias(causal=True) and (prefix is None or prefix.valid is None)
    if name == "fused" and plain:
        bias: Tensor | None = lower_right(tokens, length + tokens)
    else:
        bias = _joined(
            _prefix_bias(prefix, attention_bias, query), _text_bias(group, attention_bias, query), length, blank, query
        )
    if key_heads < query.shape[1]:  # grouped-query attention: a key head serves several query heads
        key = key.repeat_interleave(query.shape[1] // key_heads, dim=1)
        value = value.repeat_interleave(query.shape[1] // key_heads, dim=1)
    return KERNELS[name](query, key, value, bias, scale, dropout)


def _text_bias(group: RowGroup | None, attention_bias: AttentionBias, like: Tensor) -> Tensor | None:
    memo = {} if group is None else group.memo
    if (among := memo.get(attention_bias)) is None:
        among = attention_bias.among_text(like.shape[2], like)
        if among is not None and not among.requires_grad:
            memo[attention_bias] = among  # for the layers above
    if attention_bias.causal or group is None or group.places is None:
        return among  # padding stands behind every real token: where the future is closed, it is too
    return _open(group.mask, among, like)


def _prefix_bias(prefix: BatchPrefix | None, attention_bias: AttentionBias, like: Tensor) -> Tensor | None:
    """Where positions are not shifted a prefix stands at no distance: it is seen from everywhere alike."""
    if prefix is None:
        return None
    bias = None
    if prefix.shift:
        positions = prefix.key.shape[2]
        lengths = torch.full((1,), positions, device=like.device) if prefix.valid is None else prefix.valid.sum(dim=1)
        bias = attention_bias.to_prefix(like.shape[2], lengths, positions, like)
    return bias if prefix.valid is None else _open(prefix.valid, bias, like)


def _open(mask: Tensor, bias: Tensor | None, like: Tensor) -> Tensor:
    """A bias where the mask (B, S) is true, and what hides a position elsewhere."""
    hidden = like.new_tensor(torch.finfo(like.dtype).min)
    return torch.where(mask[:, None, None, :], like.new_zeros(()) if bias is None else bias, hidden)


def _joined(prefix: Tensor | None, text: Tensor | None, length: int, blank: int, like: Tensor) -> Tensor | None:
    """What is added to the scores (B, heads, T, P + T + blank): of the prefix, the text, and columns to be ignored."""
    if prefix is None and text is None and not blank:
        return None
    parts = [
        like.new_zeros(1, 1, 1, length) if prefix is None else prefix,
        like.new_zeros(1, 1, 1, like.shape[2]) if text is None else text,
        like.new_full((1, 1, 1, blank), torch.finfo(like.dtype).min),
    ]
    shape = [max(sizes) for sizes in zip(*(part.shape[:3] for part in parts), strict=True)]
    return torch.cat([part.expand(*shape, -1) for part in parts], dim=-1)


def lay(
    modules: list[nn.Module],
    prefixes: list[LayerPrefix | None],
    packing: Packing | None,
    kept: Kept | None = None,
) -> None:
    """Lay each layer's prefix (or none) and the packing (or none) on its attention module, until the next call.

    They stay after the forward pass, because gradient checkpointing runs the layers again in the backward.

    Args:
        modules: in the order of the layers.
        prefixes: one a layer.
        packing: how the rows lie.
        kept: takes the keys and values of every layer, if they are wanted.
    """
    for module, prefix in zip(modules, prefixes, strict=True):
        setattr(module, _PREFIX, prefix)
        setattr(module, _PACKING, packing)
        setattr(module, _KEPT, kept)


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
