"""Readers: one function a format. Each gives rows as dictionaries, with the line that each came from.

A mistake in a file is named by file and line; nothing is guessed or left out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from isogloss.errors import IsoglossError


@dataclass(frozen=True)
class Raw:
    """One row of a file."""

    where: str  # file and line, for errors
    values: dict[str, str]


def read_text(path: Path) -> str:
    """A whole file.

    Raises:
        IsoglossError: it is missing, unreadable, or not UTF-8 (file and line named).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IsoglossError(f"{path} could not be read: {error.strerror}") from error
    return decode_text(data, str(path))


def decode_text(data: bytes, where: str) -> str:
    """Bytes as UTF-8, a byte order mark left out.

    Raises:
        IsoglossError: they are not UTF-8 (`where` and line named).
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise IsoglossError(
            f"{where} line {line} is not UTF-8 (byte {data[error.start]:#04x}); convert it first"
        ) from error


def read_tsv(path: Path, columns: Sequence[str]) -> list[Raw]:
    """Tab-separated values with a header, quotes being ordinary characters.

    Args:
        path: the file.
        columns: those that have to be there; others are kept.

    Raises:
        IsoglossError: a column is missing, or a row has too few or too many values.
    """
    lines = csv.reader(io.StringIO(read_text(path), newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    header = next(lines, None)
    if header is None:
        raise IsoglossError(f"{path} is empty; expected a header with {', '.join(columns)}")
    for column in columns:
        if column not in header:
            raise IsoglossError(f"{path} line 1 has no column {column!r}; it has {', '.join(map(repr, header))}")
    rows = []
    for values in lines:
        where = f"{path} line {lines.line_num}"
        if not values:
            continue
        if len(values) != len(header):
            raise IsoglossError(f"{where} has {len(values)} values; expected {len(header)} ({', '.join(header)})")
        rows.append(Raw(where, dict(zip(header, values, strict=True))))
    return rows


READERS: dict[str, Callable[[Path, Sequence[str]], list[Raw]]] = {"tsv": read_tsv}
