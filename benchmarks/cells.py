"""Cells: what is measured in one go and written as one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.texts import MEAN

TRAINING, EVALUATION = "training", "evaluation"


@dataclass(frozen=True)
class Cell:
    """One contest: contestants that take turns in rounds on the same examples.

    Args:
        name: of the cell; no other has it.
        shape: of the model, one of `SHAPES`.
        method: what learns.
        contestants: their names (`entrants`).
        batch: examples of one update of one run.
        train: examples of one epoch, which is a round of training.
        test: examples of a round of evaluation, of each language.
        mean: tokens of a text on average.
        languages: how many are evaluated in one stream.
        rounds: at most.
        doing: `training`, `evaluation`.
        curve: of which curve this is a point, if of any.
        at: its place on the curve's axis; a curve over K has its points in one cell.
    """

    name: str
    shape: str
    method: str
    contestants: tuple[str, ...]
    batch: int = 32
    train: int = 128
    test: int = 128
    mean: int = MEAN
    languages: int = 1
    rounds: int = 3
    doing: tuple[str, ...] = (TRAINING, EVALUATION)
    curve: str | None = None
    at: int = 0

    @property
    def frozen(self) -> bool:
        """Whether the backbone's weights stay."""
        return "prompt" in self.method

    def written(self) -> dict[str, Any]:
        """As it stands in a record."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Program:
    """A cell in which a program runs once, in a process of its own: its seconds and its greatest memory.

    Args:
        name: of the cell; no other has it.
        kind: `demo`, `tokenising`.
        settings: of the kind.
    """

    name: str
    kind: str
    settings: Mapping[str, int]

    def written(self) -> dict[str, Any]:
        """As it stands in a record."""
        return asdict(self)


@dataclass(frozen=True)
class Part:
    """Cells that are measured by one command.

    Args:
        name: of the part.
        about: one line.
        cells: in their order.
        minutes: what it takes, about, on two cores of a CPU or on a GPU.
        asked: whether it is only measured where it is asked for by its name.
        needs: packages that it needs besides isogloss's own; without them it is left out, with a line.
    """

    name: str
    about: str
    cells: tuple[Cell | Program, ...]
    minutes: float
    asked: bool = False
    needs: tuple[str, ...] = ()
