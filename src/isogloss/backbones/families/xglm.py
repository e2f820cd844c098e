"""XGLM (Lin et al. 2022, arXiv 2112.10668): a decoder with sinusoidal positions and an attention of its own."""

from __future__ import annotations

from types import MethodType
from typing import Any

from torch import Tensor, nn

from isogloss.backbones.attention import attend_packed
from isogloss.backbones.backbone import Pooling, Shape
from isogloss.backbones.families.family import load_decoder


class Xglm:
    """See `Family`."""

    model_types = frozenset({"xglm"})
    causal = True
    pooling: Pooling = "last"
    load = staticmethod(load_decoder)

    def prepare(self, model: Any) -> None:
        """Every layer attends by a forward pass of ours over its own projections.

        Positions are only looked up: transformers would lengthen their table to all the tokens of a packed batch.
        """
        model.embed_positions.forward = MethodType(_positions, model.embed_positions)
        for layer in model.layers:
            layer.self_attn.is_causal = True
            layer.self_attn.forward = MethodType(_attention, layer.self_attn)

    def shape(self, config: Any) -> Shape:
        """Sinusoids would go on, but the model was trained on so many positions."""
        return Shape(
            width=config.d_model, layers=config.num_layers, key_heads=config.attention_heads,
            head_width=config.d_model // config.attention_heads, positions=config.max_position_embeddings,
        )  # fmt: skip

    def inside(self, model: Any) -> list[nn.Module]:
        """The layers and the last norm."""
        return [model.layers, model.layer_norm]

    def forward(self, model: Any, embedded: Tensor, positions: Tensor, types: Tensor | None) -> Tensor:
        """Nothing is kept for generation."""
        states: Tensor = model(inputs_embeds=embedded, position_ids=positions, use_cache=False).last_hidden_state
        return states


def _attention(self: Any, hidden_states: Tensor, **_: Any) -> tuple[Tensor, None]:
    """In place of `XGLMAttention.forward`."""
    query, key, value = (
        project(hidden_states).view(-1, self.num_heads, self.head_dim)
        for project in (self.q_proj, self.k_proj, self.v_proj)
    )
    dropout = self.dropout if self.training else 0.0
    mixed = attend_packed(self, query, key, value, scaling=self.scaling, dropout=dropout)
    projected: Tensor = self.out_proj(mixed.reshape(*hidden_states.shape[:2], -1))
    return projected, None


def _positions(self: Any, position_ids: Tensor, *_: Any) -> Tensor:
    """In place of `XGLMSinusoidalPositionalEmbedding.forward`."""
    looked_up: Tensor = self.weights[position_ids + self.offset]
    return looked_up


FAMILY = Xglm()
