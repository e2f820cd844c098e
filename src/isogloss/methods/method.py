"""What a method is: which weights it trains, and what prompt it puts where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.checkpoint.kinds import HeadKind
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


@dataclass(frozen=True, eq=False)
class Imported:
    """What was trained elsewhere, ready to be scored.

    Args:
        settings: of its cell, with what was found out.
        tensors: what is to be stored of it: `part.NAME`, as its method restores them, and the head's `head.NAME`.
        backbone: its own; None: that of the spec.
        said: what a user has to know of it, a line each.
    """

    settings: Settings
    tensors: Mapping[str, Tensor]
    backbone: Backbone | None
    said: Sequence[str]


@runtime_checkable
class Importer(Protocol):
    """A method that trains nothing (its settings have no epochs): what it scores was trained elsewhere.

    Its parts are `ImportedPart`s, and `Method.build` is never called.
    """

    def read(
        self, backbone: Backbone, settings: Any, *, labels: Sequence[str], kind: HeadKind, base: str,
        subword: str | None,
    ) -> Imported:  # fmt: skip
        """What the settings name.

        Args:
            backbone: of the spec.
            settings: of the cell.
            labels: of the data, in the order of the head's classes.
            kind: of task.
            base: the backbone as the user says it.
            subword: which sub-word of a word is tagged, where the user says it.

        Raises:
            IsoglossError: it cannot be scored on these data, or on this backbone.
        """
        ...


@runtime_checkable
class ImportedPart(Protocol):
    """A part that was trained elsewhere."""

    backbone: Backbone  # what computes: the spec's with changes, or one of its own
    trained: int  # how many numbers it brings
    ahead: int  # how far in front of a unit's own state the one stands that is read

    segments: bool  # whether the backbone is told which of two texts a token is of

    def read(self, states: Tensor) -> Tensor:
        """What the head is given of the states (K, U, H)."""
        ...
