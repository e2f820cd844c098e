"""Decoders with transformers' attention interface and rotary positions: Llama, Qwen, Gemma, Mistral, GPT-NeoX."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from isogloss.backbones.backbone import Pooling, Shape
from isogloss.backbones.families.family import load_decoder
from isogloss.errors import IsoglossError


class Rotary:
    """See `Family`."""

    model_types = frozenset({"gemma", "gemma3_text", "gpt_neox", "llama", "mistral", "qwen2", "qwen3"})
    causal = True
    pooling: Pooling = "last"
    load = staticmethod(load_decoder)

    def prepare(self, model: Any) -> None:
        """Nothing is changed: these models have transformers' attention interface.

        Raises:
            IsoglossError: the checkpoint is made to look both ways (EmbeddingGemma), and no decoder.
        """
        if getattr(model.config, "use_bidirectional_attention", None):
            raise IsoglossError(
                f"the checkpoint is a {model.config.model_type} that looks both ways, which isogloss does not know yet"
            )

    def shape(self, config: Any) -> Shape:
        """Grouped-query attention has fewer key heads than heads."""
        heads = config.num_attention_heads
        return Shape(
            width=config.hidden_size, layers=config.num_hidden_layers,
            key_heads=getattr(config, "num_key_value_heads", None) or heads,
            head_width=getattr(config, "head_dim", None) or config.hidden_size // heads,
            positions=config.max_position_embeddings,
        )  # fmt: skip

    def inside(self, model: Any) -> list[nn.Module]:
        """The layers and the last norm; the rotary frequencies stay as exact as they are."""
        return [model.layers, model.final_layer_norm if model.config.model_type == "gpt_neox" else model.norm]

    def forward(self, model: Any, embedded: Tensor, positions: Tensor, types: Tensor | None) -> Tensor:
        """Rotations are made in the dtype of the embeddings; nothing is kept for generation."""
        embedded = embedded.to(next(model.layers.parameters()).dtype)
        states: Tensor = model(inputs_embeds=embedded, position_ids=positions, use_cache=False).last_hidden_state
        return states


FAMILY = Rotary()
