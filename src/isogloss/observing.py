"""Looking on while a run learns: scores of the source and the targets on fixed samples of development data.

They are written to the history and to nothing else: what is selected, kept or stopped depends on the source alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from isogloss.data import Examples
from isogloss.features import Features
from isogloss.similarity import linear_cka, retrieval

OBSERVATIONS = 25  # of a training, at least, where the user does not say how often
MEASURES = ("retrieval", "cka")  # what is looked at in parallel sentences
EVERY = 100  # updates between two of them, at most, likewise


@dataclass(frozen=True, eq=False)
class Sample:
    """Examples to look at.

    Args:
        features: of all languages end to end, cut to fit.
        score: each language's score, from the scores (units, C) of `features`.
        every: updates between two observations; the end of each epoch is one too.
        counts: examples of each language.
    """

    features: Features
    score: Callable[[Tensor], dict[str, float]]
    every: int
    counts: dict[str, int]


@dataclass(frozen=True, eq=False)
class Memory:
    """Parallel sentences, to see what of its knowledge of languages a run keeps.

    Args:
        languages: the source's first.
        features: their sentences end to end, of each the same number in the same order.
        before: the mean state of each sentence at every depth of the pre-trained backbone.
    """

    languages: list[str]
    features: Features
    before: Float[Tensor, "depths rows H"]

    def measures(self, states: Float[Tensor, "depths rows H"]) -> Iterator[tuple[int, str, str, float]]:
        """Depth, language, measure and value: retrieval across from the source, and linear CKA with what was before."""
        size = len(self.features) // len(self.languages)
        for depth, (now, then) in enumerate(zip(states, self.before, strict=True)):
            source, *_ = sentences = now.split(size)
            for language, own, old in zip(self.languages, sentences, then.split(size), strict=True):
                yield depth, language, "cka", linear_cka(own, old)
                if own is not source:
                    yield depth, language, "retrieval", retrieval(source, own)

    def means(self, states: Float[Tensor, "depths rows H"]) -> Iterator[tuple[str, str, float]]:
        """Language, measure and mean over the depths that layers make."""
        found: dict[tuple[str, str], list[float]] = {}
        for depth, language, measure, value in self.measures(states):
            if depth:
                found.setdefault((language, measure), []).append(value)
        for (language, measure), values in found.items():
            yield language, measure, sum(values) / len(values)


def interval(total: int, every: int | None) -> int:
    """Updates between two observations of a training of `total` updates."""
    return every or min(EVERY, max(1, total // OBSERVATIONS))


def spread(count: int, wanted: int) -> Int[np.ndarray, "taken"]:
    """Places of `wanted` of `count` examples, evenly spread; all of them if there are no more."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).round().astype(int))


def sample(examples: Examples, wanted: int) -> Examples:
    """So many of a split, evenly spread."""
    return examples.taken(spread(len(examples), wanted).tolist())


def divide(examples: Examples, wanted: int) -> tuple[Examples, Examples]:
    """A sample of a split, a quarter of it at most, and what remains."""
    taken = spread(len(examples), min(wanted, max(1, len(examples) // 4)))
    left = np.setdiff1d(np.arange(len(examples)), taken)
    return examples.taken(taken.tolist()), examples.taken(left.tolist())


def by_language(parts: Sequence[Examples], values: Sequence[str]) -> dict[str, list[str]]:
    """What belongs to each language of examples that were put end to end."""
    ends = np.cumsum([len(part) for part in parts]).tolist()
    return {str(part.language): list(values[end - len(part) : end]) for part, end in zip(parts, ends, strict=True)}
