"""Parquet as a file of texts, a row group at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from isogloss.cli.predict.input_files import PIECE
from isogloss.cli.predict.rows import Row, TextColumns
from isogloss.errors import IsoglossError
from isogloss.runtime.parquet import ParquetGroups, one_line_of

TEXTS = (pl.String, pl.Categorical, pl.Enum, pl.Null)


@dataclass(frozen=True)
class ParquetRows:
    """See `InputFile`.

    Args:
        groups: the file's row groups.
        texts: the columns of the texts.
    """

    groups: ParquetGroups
    texts: TextColumns

    @classmethod
    def of(cls, file: Path, texts: TextColumns) -> ParquetRows:
        """A file that has the columns.

        Raises:
            IsoglossError: it is none, or has not.
        """
        groups = ParquetGroups.of(file)
        texts.check(str(file), list(groups.schema))
        for name in texts.names:
            kind = groups.schema[name]
            if not (kind.is_numeric() or any(kind == text for text in TEXTS)):
                raise IsoglossError(f"{file}: {name!r} is {kind}; expected texts")
        return cls(groups, texts)

    @property
    def name(self) -> str:
        """See `InputFile`."""
        return str(self.groups.path)

    @property
    def again(self) -> bool:
        """See `InputFile`."""
        return True

    @property
    def columns(self) -> tuple[str, ...]:
        """See `InputFile`."""
        return tuple(self.groups.schema)

    def rows(self) -> Iterator[Row]:
        """See `InputFile`."""
        number = 0
        for frame in self.groups.frames():
            for piece in frame.iter_slices(PIECE):
                with one_line_of(self.groups.path):  # such as a date that Python has none of
                    rows = list(piece.iter_rows(named=True))
                for values in rows:
                    number += 1
                    yield self.texts.row(f"{self.groups.path} row {number}", values)
