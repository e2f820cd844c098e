"""Limits: which examples of a split stand for all of it, where a spec asks for fewer.

A draw depends on the data set, the split and the examples' ids alone: not on the seed of a run, not on the language,
not on the order in which languages are added. Each example has a rank, the sha256 of these three; what is drawn is of
the lowest ranks. So two runs with one limit have the same examples, and a set of parallel sentences the same ones in
every language.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

HOW = {  # by family of kinds of data, in words that end "drawn …"
    "classification": "in proportion to labels", "tagging": "evenly over the file", "qa": "in proportion to articles",
}  # fmt: skip


def unique(ids: Sequence[str]) -> list[str]:
    """Ids as names of one example each: the second of the same id is another example."""
    seen: Counter[str] = Counter()
    names = []
    for name in ids:
        names.append(f"{name}\x1f{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names


def drawn(
    family: str, names: Sequence[str], strata: Sequence[str] | None, limit: int, *, dataset: str, split: str
) -> list[int]:
    """Places of the examples that a limit leaves, in the order of the file.

    Args:
        family: of the kind of data: how is drawn depends on it (`HOW`).
        names: of each example, no two alike.
        strata: the label, or the article, of each example; None where the examples are one after the other.
        limit: how many to take.
        dataset: the data set's name.
        split: the split's.
    """
    if limit >= len(names):
        return list(range(len(names)))
    ranks = [_rank(dataset, split, name) for name in names]
    if strata is None:
        return _evenly(ranks, limit)
    stratum_ranks = {stratum: _rank(dataset, split, stratum) for stratum in set(strata)}
    if family == "classification":
        return _by_label(ranks, strata, stratum_ranks, limit)
    # An article or passage may have but a few questions: one after the other, and evenly of these.
    order = sorted(range(len(ranks)), key=lambda row: (stratum_ranks[strata[row]], ranks[row]))
    return sorted(order[(2 * number + 1) * len(order) // (2 * limit)] for number in range(limit))


def _rank(*words: str) -> bytes:
    return hashlib.sha256("\x1f".join(words).encode("utf-8", "surrogatepass")).digest()


def _evenly(ranks: Sequence[bytes], limit: int) -> list[int]:
    """One of each stretch of the file, at no fixed distance: a file may repeat itself."""
    ends = [number * len(ranks) // limit for number in range(limit + 1)]
    return [min(range(begin, end), key=ranks.__getitem__) for begin, end in pairwise(ends)]


def _by_label(ranks: Sequence[bytes], labels: Sequence[str], label_ranks: dict[str, bytes], limit: int) -> list[int]:
    shares = apportioned(Counter(labels), limit, sorted(label_ranks, key=label_ranks.__getitem__))
    of_label: dict[str, list[int]] = {label: [] for label in shares}
    for row, label in enumerate(labels):
        of_label[label].append(row)
    return sorted(
        row for label, rows in of_label.items() for row in sorted(rows, key=ranks.__getitem__)[: shares[label]]
    )


def apportioned(counts: dict[str, int], limit: int, order: Sequence[str]) -> dict[str, int]:
    """How many of each label stand for all, by largest remainders; at least one of each where the limit has room.

    Args:
        counts: examples of each label.
        limit: how many in all; fewer than there are.
        order: of the labels; the first of those with the same remainder comes first.
    """
    whole = sum(counts.values())
    shares = {label: limit * counts[label] // whole for label in order}
    by_remainder = sorted(order, key=lambda label: -(limit * counts[label] % whole))
    for label in by_remainder[: limit - sum(shares.values())]:
        shares[label] += 1
    if limit >= len(counts):
        for label in order:
            if not shares[label]:  # from the one that has the most above its due
                giving = max(
                    (other for other in order if shares[other] > 1),
                    key=lambda other: shares[other] * whole - limit * counts[other],
                )
                shares[giving] -= 1
                shares[label] = 1
    return shares
