"""Rows of like length, which attention pads together."""

from __future__ import annotations

import numpy as np

WORTH = 0.85  # of the scores of all rows together, that two groups may have at most: what they save is to pay for calls
CUTS = 64  # places between two rows that are tried, at most


def row_groups(lengths: np.ndarray, before: np.ndarray) -> list[np.ndarray]:
    """Rows in one group, or in two of like length where that makes clearly fewer scores (rows T S).

    More groups would make somewhat fewer, and more operator calls. What decides is a share, so that a stack is cut as
    its runs alone would be.

    Args:
        lengths: tokens of each row.
        before: what stands in front of each row's keys.

    Returns:
        Numbers of rows, the longest first.
    """
    order = np.argsort(-lengths, kind="stable")
    tall, wide = lengths[order], (lengths + before)[order]
    count = len(order)
    cuts = np.flatnonzero(np.diff(tall)) + 1
    if len(cuts) > CUTS:
        cuts = cuts[np.linspace(0, len(cuts) - 1, CUTS).astype(int)]
    if not len(cuts):
        return [order]
    widest = np.maximum.accumulate(wide[::-1])[::-1]  # of the rows from each on
    scores = cuts * tall[0] * widest[0] + (count - cuts) * tall[cuts] * widest[cuts]
    best = int(scores.argmin())
    if scores[best] > WORTH * count * tall[0] * widest[0]:
        return [order]
    return [order[: cuts[best]], order[cuts[best] :]]
