"""Prompt and whole model: a soft prompt and every weight of the backbone learn together (Philippy et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.prompts import PromptForm
from isogloss.methods.backbone_dropout import BackboneDropoutSettings
from isogloss.methods.fine_tuning import METHOD as FINE_TUNING
from isogloss.methods.fine_tuning import FineTuningPart, FineTuningSettings
from isogloss.methods.settings import Rate, Settings
from isogloss.methods.soft_prompt import METHOD as SOFT_PROMPT
from isogloss.methods.soft_prompt import SoftPromptPart, SoftPromptSettings
from isogloss.optim.param_groups import RateGroup


class PromptedFineTuningSettings(SoftPromptSettings, BackboneDropoutSettings):
    """Those of a soft prompt, and the backbone's."""

    SEARCHED: ClassVar[dict[str, Any]] = {"lr": {"from": 1e-3, "to": 1e-1}, "backbone_lr": {"from": 1e-5, "to": 3e-4}}

    lr: Rate = Field(5e-3, description="peak learning rate of the prompt")
    backbone_lr: Rate = Field(3e-5, description="peak learning rate of the backbone")
    epochs: PositiveInt = Field(5, description="passes over the training examples")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decoupled weight decay, of matrices only")
    embeddings: bool = Field(False, description="train the word embedding too")


class PromptedFineTuningPart(nn.Module):
    """One run's prompt and weights.

    Args:
        prompt: the prompt.
        model: the weights.
    """

    def __init__(self, prompt: SoftPromptPart, model: FineTuningPart) -> None:
        super().__init__()
        self.prompt = prompt
        self.model = model

    def forward(self) -> Tensor:
        """The prompt."""
        vectors: Tensor = self.prompt()
        return vectors

    def rates(self, settings: PromptedFineTuningSettings, head: nn.Module) -> list[RateGroup]:
        """Prompts need rates at which a backbone would fall apart."""
        prompt = RateGroup(list(self.prompt.parameters()), settings.lr)
        model = RateGroup(list(self.model.parameters()), settings.backbone_lr, of="backbone")
        return [prompt, model, RateGroup(list(head.parameters()), settings.head_lr, of="head")]


class PromptedFineTuning:
    """See `Method`."""

    name = "prompted-fine-tuning"
    settings: type[Settings] = PromptedFineTuningSettings
    frozen = False
    passes = 3.0
    alike: tuple[str, ...] = ()

    def check(self, backbone: Backbone, settings: PromptedFineTuningSettings) -> None:
        """What holds of its prompt."""
        SOFT_PROMPT.check(backbone, settings)

    def build(
        self, backbone: Backbone, settings: PromptedFineTuningSettings, generator: torch.Generator
    ) -> PromptedFineTuningPart:
        """The prompt first: it is drawn from the word embedding as it was."""
        prompt = SOFT_PROMPT.build(backbone, settings, generator)
        return PromptedFineTuningPart(prompt, FINE_TUNING.build(backbone, _model(settings), generator))

    def form(self, settings: Sequence[PromptedFineTuningSettings]) -> PromptForm:
        """That of its prompt."""
        return SOFT_PROMPT.form(settings)

    def positions(self, settings: PromptedFineTuningSettings) -> int:
        """A position for each vector."""
        return SOFT_PROMPT.positions(settings)

    def stored(self, part: PromptedFineTuningPart) -> dict[str, Tensor]:
        """The prompt with the MLP folded in, and every tuned weight by its name in the model."""
        model = {f"model.{name}": tensor for name, tensor in FINE_TUNING.stored(part.model).items()}
        return {**{f"prompt.{name}": tensor for name, tensor in SOFT_PROMPT.stored(part.prompt).items()}, **model}

    def restore(
        self, backbone: Backbone, settings: PromptedFineTuningSettings, tensors: Mapping[str, Tensor]
    ) -> PromptedFineTuningPart:
        """A plain prompt, and the tuned weights laid over the backbone."""

        def under(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

        prompt = SOFT_PROMPT.restore(backbone, settings, under("prompt."))
        return PromptedFineTuningPart(prompt, FINE_TUNING.restore(backbone, _model(settings), under("model.")))


def _model(settings: PromptedFineTuningSettings) -> FineTuningSettings:
    """Those of the settings that are fine-tuning's."""
    values = {
        "lr": settings.backbone_lr,
        "embeddings": settings.embeddings,
        "hidden_dropout": settings.hidden_dropout,
        "attention_dropout": settings.attention_dropout,
    }
    return FineTuningSettings.model_validate(values)


METHOD = PromptedFineTuning()
