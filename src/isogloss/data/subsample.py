"""Some examples of a split, evenly spread, and examples of many languages told apart again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from isogloss.data.dataset import Examples


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


def split_by_language(parts: Sequence[Examples], values: Sequence[str]) -> dict[str, list[str]]:
    """What belongs to each language of examples that were put end to end."""
    ends = np.cumsum([len(part) for part in parts]).tolist()
    return {str(part.language): list(values[end - len(part) : end]) for part, end in zip(parts, ends, strict=True)}
