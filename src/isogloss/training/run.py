"""A run: one method with one setting and one seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from isogloss.backbones.backbone import Backbone
from isogloss.methods.method import ImportedPart, Method, Rated
from isogloss.methods.settings import Settings
from isogloss.optim.master_weights import MasterWeights
from isogloss.optim.param_groups import RateGroup
from isogloss.runtime.seeding import derive
from isogloss.tasks.heads import ClassificationHead, Head
from isogloss.tasks.verbalizer import Verbalizer, VerbalizerHead


@dataclass(eq=False)
class Run:
    """What is trained for one cell of the experiment: a part of the method, and a head."""

    settings: Settings
    seed: int
    part: nn.Module
    head: Head

    def named(self) -> dict[str, nn.Parameter]:
        """Everything that trains, by name."""
        modules = {"part": self.part, "head": self.head}
        return {f"{of}.{name}": weight for of, module in modules.items() for name, weight in module.named_parameters()}

    def parameters(self) -> list[nn.Parameter]:
        """Everything that trains."""
        return [*self.part.parameters(), *self.head.parameters()]

    def rates(self) -> list[RateGroup]:
        """Everything that trains, by rate."""
        if isinstance(self.part, Rated):
            return self.part.rates(self.settings, self.head)
        head = RateGroup(list(self.head.parameters()), self.settings.head_lr, of="head")
        return [RateGroup(list(self.part.parameters()), self.settings.lr), head]

    def trainable(self) -> int:
        """How many numbers train, or were trained elsewhere."""
        elsewhere = self.part.trained if isinstance(self.part, ImportedPart) else 0
        shapes = self.spread()
        return elsewhere + sum(shapes.get(name, one.shape).numel() for name, one in self.named().items())

    def spread(self) -> dict[str, torch.Size]:
        """The whole shapes of what is spread over several processes, by name."""
        return {
            f"part.{f'{of}.' if of else ''}{name}": shape
            for of, module in self.part.named_modules()
            if isinstance(module, MasterWeights)
            for name, shape in module.shapes.items()
        }

    def live(self) -> dict[str, Tensor]:
        """All that trains by name, as it goes on changing."""
        modules = {"part": self.part, "head": self.head}
        return {
            f"{prefix}.{name}": tensor.detach()
            for prefix, module in modules.items()
            for name, tensor in module.state_dict().items()
        }

    def state(self) -> dict[str, Tensor]:
        """Copies of all that trains, by name."""
        return {name: tensor.clone() for name, tensor in self.live().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave."""
        for prefix, module in (("part", self.part), ("head", self.head)):
            begin = f"{prefix}."
            module.load_state_dict({k[len(begin) :]: v for k, v in state.items() if k.startswith(begin)})


def new_run(
    method: Method[Any, Any],
    backbone: Backbone,
    settings: Settings,
    *,
    seed: int,
    classes: int,
    verbalizer: Verbalizer | None = None,
) -> Run:
    """A run at its start: the same for the same seed, whatever it is stacked with.

    Args:
        method: how it learns.
        backbone: what it learns on; its own where the method changes it.
        settings: the method's.
        seed: decides all that is drawn.
        classes: what the head tells apart.
        verbalizer: the words that are the classes, if `settings.head` says so.
    """
    generator = torch.Generator().manual_seed(derive("init", seed))
    head = new_head(backbone, settings, classes=classes, verbalizer=verbalizer, generator=generator)
    part = method.build(backbone, settings, generator)
    return Run(settings, seed, part.to(backbone.device), head.to(backbone.device))


def new_head(
    backbone: Backbone,
    settings: Settings,
    *,
    classes: int,
    verbalizer: Verbalizer | None,
    generator: torch.Generator,
) -> Head:
    """The head that the settings ask for."""
    if settings.head == "linear":
        return ClassificationHead(backbone.shape.width, classes, generator)
    assert verbalizer is not None
    assert backbone.lm_head is not None
    return VerbalizerHead(backbone.lm_head, verbalizer)
