"""What a tracker is: a place outside the run directory that is told how a training goes, while it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from isogloss.runtime.checked import Checked

Status = Literal["finished", "stopped", "failed"]
Measured = tuple[int, Mapping[str, float]]  # an update's number, and values by name


@dataclass(frozen=True)
class TrackedCell:
    """A cell as trackers show it.

    Args:
        experiment: the spec's name.
        method: the label of the method.
        seed: of the cell.
        parameters: all that was set, by name.
        tags: what it may be found by.
    """

    experiment: str
    method: str
    seed: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.method} seed {self.seed}"


@runtime_checkable
class TrackedRun(Protocol):
    """A tracker's own run, of one cell."""

    id: str  # by which the tracker finds it again
    resumed: bool  # whether it was there already

    def log(self, rows: Sequence[Measured]) -> None:
        """Tell values."""
        ...

    def finish(self, status: Status) -> None:
        """Say how the training has ended."""
        ...


@runtime_checkable
class Tracker(Protocol):
    """One file in this folder, with an instance of this in `TRACKER`.

    Whatever it raises ends nothing but the tracking: it is said in a line. Its library is imported when it begins.
    """

    name: str
    module: str  # of its library
    extra: str  # of isogloss, that brings it
    settings: type[Checked]

    def begin(self, cell: TrackedCell, settings: Any, known: str | None) -> TrackedRun:
        """Begin to track a cell, or go on.

        Args:
            cell: which.
            settings: of the spec.
            known: the id of the run that it was tracked by before; None, or one that is gone: a new one is made.
        """
        ...
