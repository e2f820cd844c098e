"""Tables of text: a row a line, its values between tabs, commas or whatever the card says."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from isogloss.data.raw_row import RawRow, listed
from isogloss.data.readers.columns import check_columns
from isogloss.data.readers.plain_text import lines_of, read_text
from isogloss.errors import IsoglossError


def read_tsv(
    path: Path,
    columns: Sequence[str],
    header: Sequence[str] | None = None,
    *,
    delimiter: str = "\t",
    quoting: bool = False,
) -> list[RawRow]:
    """Tab-separated values, quotes being ordinary characters.

    Args:
        path: the file.
        columns: those that have to be there; others are kept.
        header: the names of the columns, where the file's first line is not a header.
        delimiter: what stands between values: a character, or several.
        quoting: whether values may stand in double quotes, as RFC 4180 has them.

    Raises:
        IsoglossError: a column is missing, or a row has too few or too many values.
    """
    rows: list[RawRow] = []
    names = None if header is None else list(header)
    if names is not None:
        check_columns(str(path), columns, names)
    for line, values in records(read_text(path), str(path), delimiter=delimiter, quoting=quoting):
        where = f"{path} line {line}"
        if names is None:
            names = values
            check_columns(where, columns, names)
        elif len(values) != len(names):
            raise IsoglossError(f"{where} has {len(values)} values; expected {len(names)} ({listed(names)})")
        else:
            rows.append(RawRow(where, dict(zip(names, values, strict=True))))
    if names is None:
        raise IsoglossError(f"{path} is empty; expected a header with {', '.join(columns)}")
    return rows


def read_csv(
    path: Path,
    columns: Sequence[str],
    header: Sequence[str] | None = None,
    *,
    delimiter: str = ",",
    quoting: bool = True,
) -> list[RawRow]:
    """Comma-separated values with quotes as RFC 4180 has them; otherwise as `read_tsv`."""
    return read_tsv(path, columns, header, delimiter=delimiter, quoting=quoting)


def records(text: str, where: str, *, delimiter: str, quoting: bool) -> Iterator[tuple[int, list[str]]]:
    """The values of each row with the line that it begins on; empty lines are none.

    Raises:
        IsoglossError: quotes do not match.
    """
    if not quoting:  # lines end where those of all files of text do: the csv module would end them at a CR within
        yield from ((n, line.split(delimiter)) for n, line in enumerate(lines_of(text), start=1) if line)
        return
    # A text may be longer than the csv module allows unasked; the limit is one for the whole process.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begin = 1
    try:
        for values in rows:
            if values:
                yield begin, values
            begin = rows.line_num + 1
    except csv.Error as error:
        raise IsoglossError(f"{where} line {begin} is not readable as a table: {error}") from error


READERS = {"tsv": read_tsv, "csv": read_csv}
