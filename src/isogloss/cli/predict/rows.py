"""A row of a file of texts: what is to be labelled, and what passes through beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from isogloss.data.raw_row import listed
from isogloss.errors import IsoglossError
from isogloss.experiment.new_texts import parts_of, writable


class Row(NamedTuple):
    """One row of a file, or one line of text.

    Args:
        where: file and line, for errors.
        values: what the file has in it, by column; of a line of text nothing.
        parts: the texts to be labelled.
        blank: whether there is nothing to be labelled: one of them is missing or nothing but white space.
    """

    where: str
    values: Mapping[str, Any]
    parts: list[str]
    blank: bool


@dataclass(frozen=True)
class TextColumns:
    """Which columns of a table hold the texts.

    Args:
        names: in the order of an example's parts.
        inputs: what an example consists of, for people.
    """

    names: tuple[str, ...]
    inputs: tuple[str, ...]

    @classmethod
    def of(cls, inputs: Sequence[str], first: str | None, second: str | None) -> TextColumns:
        """The columns that were asked for, or those that are called as a data set's usually are.

        Raises:
            IsoglossError: there are more columns than texts.
        """
        if len(inputs) == 1 and second is not None:
            raise IsoglossError(f"--second-column is {second!r}, but this run labels single texts; leave it out")
        usual = ("text", "second") if inputs[0] == "text" else tuple(inputs)
        names = tuple(given or name for given, name in zip((first, second), usual, strict=False))[: len(inputs)]
        if len(set(names)) < len(names):
            raise IsoglossError(f"--text-column and --second-column are both {names[0]!r}; expected two columns")
        return cls(names, tuple(inputs))

    def check(self, where: str, columns: Sequence[str]) -> None:
        """Whether a table has them, and no column twice.

        Raises:
            IsoglossError: it has not.
        """
        if twice := next((name for number, name in enumerate(columns) if name in columns[:number]), None):
            raise IsoglossError(f"{where} has the column {twice!r} more than once; name each differently")
        for option, name in zip(("--text-column", "--second-column"), self.names, strict=False):
            if name not in columns:
                raise IsoglossError(
                    f"{where} has no column {name!r}; it has {listed(columns)}: say which with {option}"
                )

    def row(self, where: str, values: Mapping[str, Any]) -> Row:
        """A row of a table that has them.

        Raises:
            IsoglossError: something else than a text stands in one of them.
        """
        parts = [_text(values[name], name, where) for name in self.names]
        return Row(where, values, parts, not all(map(str.strip, parts)))


def line_row(where: str, line: str, inputs: Sequence[str]) -> Row:
    """A line of text; of pairs the two texts with a tab between.

    Raises:
        IsoglossError: it has not as many parts.
    """
    parts = line.split("\t") if len(inputs) > 1 else [line]
    if len(parts) == len(inputs) and not all(map(str.strip, parts)):
        return Row(where, {}, parts, blank=True)
    if not line.strip():
        return Row(where, {}, [""] * len(inputs), blank=True)
    return Row(where, {}, parts_of(line, where, inputs), blank=False)


def _text(value: Any, column: str, where: str) -> str:
    """What stands in a column of texts: a text, a number, which is one wherever a text is wanted, or nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        if not value.isascii() and not writable(value):
            raise IsoglossError(f"{where}: {column!r} is no text that can be written as UTF-8: {value[:60]!a}")
        return value
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return str(value)
    raise IsoglossError(f"{where}: {column!r} is {type(value).__name__}; expected a text")


def plain(value: Any) -> Any:  # noqa: PLR0911 - one for each form
    """A value as JSON has it: dates and times in ISO's form, durations in seconds, numbers that are none as nothing."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return str(value)


def cell_text(value: Any) -> str:
    """A value in a table of text: nothing is the empty text, and what is no text or number stands as JSON."""
    value = plain(value)
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
