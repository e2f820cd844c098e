"""Answers as Parquet: kept beside the file in pieces until all are there, then put together piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.cli.predict.rows import Row, cell_text, plain
from isogloss.cli.predict.survey import Survey
from isogloss.errors import IsoglossError
from isogloss.runtime.parquet import ParquetGroups, write_pieces

ROWS = 1 << 14  # of a piece
TYPES = {"text": pl.String(), "json": pl.String(), "whole": pl.Int64(), "number": pl.Float64(), "truth": pl.Boolean()}


class ParquetOutput:
    """See `OutputFile`.

    Args:
        folder: for what is on its way.
        survey: of the columns.
        answers: what an answer consists of, and of what types.
        groups: the file that the texts come from, if it is Parquet too: its columns pass through as they lie there.
    """

    def __init__(self, folder: Path, survey: Survey, answers: Mapping[str, Any], groups: ParquetGroups | None) -> None:
        self.folder, self.survey, self.answers, self.groups = folder, survey, dict(answers), groups
        self.names = survey.named(answers)
        self.types = {} if groups is not None else {name: survey.type_of(name) for name in survey.columns}
        self.pieces: list[Path] = []
        self._waiting: list[dict[str, Any]] = []

    @property
    def schema(self) -> dict[str, Any]:
        """Of what is written piece by piece."""
        passed = {name: TYPES[kind] for name, kind in self.types.items()}
        return {**passed, **{self.names[name]: kind for name, kind in self.answers.items()}}

    def write(self, rows: Sequence[Row], answers: Sequence[Mapping[str, Any]]) -> None:
        """See `OutputFile`."""
        for row, answer in zip(rows, answers, strict=True):
            self.survey.check(row)
            values = {name: _fitting(row, name, kind) for name, kind in self.types.items()}
            self._waiting.append({**values, **{self.names[name]: answer.get(name) for name in self.answers}})
        if len(self._waiting) >= ROWS:
            self._put()

    def close(self, path: Path) -> None:
        """Put all of it together.

        Args:
            path: of the file.

        Raises:
            IsoglossError: the file that the texts come from has changed meanwhile.
        """
        self._put()
        if self.groups is None:
            write_pieces(path, self.schema, map(_read, self.pieces))
        else:
            write_pieces(path, {**self.groups.schema, **self.schema}, self._beside(self.groups))

    def _put(self) -> None:
        file = self.folder / f"{len(self.pieces)}.parquet"
        pl.DataFrame(self._waiting, schema=self.schema, strict=True).write_parquet(file)
        self.pieces.append(file)
        self._waiting = []

    def _beside(self, groups: ParquetGroups) -> Iterator[pl.DataFrame]:
        """The rows of the texts' file as they lie there, each with its answer."""
        answers = iter(self.pieces)
        rest = pl.DataFrame(schema=self.schema)
        for frame in groups.frames():
            begin = 0
            while begin < len(frame):
                if rest.is_empty():
                    if (piece := next(answers, None)) is None:
                        raise _changed(groups)
                    rest = _read(piece)
                    continue
                count = min(len(rest), len(frame) - begin)
                yield frame.slice(begin, count).hstack(rest.head(count))
                rest, begin = rest.slice(count), begin + count
        if not rest.is_empty():
            raise _changed(groups)


def _read(piece: Path) -> pl.DataFrame:
    return pl.read_parquet(piece, glob=False, hive_partitioning=False)


def _fitting(row: Row, name: str, kind: str) -> Any:
    value = row.values.get(name)
    if value is None:
        return None
    if kind in {"text", "json"}:
        return cell_text(value)
    expected: Any = {"whole": int, "number": int | float, "truth": bool}[kind]
    if not isinstance(value, expected) or isinstance(value, bool) != (kind == "truth"):
        raise IsoglossError(
            f"{row.where}: {name!r} is {plain(value)!r}, and in the rows before it a {kind}; write .jsonl, or read a "
            "file and not a pipe"
        )
    return float(value) if kind == "number" else value


def _changed(groups: ParquetGroups) -> IsoglossError:
    return IsoglossError(f"{groups.path} was changed while it was read; run it again")
