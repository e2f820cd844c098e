"""Splits made of parts of others: `dev[:80%]`, `dev[80%:]`, `test[100:200]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
NUMBER = r"(?:([0-9]{1,15})(%?))?"
FORM = re.compile(rf"([^\[\]]+)(?:\[{NUMBER}:{NUMBER}\])?")


def check(text: str) -> str:
    """The text itself, if it has the form.

    Raises:
        ValueError: it has not.
    """
    if FORM.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no split or part of one, such as dev or dev[:80%]")
    return text


def name(text: str) -> str:
    """The split that a part is taken from."""
    return text.partition("[")[0]


def part(text: str, rows: Sequence[T], group: Callable[[T], object] | None = None) -> list[T]:
    """The rows of a split that belong to the part, in order; percentages are rounded to whole rows.

    Args:
        text: a split or a part of one.
        rows: all of the split.
        group: what rows must have in common to stay together; numbers and percentages then count groups.
    """
    if group is not None and "[" in text:
        members: dict[object, list[T]] = {}
        for row in rows:
            members.setdefault(group(row), []).append(row)
        return [row for some in part(text, list(members.values())) for row in some]
    match = FORM.fullmatch(text)
    assert match is not None
    _, begin, begin_percent, end, end_percent = match.groups()

    def at(number: str | None, percent: str | None, otherwise: int) -> int:
        if number is None:
            return otherwise
        return round(len(rows) * int(number) / 100) if percent else int(number)

    return list(rows[at(begin, begin_percent, 0) : at(end, end_percent, len(rows))])
