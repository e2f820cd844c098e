"""Successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943): who trains how far, for a price."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from isogloss.errors import IsoglossError

ETA = 3  # of so many candidates one goes on, so many times as far
FINALISTS = 2  # that train to their end, so that a tie can be told
SPARE = 0.98  # of the budget is planned, for what one costs is reckoned from means
LEAST = 0.005  # share of the updates before the first pause


@dataclass(frozen=True)
class Rung:
    """Where candidates pause.

    Args:
        count: how many train so far.
        share: of their updates.
    """

    count: int
    share: float


def rungs(count: int, budget: float, look: float, dear: float = 1.0, least: float = LEAST) -> list[Rung]:
    """How far how many candidates train, for no more than the budget where all cost alike.

    Args:
        count: of candidates.
        budget: in full trainings of one of them.
        look: what it costs, in full trainings, to look at one at a pause.
        dear: how many times the mean those may cost that go on from the first pause, where candidates cost unlike much.
        least: share of the updates before the first pause, if not the usual one; of short trainings, one update.

    Returns:
        Rungs, the last of which is the whole training; that one alone where the budget is enough to train all.

    Raises:
        IsoglossError: the budget is not enough to look at each.
    """
    if count <= budget:
        return [Rung(count, 1.0)]
    planned = SPARE * budget
    for finalists in range(FINALISTS, 0, -1):
        counts = _counts(count, finalists)
        if price(_climbed(counts, least), look, dear) <= planned:
            break
    else:
        needed = math.ceil(10 * price(_climbed(counts, least), look, dear) / SPARE) / 10
        raise IsoglossError(
            f"budget is {budget:g}, for {count} candidates; expected at least {needed:g}, or fewer values to try"
        )
    low, high = least, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if price(_climbed(counts, middle), look, dear) <= planned else (low, middle)
    return _climbed(counts, low)


def price(climbed: Sequence[Rung], look: float, dear: float = 1.0) -> float:
    """What rungs cost, in full trainings. See `rungs`."""
    whole, done = 0.0, 0.0
    for rung in climbed:
        each = rung.share - done + (look if rung.share < 1 else 0.0)
        whole += rung.count * each * (dear if done else 1.0)
        done = rung.share
    return whole


def _counts(count: int, finalists: int) -> list[int]:
    counts = [count]
    while counts[-1] > finalists:
        counts.append(max(finalists, math.ceil(counts[-1] / ETA)))
    return counts


def _climbed(counts: Sequence[int], first: float) -> list[Rung]:
    """The rungs where the first pause is at a share of the updates; the last is a whole training."""
    climbed = []
    for number, count in enumerate(counts):
        share = 1.0 if number == len(counts) - 1 else min(1.0, first * ETA**number)
        climbed.append(Rung(count, share))
        if share == 1:
            break
    return climbed
