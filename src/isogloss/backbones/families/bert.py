"""Encoders with absolute positions: BERT (Devlin et al. 2019), XLM-R (Conneau et al. 2020) and their kin."""

from __future__ import annotations

from collections.abc import Mapping
from types import MethodType
from typing import Any

from torch import Tensor, nn
from transformers import AutoModel, AutoModelForMaskedLM

from isogloss.backbones.attention import attend_packed
from isogloss.backbones.backbone import Pooling, Shape
from isogloss.backbones.families.family import load_as
from isogloss.backbones.projections import projected

FIRST_POSITION_AFTER_PAD = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert"}


class Bert:
    """See `Family`."""

    model_types = frozenset({"bert"} | FIRST_POSITION_AFTER_PAD)
    causal = False
    pooling: Pooling = "first"

    def load(self, config: Any, *, words: bool, weights: Mapping[str, Any] | None) -> tuple[Any, dict[str, set[str]]]:
        """The encoder, without the pooler."""
        if words:
            return load_as(AutoModelForMaskedLM, config, weights)
        return load_as(AutoModel, config, weights, add_pooling_layer=False)

    def prepare(self, model: Any) -> None:
        """Every layer attends by a forward pass of ours over its own projections: fewer calls than by the interface."""
        for layer in model.encoder.layer:
            attention = layer.attention.self
            attention.is_causal = False
            attention.forward = MethodType(_attention, attention)

    def shape(self, config: Any) -> Shape:
        """Absolute positions, of which the pad token takes the first ones in RoBERTa's kin."""
        return Shape(
            width=config.hidden_size, layers=config.num_hidden_layers, key_heads=config.num_attention_heads,
            head_width=config.hidden_size // config.num_attention_heads,
            positions=config.max_position_embeddings - _first(config),
        )  # fmt: skip

    def inside(self, model: Any) -> list[nn.Module]:
        """The layers."""
        return [model.encoder]

    def forward(self, model: Any, embedded: Tensor, positions: Tensor, types: Tensor | None) -> Tensor:
        """Segments are all 0 where none are given."""
        output = model(inputs_embeds=embedded, token_type_ids=types, position_ids=positions + _first(model.config))
        states: Tensor = output.last_hidden_state
        return states


def _attention(self: Any, hidden_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
    """In place of `BertSelfAttention.forward` and its kin's."""
    shape = (-1, self.num_attention_heads, self.attention_head_size)
    query, key, value = (part.view(shape) for part in projected(self, hidden_states))
    dropout = self.dropout.p if self.training else 0.0
    mixed = attend_packed(self, query, key, value, scaling=self.scaling, dropout=dropout)
    return mixed.reshape(hidden_states.shape[0], hidden_states.shape[1], -1), None


def _first(config: Any) -> int:
    return config.pad_token_id + 1 if config.model_type in FIRST_POSITION_AFTER_PAD else 0


FAMILY = Bert()
