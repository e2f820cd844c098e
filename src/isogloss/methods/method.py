"""What a method is: which weights it trains, and what prompt it puts where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.prompts import PromptForm
from isogloss.methods.settings import Settings
from isogloss.optim.param_groups import RateGroup

S_contra = TypeVar("S_contra", bound=Settings, contravariant=True)
P = TypeVar("P", bound=nn.Module)


@runtime_checkable
class Rated(Protocol):
    """A part that says at which rates it and its head learn; others learn at `lr`, their heads at `head_lr`."""

    def rates(self, settings: Any, head: nn.Module) -> list[RateGroup]:
        """All parameters of the part and the head, by rate."""
        ...


@runtime_checkable
class Method(Protocol[S_contra, P]):
    """One file in this folder, with an instance of this in `METHOD`.

    A run's *part* is the module that holds what the method trains besides the head; `part.train()` and `part.eval()`
    are called around updates and evaluation. Where there is a prompt, `part()` gives its vectors, from its parameters
    alone: the parts of a stack are called as one, over parameters that carry a run axis.
    """

    name: str
    settings: type[Settings]
    frozen: bool  # the backbone's weights stay, so that many runs can share one forward pass
    passes: float  # what an update costs, in forward passes over its texts
    alike: tuple[str, ...]  # settings that runs must have in common to be stacked

    def check(self, backbone: Backbone, settings: S_contra) -> None:
        """Whether the settings go with a backbone, before anything is stored.

        Raises:
            IsoglossError: they do not.
        """
        ...

    def build(self, backbone: Backbone, settings: S_contra, generator: torch.Generator) -> P:
        """A fresh part. A method that is not frozen gets a backbone of its own and may change it."""
        ...

    def form(self, settings: Sequence[S_contra]) -> PromptForm | None:
        """What goes into the backbone, stacked over K runs with these settings; None where it is used as it is.

        The vectors themselves are what a part gives when it is called: (P, H), or (L, 2, P, heads, D) for a prefix.
        """
        ...

    def positions(self, settings: S_contra) -> int:
        """How many of the model's positions a run's prompt takes from the text."""
        ...

    def stored(self, part: P) -> dict[str, Tensor]:
        """The trained tensors to keep; what only training needed is folded away."""
        ...

    def restore(self, backbone: Backbone, settings: S_contra, tensors: Mapping[str, Tensor]) -> P:
        """The part that `stored` gave these tensors for, ready to predict."""
        ...
