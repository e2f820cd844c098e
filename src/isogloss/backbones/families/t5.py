"""The encoders of mT5 (Xue et al. 2021), umT5 (Chung et al. 2023) and T5: relative positions in buckets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForTextEncoding

from isogloss.backbones.backbone import Pooling, Shape
from isogloss.backbones.families.family import load_as
from isogloss.errors import IsoglossError

TRAINED_LENGTH = 1024  # buckets have no end; mT5 was trained on so many tokens


class T5:
    """See `Family`."""

    model_types = frozenset({"mt5", "t5", "umt5"})
    causal = False
    pooling: Pooling = "mean"

    def load(self, config: Any, *, words: bool, weights: Mapping[str, Any] | None) -> tuple[Any, dict[str, set[str]]]:
        """The encoder half."""
        if words:
            raise IsoglossError(
                f"a {config.model_type} backbone is an encoder-decoder, of which only the encoder is used, and that "
                "has no head over the vocabulary; set `head: linear`"
            )
        model, report = load_as(AutoModelForTextEncoding, config, weights)
        return model.encoder, report

    def prepare(self, model: Any) -> None:
        """The bias is handed on as a function of distances, not as a table over all of a packed batch."""
        for block in model.block:
            attention = block.layer[0].SelfAttention
            if attention.has_relative_attention_bias:
                attention.compute_bias = MethodType(_compute_bias, attention)

    def shape(self, config: Any) -> Shape:
        """Heads need not add up to the width."""
        return Shape(
            width=config.d_model, layers=config.num_layers, key_heads=config.num_heads, head_width=config.d_kv,
            positions=TRAINED_LENGTH,
        )  # fmt: skip

    def inside(self, model: Any) -> list[nn.Module]:
        """The layers and the last norm."""
        return [model.block, model.final_layer_norm]

    def forward(self, model: Any, embedded: Tensor, positions: Tensor, types: Tensor | None) -> Tensor:
        """Positions are only distances here, which `attend` knows."""
        states: Tensor = model(inputs_embeds=embedded).last_hidden_state
        return states


@dataclass(frozen=True, eq=False)
class BucketBias:
    """A distance falls into a bucket, and a bucket adds a number for each head (Raffel et al. 2020, section 2.1)."""

    attention: Any

    def __call__(self, distance: Tensor) -> Tensor:
        """(*rows T S) to (*rows heads T S)."""
        buckets, longest = (
            self.attention.relative_attention_num_buckets, self.attention.relative_attention_max_distance
        )  # fmt: skip
        bias: Tensor = self.attention.relative_attention_bias(bucket(distance, buckets, longest))
        return bias.movedim(-1, -3)


def bucket(distance: Tensor, buckets: int, longest: int) -> Tensor:
    """The bucket of each distance from a query back to a key: half of them for each side.

    Of a side's buckets, half hold one distance each; the others grow by a common factor up to `longest`.
    """
    side = buckets // 2
    single = side // 2
    far = distance.abs()
    grown = single + (torch.log(far / single) / math.log(longest / single) * (side - single)).long()
    return torch.where(far < single, far, grown.clamp(max=side - 1)) + (distance < 0) * side


def _compute_bias(self: Any, *_: Any, **__: Any) -> BucketBias:
    """In place of `T5Attention.compute_bias`."""
    return BucketBias(self)


FAMILY = T5()
