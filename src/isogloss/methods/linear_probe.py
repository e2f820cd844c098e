"""Linear probe: the backbone stays frozen and without a prompt; only the head learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.prompts import PromptForm
from isogloss.methods.averaged import AveragedSettings
from isogloss.methods.settings import Rate, Settings


class LinearProbeSettings(AveragedSettings):
    """Only the head's rate counts."""

    SEARCHED: ClassVar[dict[str, Any]] = {"head_lr": {"from": 1e-3, "to": 1e-1}}

    lr: Rate = Field(1e-2, description="has no effect: the probe trains nothing but the head")
    head_lr: Rate = Field(1e-2, description="peak learning rate of the head")
    epochs: PositiveInt = Field(40, description="passes over the training examples; cheap, as states are kept")

    @model_validator(mode="after")
    def _something_trains(self) -> LinearProbeSettings:
        if self.head == "verbalizer":
            raise ValueError("a linear probe trains nothing but its head, and a verbalizer has nothing to train")
        return self


class LinearProbe:
    """See `Method`."""

    name = "linear-probe"
    settings: type[Settings] = LinearProbeSettings
    frozen = True
    passes = 0.0
    alike: tuple[str, ...] = ()

    def check(self, backbone: Backbone, settings: LinearProbeSettings) -> None:
        """Everything goes with everything."""

    def build(self, backbone: Backbone, settings: LinearProbeSettings, generator: torch.Generator) -> nn.Module:
        """An empty part: nothing trains besides the head."""
        return nn.Module()

    def form(self, settings: Sequence[LinearProbeSettings]) -> PromptForm | None:
        """Nothing."""
        return None

    def positions(self, settings: LinearProbeSettings) -> int:
        """No positions."""
        return 0

    def stored(self, part: nn.Module) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def restore(self, backbone: Backbone, settings: LinearProbeSettings, tensors: Mapping[str, Tensor]) -> nn.Module:
        """An empty part."""
        return nn.Module()


METHOD = LinearProbe()
