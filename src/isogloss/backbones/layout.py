"""How the rows of a batch lie: the indices that layers compute with, on the host or on a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a batch, as the host knows them.

    Args:
        lengths: tokens of each; 0 where a row only fills the shape. A run's empty rows stand behind its others.
        run: of each row, ascending.
        front: how many of each row's tokens stand in front of a prompt whose place a template says.
        spare: tokens behind the last row that only fill the shape.
        spare_rows: how many rows they make, some of them empty.
    """

    lengths: Int[np.ndarray, "B"]
    run: Int[np.ndarray, "B"]
    front: Int[np.ndarray, "B"] | None = None
    spare: int = 0
    spare_rows: int = 0

    @property
    def tokens(self) -> int:
        """All tokens N, spare ones included."""
        return int(self.lengths.sum()) + self.spare


@dataclass(frozen=True, eq=False)
class PromptRows:
    """Whose prompt stands in each row, so that what comes back to it is summed by run."""

    run: Int[Tensor, "B"]
    mask: Bool[Tensor, "B P"] | None  # which positions of the longest prompt are there; None: all
    runs: int
    even: bool  # every run has the same number of rows


@dataclass(frozen=True, eq=False)
class Join:
    """How the prompt of each row and its text become one sequence: one index over [prompts (K P), text (N)].

    Every token stands in one place of the result, so that gradients are gathered too and never added in any order.
    """

    source: Int[Tensor, "joined"]
    text: Int[Tensor, "N"]  # where each token of the text stands in the result
    prompt: Int[Tensor, "B P"]  # where each row's prompt stands; anywhere in the row where its own is shorter
    rows: PromptRows


@dataclass(frozen=True, eq=False)
class RowGroup:
    """Rows of like length, which attention pads to the longest of them."""

    rows: int
    length: int  # T
    keys: int  # S
    mask: Bool[Tensor, "rows S"] | None  # keys that are there; None: all are
    prefix: Int[Tensor, "any"]  # prompt positions in front of each row; one number if it is the same for all
    query: Int[Tensor, "rows_heads T"]  # which of (N heads) stands where
    key: Int[Tensor, "rows_heads S"]  # which of (K P + N, key heads)
    out: Int[Tensor, "rows_heads T"]  # as `query`, but (N heads) itself, for zeros, where rows are padded


@dataclass(frozen=True, eq=False)
class PaddedRows:
    """Attention over groups of padded rows: indices over tokens and heads.

    Padding repeats a token of the same row, so that a run with infinities spoils no other.
    """

    groups: tuple[RowGroup, ...]
    text: Int[Tensor, "out"]  # of all groups' queries end to end, those of each token and head
    text_key: Int[Tensor, "out"]  # of all groups' keys, those of each token and head
    prompts: PromptRows | None
    prompt_key: Int[Tensor, "prompt"] | None  # of all groups' keys, those of each row's prompt, its positions and heads


@dataclass(frozen=True, eq=False)
class EndToEnd:
    """Attention over rows end to end: where they begin, as kernels of variable length want it."""

    query_starts: Int[Tensor, "ends"]
    key_starts: Int[Tensor, "ends"]
    longest_query: int
    longest_key: int
    join: Join | None  # of keys and values with those of the prefix


Attention = PaddedRows | EndToEnd


@dataclass(frozen=True, eq=False)
class Packing:
    """How the rows of a batch lie, with a prompt of one form among them."""

    positions: Int[Tensor, "joined"]  # of each token in its row
    join: Join | None  # of the text with a prompt among its embeddings
    text: Int[Tensor, "N"] | None  # where each token of the text stands; None: as they came
    attention: Attention
    bare: Attention | None  # of layers below the first with a prefix

    def to(self, device: torch.device) -> Packing:
        """On the device; from memory that is pinned for a GPU, so that the host need not wait."""
        return moved(self, lambda tensor: to_device(tensor, device))


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host's on the device, without waiting for it."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def moved(value: T, move: Callable[[Tensor], Tensor]) -> T:
    """A structure of dataclasses and tuples with every tensor in it moved."""
    if isinstance(value, Tensor):
        return move(value)  # type: ignore[return-value]
    if isinstance(value, tuple):
        return tuple(moved(part, move) for part in value)  # type: ignore[return-value]
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, Rows):
        changed = {field.name: moved(getattr(value, field.name), move) for field in fields(value)}  # type: ignore[arg-type]
        return replace(value, **changed)  # type: ignore[type-var]
    return value
