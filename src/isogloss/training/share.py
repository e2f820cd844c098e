"""A process's share of an update: some of its examples, about as many tokens as any other's."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from isogloss.preprocessing.features import Features


def share(features: Features, rows: Int[np.ndarray, "rows"], *, rank: int, count: int) -> Int[np.ndarray, "some"]:
    """The rows of those examples of an update that one of several processes learns from.

    Examples are dealt out by their tokens, the longest first, there and back again: 0 1 2 2 1 0 0 1 2. Where there are
    fewer examples than processes, some have none.

    Args:
        features: of a run.
        rows: of the update, all of each of its examples.
        rank: which process's.
        count: of the processes.

    Returns:
        Rows in the order in which they came.
    """
    example = np.searchsorted(features.of_example.starts, rows, side="right")
    _, number = np.unique(example, return_inverse=True)
    tokens = np.bincount(number, weights=features.lengths[rows])
    dealt = np.arange(len(tokens)) % (2 * count)
    owner = np.empty(len(tokens), dtype=np.int64)
    owner[np.argsort(-tokens, kind="stable")] = np.minimum(dealt, 2 * count - 1 - dealt)
    mine: np.ndarray = rows[owner[number] == rank]
    return mine
