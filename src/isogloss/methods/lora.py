"""LoRA: low-rank updates of the matrices inside the layers (Hu et al. 2022, arXiv 2106.09685), by way of PEFT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.prompts import PromptForm
from isogloss.errors import IsoglossError, install
from isogloss.methods.backbone_dropout import BackboneDropoutSettings
from isogloss.methods.settings import Fraction, Rate, Settings
from isogloss.optim.weight_places import place, places


class LoraSettings(BackboneDropoutSettings):
    """Settings of LoRA."""

    SEARCHED: ClassVar[dict[str, Any]] = {
        "lr": {"from": 1e-4, "to": 1e-2},
        "head_lr": {"from": 1e-3, "to": 3e-2},
        "rank": [4, 8, 32],
    }

    NO_MEAN: ClassVar[str] = "the mean of its factors is not the mean of the updates that they make"

    lr: Rate = Field(1e-3, description="peak learning rate of the updates")
    head_lr: Rate = Field(1e-2, description="peak learning rate of the head")
    epochs: PositiveInt = Field(5, description="passes over the training examples")
    rank: PositiveInt = Field(8, description="rank of an update")
    alpha: PositiveFloat = Field(16.0, description="updates are multiplied by alpha / rank")
    targets: Literal["attention", "all"] = Field(
        "attention", description="matrices of the attention, or feed-forward too"
    )
    lora_dropout: Fraction = Field(0.0, description="dropout in front of the updates")


class LoraPart(nn.Module):
    """One run's updates, inside a model of its own.

    Args:
        model: the run's own transformers model, with adapters in it.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.updates = nn.ParameterDict(
            {name.replace(".", "/"): weight for name, weight in model.named_parameters() if weight.requires_grad}
        )
        self.model = [model]  # in a list: its other weights are not this module's own

    def train(self, mode: bool = True) -> LoraPart:
        """Turn the model's dropout on or off as well."""
        super().train(mode)
        self.model[0].train(mode)
        return self


class Lora:
    """See `Method`."""

    name = "lora"
    settings: type[Settings] = LoraSettings
    frozen = False
    passes = 2.0
    alike: tuple[str, ...] = ()

    def check(self, backbone: Backbone, settings: LoraSettings) -> None:
        """PEFT has to be there, and the model needs matrices to update, all of them with known places."""
        if find_spec("peft") is None:
            raise IsoglossError(f"lora needs the package peft, which is not installed; {install('peft')}")
        if not _targets(backbone, settings):
            raise IsoglossError(
                f"lora finds no matrix to update in the layers of {backbone.identity.name}; expected nn.Linear modules "
                "of attention or feed-forward"
            )

    def build(self, backbone: Backbone, settings: LoraSettings, generator: torch.Generator) -> LoraPart:
        """Updates of zero: one factor is drawn, the other is zero."""
        from peft import LoraConfig, inject_adapter_in_model

        config = LoraConfig(
            r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.lora_dropout,
            target_modules=_targets(backbone, settings),
        )  # fmt: skip
        settings.disturb(backbone)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            inject_adapter_in_model(config, backbone.model)
        for name, module in backbone.model.named_modules():
            if name.endswith("lora_dropout.default") and isinstance(module, nn.Dropout):
                module.p = settings.lora_dropout
        for name, weight in backbone.model.named_parameters():
            if "lora_" in name:
                weight.data = weight.data.float()
        return LoraPart(backbone.model)

    def form(self, settings: Sequence[LoraSettings]) -> PromptForm | None:
        """Nothing."""
        return None

    def positions(self, settings: LoraSettings) -> int:
        """No positions."""
        return 0

    def stored(self, part: LoraPart) -> dict[str, Tensor]:
        """The factors of every update, by their names in the model."""
        return {name.replace("/", "."): weight.detach() for name, weight in part.updates.items()}

    def restore(self, backbone: Backbone, settings: LoraSettings, tensors: Mapping[str, Tensor]) -> LoraPart:
        """The updates laid over the backbone."""
        part = self.build(backbone, settings, torch.Generator())
        with torch.no_grad():
            for name, weight in part.updates.items():
                weight.copy_(tensors[name.replace("/", ".")])
        return part


def _targets(backbone: Backbone, settings: LoraSettings) -> list[str]:
    """Names of the matrices that are updated.

    Raises:
        IsoglossError: what one of a layer's matrices is, is not known.
    """
    kinds = {"query-key", "value-output", *(["feed-forward"] if settings.targets == "all" else [])}
    matrices = [name for name, module in backbone.model.named_modules() if isinstance(module, nn.Linear)]
    inside = [name for name in matrices if place(name).layer is not None]
    return [name for name, where in places(inside, backbone.identity.name).items() if where.kind in kinds]


METHOD = Lora()
