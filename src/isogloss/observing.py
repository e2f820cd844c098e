"""Looking on while a run learns: scores of the source and the targets on fixed samples of development data.

They are written to the history and to nothing else: what is selected, kept or stopped depends on the source alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from torch import Tensor

from isogloss.data import Examples
from isogloss.features import Features

OBSERVATIONS = 25  # of a training, at least, where the user does not say how often
EVERY = 100  # updates between two of them, at most, likewise


@dataclass(frozen=True, eq=False)
class Sample:
    """Examples to look at.

    Args:
        features: of all languages end to end, cut to fit.
        score: each language's score, from the scores (units, C) of `features`.
        every: updates between two observations.
    """

    features: Features
    score: Callable[[Tensor], dict[str, float]]
    every: int

    def due(self, step: int, total: int) -> bool:
        """Whether to look after so many updates."""
        return step % self.every == 0 or step == total


def interval(total: int, every: int | None) -> int:
    """Updates between two observations of a training of `total` updates."""
    return every or min(EVERY, max(1, total // OBSERVATIONS))


def spread(count: int, wanted: int) -> Int[np.ndarray, "taken"]:
    """Places of `wanted` of `count` examples, evenly spread; all of them if there are no more."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).round().astype(int))


def divide(examples: Examples, wanted: int) -> tuple[Examples, Examples]:
    """A sample of a split, and what remains of it."""
    taken = spread(len(examples), wanted)
    left = np.setdiff1d(np.arange(len(examples)), taken)
    return examples.taken(taken.tolist()), examples.taken(left.tolist())


def by_language(parts: Sequence[Examples], values: Sequence[str]) -> dict[str, list[str]]:
    """What belongs to each language of examples that were put end to end."""
    ends = np.cumsum([len(part) for part in parts]).tolist()
    return {str(part.language): list(values[end - len(part) : end]) for part, end in zip(parts, ends, strict=True)}
