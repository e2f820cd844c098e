"""Scores as fractions from 0 to 1: pure functions of what was right and what was predicted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np


def accuracy(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Share of labels that were predicted."""
    return float((np.asarray(gold) == np.asarray(predicted)).mean())


def macro_f1(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """F1 of each class that occurs in gold or prediction, averaged over those classes."""
    right, said = np.asarray(gold), np.asarray(predicted)
    scores = []
    for label in np.union1d(right, said):
        hit = int(((right == label) & (said == label)).sum())
        scores.append(2 * hit / (int((right == label).sum()) + int((said == label).sum())))
    return float(np.mean(scores))


def span_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """F1 of whole spans: begin, end and type have to be right (conlleval, Tjong Kim Sang and Buchholz 2000).

    Tags are `B-PER`, `I-PER`, `O` and the like; of a bare tag such as `NOUN` the first letter counts as the prefix and
    the rest as the type, as conlleval and seqeval read it. Without any span the score is 0, as theirs.
    """
    # One sequence with `O` between sentences, as theirs: a bare one-letter tag at the end reaches over.
    right, said = (set(spans([tag for tags in side for tag in (*tags, "O")])) for side in (gold, predicted))
    hit = len(right & said)
    return 2 * hit / (len(right) + len(said)) if right or said else 0.0


def spans(tags: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Begin, end (inclusive) and type of every span of a sentence, by conlleval's rules.

    A malformed sequence is read, not mended. As in conlleval and seqeval, a bare tag of one letter (`X` of UD) has no
    type of its own: at the end of a sentence or before `O` it is no span.
    """
    before, kind_before, begin = "O", "", 0
    for place, tag in enumerate([*tags, "O"]):
        prefix, kind = tag[0], tag[1:].split("-", maxsplit=1)[-1] or "_"
        other = kind != kind_before
        if before in "ES" or (before in "BI" and prefix in "BSO") or (before not in "O." and other):
            yield begin, place - 1, kind_before
        if prefix in "BS" or (before in "ESO" and prefix in "EI") or (prefix not in "O." and other):
            begin = place
        before, kind_before = prefix, kind
