"""BLOOM (Le Scao et al. 2022, arXiv 2211.05100): a decoder with ALiBi and an attention of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from isogloss.backbones.attention import attend_packed
from isogloss.backbones.backbone import Pooling, Shape
from isogloss.backbones.families.family import load_decoder

TRAINED_LENGTH = 2048  # ALiBi has no table of positions; BLOOM was trained on so many tokens


class Bloom:
    """See `Family`."""

    model_types = frozenset({"bloom"})
    causal = True
    pooling: Pooling = "last"
    load = staticmethod(load_decoder)

    def prepare(self, model: Any) -> None:
        """Every layer attends by a forward pass of ours over its own projections."""
        bias = Alibi(model.config.n_head)  # one for all layers, which thus share what it gives
        # What transformers makes itself nobody reads, and it may be copied from the host, for which the host waits.
        model.build_alibi_tensor = _no_table
        for block in model.h:
            block.self_attention.is_causal = True
            block.self_attention.alibi = bias
            block.self_attention.forward = MethodType(_attention, block.self_attention)

    def shape(self, config: Any) -> Shape:
        """As many positions as it was trained on."""
        return Shape(
            width=config.hidden_size, layers=config.n_layer, key_heads=config.n_head,
            head_width=config.hidden_size // config.n_head, positions=TRAINED_LENGTH,
        )  # fmt: skip

    def inside(self, model: Any) -> list[nn.Module]:
        """The layers and the last norm; the norm of the embeddings stays with them."""
        return [model.h, model.ln_f]

    def forward(self, model: Any, embedded: Tensor, positions: Tensor, types: Tensor | None) -> Tensor:
        """Positions are only distances here, which `attend` knows."""
        states: Tensor = model(inputs_embeds=embedded, use_cache=False).last_hidden_state
        return states


def _attention(self: Any, hidden_states: Tensor, residual: Tensor, **_: Any) -> tuple[Tensor, None]:
    """In place of `BloomAttention.forward`."""
    query, key, value = self.query_key_value(hidden_states).view(-1, self.num_heads, 3, self.head_dim).unbind(dim=2)
    mixed = attend_packed(
        self, query, key, value, scaling=self.inv_norm_factor,
        dropout=self.attention_dropout.p if self.training else 0.0,
        position_bias=self.alibi,
    )  # fmt: skip
    dense = self.dense(mixed.reshape(hidden_states.shape))
    projected = nn.functional.dropout(dense, self.hidden_dropout, self.training)
    return projected + residual, None


@dataclass(frozen=True)
class Alibi:
    """What a distance takes off a score, by a slope of each head (Press et al. 2022, section 3 and footnote 8)."""

    heads: int

    def __call__(self, distance: Tensor) -> Tensor:
        """(*rows T S) to (*rows heads T S)."""
        power = 2 ** math.floor(math.log2(self.heads))
        head = torch.arange(self.heads, dtype=torch.float32, device=distance.device)  # nothing comes from the host
        slopes = torch.exp2(-8 / power * torch.where(head < power, head + 1, head - power + 0.5))
        return -slopes[:, None, None] * distance[..., None, :, :]


def _no_table(*_: Any, **__: Any) -> None:
    """In place of `BloomModel.build_alibi_tensor`."""


FAMILY = Bloom()
