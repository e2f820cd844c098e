"""Fine-tuning: every weight of the backbone learns (Devlin et al. 2019), or all but the word embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from isogloss.backbones import Backbone, Insert
from isogloss.backbones.masters import Masters
from isogloss.backbones.transformer import set_dropout
from isogloss.methods.settings import Fraction, Rate, Settings


class FineTuningSettings(Settings):
    """Settings of fine-tuning."""

    lr: Rate = Field(3e-5, description="peak learning rate of the backbone")
    head_lr: Rate = Field(1e-2, description="peak learning rate of the head; at the backbone's rate it stays behind")
    epochs: PositiveInt = Field(5, description="passes over the training examples")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decoupled weight decay, of matrices only")
    embeddings: bool = Field(
        False, description="train the word embedding too; most of a multilingual model's weights, and memory for each"
    )
    backbone_dropout: Fraction = Field(0.1, description="dropout inside the backbone")


class FineTuningPart(nn.Module):
    """One run's weights, and the backbone that computes with them.

    Args:
        model: the run's own transformers model.
        embeddings: whether its word embedding trains.
        dropout: inside the model, in training.
    """

    def __init__(self, model: nn.Module, *, embeddings: bool, dropout: float) -> None:
        super().__init__()
        table: nn.Embedding = model.get_input_embeddings()  # type: ignore[operator]
        words = table.weight
        if embeddings:  # so far shared with the frozen backbone
            table.weight = nn.Parameter(words.detach().clone())
        self.masters = Masters(
            model, {name: weight for name, weight in model.named_parameters() if embeddings or weight is not words}
        )
        self.model = [model]  # in a list: its weights are not this module's own, the masters are
        set_dropout(model, dropout)

    def train(self, mode: bool = True) -> FineTuningPart:
        """Turn the backbone's dropout on or off as well."""
        super().train(mode)
        self.model[0].train(mode)
        return self


class FineTuning:
    """See `Method`."""

    name = "fine-tuning"
    settings: type[Settings] = FineTuningSettings
    frozen = False
    passes = 3.0
    alike: tuple[str, ...] = ()

    def check(self, backbone: Backbone, settings: FineTuningSettings) -> None:
        """Everything goes with everything."""

    def build(self, backbone: Backbone, settings: FineTuningSettings, generator: torch.Generator) -> FineTuningPart:
        """The backbone's weights, made trainable."""
        return FineTuningPart(backbone.model, embeddings=settings.embeddings, dropout=settings.backbone_dropout)

    def insert(self, parts: Sequence[FineTuningPart], settings: Sequence[FineTuningSettings]) -> Insert | None:
        """Nothing."""
        return None

    def length(self, settings: FineTuningSettings) -> int:
        """No positions."""
        return 0

    def stored(self, part: FineTuningPart) -> dict[str, Tensor]:
        """Every tuned weight, in float32, by its name in the model."""
        return part.masters.named()

    def restore(
        self, backbone: Backbone, settings: FineTuningSettings, tensors: Mapping[str, Tensor]
    ) -> FineTuningPart:
        """The tuned weights laid over the backbone."""
        part = FineTuningPart(backbone.model, embeddings=settings.embeddings, dropout=settings.backbone_dropout)
        part.masters.load(tensors)
        return part


METHOD = FineTuning()
