"""DistilBERT (Sanh et al. 2019, arXiv 1910.01108): BERT with half of its layers, without segments or a pooler."""

from __future__ import annotations

from collections.abc import Mapping
from types import MethodType
from typing import Any

from torch import Tensor, nn
from transformers import AutoModel, AutoModelForMaskedLM

from isogloss.backbones.attention import attend_packed
from isogloss.backbones.backbone import Pooling, Shape
from isogloss.backbones.families.family import load_as


class DistilBert:
    """See `Family`."""

    model_types = frozenset({"distilbert"})
    causal = False
    pooling: Pooling = "first"

    def load(self, config: Any, *, words: bool, weights: Mapping[str, Any] | None) -> tuple[Any, dict[str, set[str]]]:
        """The encoder."""
        return load_as(AutoModelForMaskedLM if words else AutoModel, config, weights)

    def prepare(self, model: Any) -> None:
        """Every layer attends by a forward pass of ours over its own projections."""
        for layer in model.transformer.layer:
            layer.attention.is_causal = False
            layer.attention.forward = MethodType(_attention, layer.attention)

    def shape(self, config: Any) -> Shape:
        """Absolute positions, from 0."""
        return Shape(
            width=config.dim, layers=config.n_layers, key_heads=config.n_heads, head_width=config.dim // config.n_heads,
            positions=config.max_position_embeddings,
        )  # fmt: skip

    def inside(self, model: Any) -> list[nn.Module]:
        """The layers."""
        return [model.transformer]

    def forward(self, model: Any, embedded: Tensor, positions: Tensor, types: Tensor | None) -> Tensor:
        """There are no segments, whatever the tokenizer says of them."""
        states: Tensor = model(inputs_embeds=embedded, position_ids=positions).last_hidden_state
        return states


def _attention(self: Any, hidden_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
    """In place of `DistilBertSelfAttention.forward`."""
    query, key, value = (
        project(hidden_states).view(-1, self.n_heads, self.attention_head_size)
        for project in (self.q_lin, self.k_lin, self.v_lin)
    )
    dropout = self.dropout.p if self.training else 0.0
    mixed = attend_packed(self, query, key, value, scaling=self.scaling, dropout=dropout)
    projected: Tensor = self.out_lin(mixed.reshape(hidden_states.shape))
    return projected, None


FAMILY = DistilBert()
