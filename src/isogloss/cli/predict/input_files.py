"""Files of texts to label: lines of text, CSV, TSV, JSON lines and Parquet, told by the end of their names.

Each is read row by row: no more of it is in memory than a piece, and of Parquet a row group.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from isogloss.cli.predict.rows import Row, TextColumns, line_row
from isogloss.data.raw_row import listed
from isogloss.errors import IsoglossError
from isogloss.experiment.new_texts import writable
from isogloss.runtime.text_lines import LONGEST, text_lines

SUFFIXES = {
    ".csv": "CSV", ".tsv": "TSV", ".jsonl": "JSON lines", ".ndjson": "JSON lines", ".json": "JSON lines",
    ".parquet": "Parquet",
}  # fmt: skip
DELIMITERS = (",", ";", "\t", "|")  # of CSV, as spreadsheets of different languages write it
DEEPEST = 200  # lists and objects within one another: what is written can be read again, and by other programs too
PIECE = 1024  # rows of a frame that are Python's own at one time


@runtime_checkable
class InputFile(Protocol):
    """A file of texts to label."""

    @property
    def name(self) -> str:
        """What people are told of it."""
        ...

    @property
    def again(self) -> bool:
        """Whether it can be read more than once, which a pipe cannot."""
        ...

    @property
    def columns(self) -> tuple[str, ...] | None:
        """What passes through, where the file says so before its rows; None: each row says so itself."""
        ...

    def rows(self) -> Iterator[Row]:
        """Every row.

        Raises:
            IsoglossError: it cannot be read, or a row cannot be right; it is named.
        """
        ...


def open_input(file: Path | None, inputs: Sequence[str], first: str | None, second: str | None) -> InputFile:
    """A file of texts, or standard input.

    Args:
        file: None: standard input.
        inputs: what an example consists of.
        first: the column of the texts, or of the first of two.
        second: the column of the second ones.

    Raises:
        IsoglossError: it cannot be read, is not what its name says, or has not the columns.
    """
    form = None if file is None else SUFFIXES.get(file.suffix.lower())
    if file is None or form is None:
        if (option := "--text-column" if first else "--second-column" if second else None) is not None:
            where = "standard input" if file is None else str(file)
            raise IsoglossError(
                f"{option} is for tables, and {where} is read as lines of text; name a file that ends in "
                f"{', '.join(SUFFIXES)}"
            )
        return TextLines(file, tuple(inputs))
    columns = TextColumns.of(inputs, first, second)
    if form == "Parquet":
        from isogloss.cli.predict.parquet_input import ParquetRows  # with polars

        return ParquetRows.of(file, columns)
    return JsonLines(file, columns) if form == "JSON lines" else Delimited.of(file, columns, quoting=form == "CSV")


def _numbered(lines: Iterator[str], where: str) -> Iterator[tuple[str, str]]:
    return ((f"{where} line {number}", line) for number, line in enumerate(lines, start=1))


@dataclass(frozen=True)
class TextLines:
    """A text a line; of pairs the two texts with a tab between.

    Args:
        file: None: standard input.
        inputs: what an example consists of.
    """

    file: Path | None
    inputs: tuple[str, ...]

    @property
    def name(self) -> str:
        """See `InputFile`."""
        return "standard input" if self.file is None else str(self.file)

    @property
    def columns(self) -> tuple[str, ...]:
        """See `InputFile`."""
        return ()

    @property
    def again(self) -> bool:
        """See `InputFile`."""
        return self.file is not None and self.file.is_file()

    def rows(self) -> Iterator[Row]:
        """See `InputFile`."""
        return (line_row(where, line, self.inputs) for where, line in _numbered(text_lines(self.file), self.name))


@dataclass(frozen=True)
class Delimited:
    """CSV with quotes as RFC 4180 has them, or TSV, in which quotes are ordinary characters.

    Args:
        file: the file.
        texts: the columns of the texts.
        columns: all of them, as its first line names them.
        delimiter: what stands between values.
        quoting: whether values may stand in quotes.
    """

    file: Path
    texts: TextColumns
    columns: tuple[str, ...]
    delimiter: str
    quoting: bool

    @classmethod
    def of(cls, file: Path, texts: TextColumns, *, quoting: bool) -> Delimited:
        """A file whose first line names the columns.

        Raises:
            IsoglossError: it cannot be read, or lacks the columns of the texts.
        """
        _refuse_pipe(file)
        found = []
        for delimiter in DELIMITERS if quoting else ("\t",):
            header = next(_records(file, delimiter, quoting=quoting), None)
            if header is None:
                raise IsoglossError(f"{file} is empty; expected a line with the names of its columns")
            if not header[1]:
                raise IsoglossError(f"{file} line 1 is empty; expected a line with the names of its columns")
            found.append((delimiter, header[1]))
        # Under the delimiter that is not the file's, its first line is a single name.
        delimiter, names = next((one for one in found if set(texts.names) <= set(one[1])), found[0])
        texts.check(f"{file} line 1", names)
        return cls(file, texts, tuple(names), delimiter, quoting)

    @property
    def name(self) -> str:
        """See `InputFile`."""
        return str(self.file)

    @property
    def again(self) -> bool:
        """See `InputFile`."""
        return True

    def rows(self) -> Iterator[Row]:
        """See `InputFile`."""
        records = _records(self.file, self.delimiter, quoting=self.quoting)
        next(records, None)
        for line, record in records:
            where = f"{self.file} line {line}"
            values = record
            if not values:  # an empty line: of a table of one column an empty value, of others none
                if len(self.columns) > 1:
                    continue
                values = [""]
            if len(values) != len(self.columns):
                raise IsoglossError(
                    f"{where} has {len(values)} values; expected {len(self.columns)} ({listed(self.columns)})"
                )
            yield self.texts.row(where, dict(zip(self.columns, values, strict=True)))


def _records(file: Path, delimiter: str, *, quoting: bool) -> Iterator[tuple[int, list[str]]]:
    """The values of each row with the line that it begins on; of an empty line none."""
    if not quoting:
        lines = enumerate(text_lines(file), start=1)
        yield from ((number, line.split(delimiter) if line else []) for number, line in lines)
        return
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST))  # one limit for the whole process
    rows = csv.reader(text_lines(file, ends=True), delimiter=delimiter, strict=True)
    begin = 1
    while True:
        try:
            values = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise IsoglossError(f"{file} line {begin} is not readable as a table: {error}") from error
        yield begin, values
        begin = rows.line_num + 1


@dataclass(frozen=True)
class JsonLines:
    """An object a line; empty lines are none.

    Args:
        file: the file.
        texts: the keys of the texts.
    """

    file: Path
    texts: TextColumns

    @property
    def name(self) -> str:
        """See `InputFile`."""
        return str(self.file)

    @property
    def columns(self) -> None:
        """See `InputFile`."""
        return None

    @property
    def again(self) -> bool:
        """See `InputFile`."""
        return self.file.is_file()

    def rows(self) -> Iterator[Row]:
        """See `InputFile`."""
        for where, line in _numbered(text_lines(self.file), str(self.file)):
            if line.strip():
                values = _object(line, where)
                self.texts.check(where, list(values))
                yield self.texts.row(where, values)


def _object(line: str, where: str) -> dict[str, Any]:
    """One line's keys and values, which can all be written again."""
    number = partial(_number, where)
    try:
        value = json.loads(
            line, object_pairs_hook=partial(_once, where), parse_float=number, parse_constant=number
        )  # fmt: skip
    except json.JSONDecodeError as error:
        hint = "; expected an object a line, and no array over several" if line.lstrip().startswith("[") else ""
        raise IsoglossError(f"{where} is not JSON: {error.msg} at column {error.colno}{hint}") from error
    except RecursionError as error:
        raise IsoglossError(f"{where} is nested too deeply to be read") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise IsoglossError(f"{where} is not JSON that can be read: {error}") from error
    if not isinstance(value, dict):
        came = type(value).__name__
        raise IsoglossError(f'{where} holds {came}; expected an object such as {{"text": …}}, one a line')
    if line.count("[") + line.count("{") > DEEPEST and _deeper(value, DEEPEST):
        raise IsoglossError(f"{where} is nested more than {DEEPEST} deep; make it flatter")
    if "\\u" in line and not writable(json.dumps(value, ensure_ascii=False)):
        raise IsoglossError(f"{where} holds half of a character (a lone surrogate); it was cut or escaped wrongly")
    return value


def _deeper(value: Any, most: int) -> bool:
    """Whether lists and objects lie within one another more than so often."""
    level = [value]
    for _ in range(most):
        within = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)]
        if not within:
            return False
        level = [item for items in within for item in items]
    return any(isinstance(item, dict | list) for item in level)


def _once(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which no key comes twice."""
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise IsoglossError(f"{where} has the key {twice[:60]!a} twice in one object; name each differently")
    return made


def _number(where: str, text: str) -> float | None:
    """A number as it can be written again; NaN, by which pandas says that nothing is there, is nothing."""
    value = float(text)
    if math.isinf(value):
        raise IsoglossError(f"{where} holds {text[:40]}, which is too large for a number")
    return None if math.isnan(value) else value


def _refuse_pipe(file: Path) -> None:
    if file.is_fifo():
        raise IsoglossError(f"{file} is a pipe; a table is read from a file, and lines of text from a pipe of any name")
