"""Deep prompt: trained keys and values in the attention of every layer, the backbone frozen.

Prefix tuning (Li and Liang 2021, arXiv 2101.00190, section 4) without its MLP, as in P-tuning v2 (Liu et al. 2022) and
in Tu et al. 2022 (arXiv 2210.12360, section 2), whose code shifts the text's positions by the prompt's length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.prompts import PromptForm
from isogloss.errors import IsoglossError
from isogloss.methods.settings import Rate, Settings


class DeepPromptSettings(Settings):
    """Settings of a deep prompt."""

    SEARCHED: ClassVar[dict[str, Any]] = {
        "lr": {"from": 1e-3, "to": 1e-1},
        "head_lr": {"from": 3e-3, "to": 1e-1},
        "length": [4, 16, 64],
    }

    lr: Rate = Field(3e-2, description="peak learning rate of the prompt; far above fine-tuning's, or nothing moves")
    head_lr: Rate = Field(3e-2, description="peak learning rate of the head")
    epochs: PositiveInt = Field(10, description="passes over the training examples")
    length: PositiveInt = Field(16, description="prompt positions P in each layer")
    first_layer: NonNegativeInt = Field(0, description="the lowest layer with a prompt, counted from 0")
    shift_positions: bool = Field(
        True, description="text positions begin after the prompt, as by way of the KV cache in the papers' code"
    )
    init_scale: float = Field(0.1, gt=0, description="standard deviation of the initial keys and values")


class DeepPromptPart(nn.Module):
    """One run's prefix.

    Args:
        vectors: keys and values (L, 2, P, heads, D) of the layers that have a prompt.
    """

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.vectors = nn.Parameter(vectors)

    def forward(self) -> Tensor:
        """The prefix as the backbone sees it."""
        return self.vectors


class DeepPrompt:
    """See `Method`."""

    name = "deep-prompt"
    settings: type[Settings] = DeepPromptSettings
    frozen = True
    passes = 2.0
    alike: tuple[str, ...] = ("first_layer", "shift_positions")

    def check(self, backbone: Backbone, settings: DeepPromptSettings) -> None:
        """The backbone has to have the layer that a prompt begins at."""
        if settings.first_layer >= backbone.shape.layers:
            raise IsoglossError(
                f"deep-prompt: first_layer is {settings.first_layer}, but {backbone.identity.name} has layers "
                f"0 to {backbone.shape.layers - 1}"
            )

    def build(self, backbone: Backbone, settings: DeepPromptSettings, generator: torch.Generator) -> DeepPromptPart:
        """A prefix at its initial values."""
        shape = backbone.shape
        layers = shape.layers - settings.first_layer
        size = (layers, 2, settings.length, shape.key_heads, shape.head_width)
        return DeepPromptPart(torch.randn(size, generator=generator) * settings.init_scale)

    def form(self, settings: Sequence[DeepPromptSettings]) -> PromptForm:
        """Keys and values in front of the text's."""
        first = settings[0]
        return PromptForm(
            "prefix", tuple(one.length for one in settings), first_layer=first.first_layer, shift=first.shift_positions
        )

    def positions(self, settings: DeepPromptSettings) -> int:
        """Where positions are shifted, the text loses as many at its end."""
        return settings.length if settings.shift_positions else 0

    def stored(self, part: DeepPromptPart) -> dict[str, Tensor]:
        """The prefix."""
        return {"vectors": part.vectors.detach()}

    def restore(
        self, backbone: Backbone, settings: DeepPromptSettings, tensors: Mapping[str, Tensor]
    ) -> DeepPromptPart:
        """The prefix."""
        return DeepPromptPart(tensors["vectors"])


METHOD = DeepPrompt()
