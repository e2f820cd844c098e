"""What stands in a cell of a file, in the few forms that the rest of isogloss knows.

Text formats hold texts alone; JSON, Parquet and frames hold whatever somebody put there. A value becomes text here and
nowhere else, and only where it is one: lists and structures stay what they are, so that `RawRow` can refuse them by
name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

from isogloss.errors import IsoglossError

WHOLE = re.compile(r"-?[0-9]{1,18}(\.0+)?")


class Number(str):
    """A number as the file writes it: a text wherever a text is wanted."""

    __slots__ = ()

    @property
    def whole(self) -> int | None:
        """Its value, if it is a whole number of at most 18 digits."""
        return int(self.partition(".")[0]) if WHOLE.fullmatch(self) else None


Cell = str | list[Any] | dict[str, Any]
"""A text, or a list or a structure of cells; nothing is the empty text, as in a table of text."""


def cell(value: object, where: str) -> Cell:
    """A value of a file as a cell.

    Args:
        value: what a reader of JSON or Parquet, or a frame, hands out.
        where: file and line, for errors.

    Raises:
        IsoglossError: it is no text that can be written, or of a type that no text, list or structure is.
    """
    try:
        return _cell(value, where)
    except RecursionError as error:
        raise IsoglossError(f"{where} is nested too deeply to be read") from error


def _cell(value: object, where: str) -> Cell:  # noqa: PLR0911 - one for each form
    if isinstance(value, str):
        return value if value.isascii() else _written(value, where)
    if value is None or value != value:  # noqa: PLR0124 - NaN, by which a column of numbers says that nothing is there
        return ""
    if isinstance(value, int | float | Decimal):
        return str(value) if isinstance(value, bool) else Number(value)
    if isinstance(value, list | tuple):
        return [_cell(item, where) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _cell(item, where) for name, item in value.items()}
    if isinstance(value, bytes):
        return _decoded(value, where)
    if isinstance(value, date | time | timedelta):
        return str(value)
    raise IsoglossError(f"{where} holds {type(value).__name__}; expected texts, numbers, or lists of them")


def named(value: Cell) -> str:
    """What a cell is, in words."""
    if isinstance(value, dict):
        return f"a structure with {', '.join(map(repr, list(value)[:4])) or 'nothing'}"
    if isinstance(value, list):
        return "a list"
    return "a number" if isinstance(value, Number) else "a text" if value else "nothing"


def _written(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise IsoglossError(
            f"{where} holds half of a character (a lone surrogate, {text[error.start]!a}); it was cut or "
            "escaped wrongly"
        ) from error
    return text


def _decoded(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise IsoglossError(
            f"{where} holds bytes that are not UTF-8 (byte {data[error.start]:#04x}); write it as texts"
        ) from error
