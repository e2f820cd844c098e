"""One attention function for every backbone.

It is registered with transformers under the name `isogloss`; families with an attention of their own call it from a
forward pass of ours. Before a forward pass the backbone lays what this layer needs on the attention module itself, so
that two models in one process never see each other's: the layer's prefix, and how packed rows lie. Masks are made
here, group by group: where no function for masks is registered beside the attention, transformers makes none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface

from isogloss.backbones.attention_bias import AttentionBias, DistanceBias
from isogloss.backbones.join import joined
from isogloss.backbones.kernels import KERNELS, choose, variable_length
from isogloss.backbones.layout import Attention, EndToEnd, PaddedRows

NAME = "isogloss"
_LAYER = "_isogloss_layer"

Kept = list[tuple[Tensor, Tensor]]  # packed keys and values (N, heads, D), a pair a layer


@dataclass(frozen=True)
class AttentionCall:
    """What a model asks of the attention in one of its layers."""

    module: nn.Module
    window: int | None
    biased: bool
    heads: int
    key_heads: int
    width: int


_RECORD: list[AttentionCall] | None = None  # while `attention_calls` looks on
_OUTSIDE: Callable[..., Tensor] | None = None  # what compiled layers call


@dataclass
class LayerBatch:
    """What a layer's attention needs to know of the batch.

    Args:
        attention: how its rows lie, for this layer.
        prefix: keys and values of this layer (2, K P, heads, D), of all runs end to end.
        shift: whether the text's positions begin after a prefix.
        memo: what layers need not make anew, shared by all.
        kept: takes the keys and values of every layer, if they are wanted.
    """

    attention: Attention
    prefix: Tensor | None = None
    shift: bool = True
    memo: dict[Any, Any] = field(default_factory=dict)
    kept: Kept | None = None


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
    """Transformers' attention interface: (1, heads, N, D) in, (1, N, heads, D) out."""
    assert attention_mask is None
    packed = (part.squeeze(0).transpose(0, 1) for part in (query, key, value))
    mixed = attend_packed(
        module, *packed, scaling=scaling, dropout=dropout, window=sliding_window, position_bias=position_bias
    )
    return mixed[None], None


def attend_packed(
    module: nn.Module,
    query: Float[Tensor, "N heads D"],
    key: Float[Tensor, "N key_heads D"],
    value: Float[Tensor, "N key_heads D"],
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    window: int | None = None,
    position_bias: DistanceBias | None = None,
) -> Float[Tensor, "N heads D"]:
    """Attention of packed rows, each with its own prefix of this layer.

    Args:
        module: of the layer, on which the backbone has laid what it needs to know of the batch.
        query: of all rows end to end.
        key: likewise.
        value: likewise.
        scaling: of the scores; left out: the inverse root of D.
        dropout: share of the weights that are set to zero.
        window: of tokens that are seen, in front of each and itself.
        position_bias: what distances add to scores.
    """
    if torch.compiler.is_compiling():
        return _OUTSIDE(  # type: ignore[misc]
            module, query, key, value, scaling=scaling, dropout=dropout, window=window, position_bias=position_bias
        )
    if _RECORD is not None:
        _RECORD.append(
            AttentionCall(module, window, position_bias is not None, query.shape[1], key.shape[1], query.shape[2])
        )
    layer: LayerBatch | None = getattr(module, _LAYER, None)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    causal = bool(getattr(module, "is_causal", False))
    if layer is None:
        return _alone(query, key, value, AttentionBias(causal, window, position_bias), scale)
    if layer.kept is not None:
        layer.kept.append((key, value))
    how = layer.attention
    if isinstance(how, EndToEnd):
        return _end_to_end(query, key, value, layer, how, scale, window, causal)
    return _padded(
        query, key, value, layer, how, AttentionBias(causal, window, position_bias, layer.shift), scale, dropout
    )


def _end_to_end(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layer: LayerBatch,
    how: EndToEnd,
    scale: float,
    window: int | None,
    causal: bool,
) -> Tensor:
    """Rows of variable length, all heads at once: (N, heads, D)."""
    if layer.prefix is not None:
        assert how.join is not None
        both = joined(layer.prefix.transpose(0, 1), torch.stack([key, value], dim=1), how.join)
        key, value = both.unbind(dim=1)
    kernel = variable_length()
    assert kernel is not None
    back = None if window is None else window - 1
    layer.memo["kernel"] = "end-to-end"
    return kernel(query, key, value, how, scaling=scale, back=back, causal=causal)


def _padded(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layer: LayerBatch,
    how: PaddedRows,
    rules: AttentionBias,
    scale: float,
    dropout: float,
) -> Tensor:
    """Rows in groups of like length: (N, heads, D)."""
    memo = (id(how), rules)
    biases: list[Tensor | None] | None = layer.memo.get(memo)
    if biases is None:
        biases = [rules.of(group, query) for group in how.groups]
        if not any(bias is not None and bias.requires_grad for bias in biases):
            layer.memo[memo] = biases  # for the layers above
    parts = [part for part in (query, key, value, layer.prefix) if part is not None]
    learning = torch.is_grad_enabled() and any(part.requires_grad for part in parts)
    keys = max(group.keys for group in how.groups)
    name = choose(device=query.device.type, dtype=query.dtype, keys=keys, learning=learning)
    if any(bias is not None and bias.requires_grad for bias in biases):
        name = "fused"  # a bias that learns itself is left to autograd
    layer.memo["kernel"] = name
    return KERNELS[name](query, key, value, layer.prefix, how, biases, scale, dropout)


def _alone(query: Tensor, key: Tensor, value: Tensor, rules: AttentionBias, scale: float) -> Tensor:
    """One row and nothing else, as when a model is looked at."""
    length, heads, _ = query.shape
    key, value = (part.repeat_interleave(heads // part.shape[1], dim=1) for part in (key, value))
    scores = torch.einsum("thd,shd->hts", query, key) * scale
    if not rules.bare:
        at = torch.arange(length, device=query.device)
        scores = scores + rules.at((at[:, None] - at)[None], query)[0]
    return torch.einsum("hts,shd->thd", scores.softmax(dim=-1), value)


def lay(modules: list[nn.Module], layers: list[LayerBatch] | None) -> None:
    """Lay on each attention module what it needs to know of the batch, until the next call; None: nothing.

    It stays after the forward pass, because gradient checkpointing runs the layers again in the backward.
    """
    for number, module in enumerate(modules):
        setattr(module, _LAYER, None if layers is None else layers[number])


def attention_calls(forward: Callable[[], object]) -> list[AttentionCall]:
    """The self-attention of every layer, in order, found by watching one forward pass."""
    global _RECORD  # noqa: PLW0603 - the interface gives us no other way to look on
    _RECORD = []
    try:
        with torch.no_grad():
            forward()
        return _RECORD
    finally:
        _RECORD = None


def keep_outside(disable: Callable[[Any], Any]) -> None:
    """Let attention be called from compiled layers as it is: it looks at what is laid on its module.

    Args:
        disable: `torch.compiler.disable`, which loads a compiler; so nobody else asks for it.
    """
    global _OUTSIDE  # noqa: PLW0603 - a compiler reads it where it traces a layer
    if _OUTSIDE is None:
        _OUTSIDE = disable(attend_packed)


AttentionInterface.register(NAME, attend)
