"""Spans that are there against spans that were said: which are the same, and how the others miss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from isogloss.tasks.metrics import spans

BOUNDARY, TYPE, BOTH, MISSED, INVENTED = "boundary", "type", "boundary and type", "missed", "invented"
Span = tuple[int, int, str]  # first word, last word, type


def aligned(gold: Sequence[str], predicted: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Each span that is there with the one that was said for it, and those that were said for none.

    A span is held against one other at most: first those that are the same, then those of the same words, then those
    that share a word, of the same type before others, and those that share more before those that share fewer.

    Args:
        gold: tags of a sentence.
        predicted: tags that were said.

    Yields:
        `first last kind gold predicted`: the words of both, the kind of mistake (none: it is right), and the types.
    """
    there, said = list(spans(gold)), list(spans(predicted))
    pairs = sorted(
        ((_likeness(one, other), one, other) for one in there for other in said if _shared(one, other) > 0),
        key=lambda pair: ([-value for value in pair[0]], pair[1:]),
    )
    left, free = dict.fromkeys(there), dict.fromkeys(said)
    for _, one, other in pairs:
        if one in left and other in free:
            del left[one], free[other]
            yield _row(min(one[0], other[0]), max(one[1], other[1]), _kind(one, other), one[2], other[2])
    for first, last, name in left:
        yield _row(first, last, MISSED, name, None)
    for first, last, name in free:
        yield _row(first, last, INVENTED, None, name)


def _row(first: int, last: int, kind: str | None, gold: str | None, predicted: str | None) -> dict[str, Any]:
    return {"first": first, "last": last, "kind": kind, "gold": gold, "predicted": predicted}


def _shared(one: Span, other: Span) -> int:
    """Words that two spans share."""
    return min(one[1], other[1]) - max(one[0], other[0]) + 1


def _likeness(one: Span, other: Span) -> tuple[int, ...]:
    return (one == other, one[:2] == other[:2], one[2] == other[2], _shared(one, other))


def _kind(one: Span, other: Span) -> str | None:
    if one[:2] == other[:2]:
        return None if one[2] == other[2] else TYPE
    return BOUNDARY if one[2] == other[2] else BOTH
