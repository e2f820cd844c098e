"""Few-shot sampling: as many examples of every class, drawn by seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isogloss.errors import IsoglossError
from isogloss.runtime.seeding import derive


def draw(gold: Sequence[str], labels: Sequence[str], *, shots: int, seed: int, what: str) -> list[int]:
    """Places of `shots` examples of each class, in the order of the data; a seed decides which.

    Args:
        gold: the label of each example.
        labels: the classes.
        shots: how many of each.
        seed: of the run that learns from them.
        what: names the split; those of two splits are drawn independently.

    Raises:
        IsoglossError: a class has fewer.
    """
    golds = np.asarray(gold)
    generator = np.random.Generator(np.random.PCG64(derive("shots", what, seed)))
    taken: list[int] = []
    for label in labels:
        places = np.flatnonzero(golds == label)
        if len(places) < shots:
            raise IsoglossError(f"data.shots is {shots}, but {what} has {len(places)} examples of {label!r}")
        taken += generator.choice(places, size=shots, replace=False).tolist()
    return sorted(taken)
