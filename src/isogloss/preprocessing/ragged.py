"""Arithmetic of rows of unlike lengths that lie end to end in one array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Shaped


def starts_of(lengths: Int[np.ndarray, "rows"]) -> Int[np.ndarray, "ends"]:
    """Where each of several rows begins, and where the last one ends."""
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def ranges(begins: Int[np.ndarray, "spans"], ends: Int[np.ndarray, "spans"]) -> Int[np.ndarray, "total"]:
    """All numbers of several spans, each from its beginning to the one before its end, end to end."""
    lengths = ends - begins
    before = np.cumsum(lengths) - lengths
    return np.asarray(np.arange(lengths.sum()) + np.repeat(begins - before, lengths))


def spliced(
    values: Shaped[np.ndarray, "total *rest"],
    lengths: Int[np.ndarray, "rows"],
    rows: Int[np.ndarray, "some"],
    new: Sequence[np.ndarray],
) -> Shaped[np.ndarray, "changed *rest"]:
    """What lies end to end, with something else for some of the rows.

    Args:
        values: of all rows.
        lengths: how many are each row's.
        rows: those that are replaced, in ascending order.
        new: what stands for each of them, of any length.
    """
    kept = np.ones(len(lengths), dtype=bool)
    kept[rows] = False
    changed = np.array(lengths)
    changed[rows] = [len(row) for row in new]
    out = np.empty((int(changed.sum()), *values.shape[1:]), dtype=values.dtype)
    of_kept = np.repeat(kept, changed)
    out[of_kept] = values[np.repeat(kept, lengths)]
    out[~of_kept] = np.concatenate(new) if len(new) else values[:0]
    return out
