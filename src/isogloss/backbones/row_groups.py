"""Rows of like length, which attention pads together: as few groups as pay."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

MOST = 2  # groups; each costs the same number of operator calls
CALLS = 20_000  # scores that cost as much as the calls of one more group
CUTS = 64  # places between two rows that are tried, at most


def row_groups(lengths: np.ndarray, before: np.ndarray) -> list[np.ndarray]:
    """Rows in groups of like length: as few as pay, for the fewest scores (rows T S) in all."""
    order = np.argsort(-lengths, kind="stable")
    tall, wide = lengths[order], (lengths + before)[order]
    count = len(order)
    # best[g][i]: the least scores of the rows from i on in at most g groups, and where the first of them ends.
    ends = np.unique(np.concatenate([np.flatnonzero(np.diff(tall)) + 1, [count]]))
    if len(ends) > CUTS:
        ends = np.unique(ends[np.linspace(0, len(ends) - 1, CUTS).astype(int)])
    begins = np.concatenate([[0], ends[:-1]])
    highest = np.maximum.accumulate(wide[::-1])[::-1]
    best = np.zeros(len(begins) + 1)
    best[:-1] = (count - begins) * tall[begins] * highest[begins] + CALLS
    cuts: list[list[int]] = [[len(begins)] for _ in begins] + [[]]
    for _ in range(MOST - 1):
        new, new_cuts = best.copy(), list(cuts)
        for i, begin in enumerate(begins[:-1]):
            cost = (begins[i + 1 :] - begin) * tall[begin] * highest[begin] + CALLS + best[i + 1 : -1]
            j = int(cost.argmin())
            if cost[j] < new[i]:
                new[i], new_cuts[i] = cost[j], [i + 1 + j, *cuts[i + 1 + j]]
        best, cuts = new, new_cuts
    bounds = [0, *(int(begins[cut]) if cut < len(begins) else count for cut in cuts[0])]
    return [order[begin:end] for begin, end in pairwise(bounds)]
