"""Where answers are written: JSON lines, CSV, TSV or Parquet, a piece at a time; a file as a whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from isogloss.cli.predict.rows import Row, cell_text, plain
from isogloss.cli.predict.survey import Survey
from isogloss.errors import IsoglossError
from isogloss.runtime.files import refuse_special
from isogloss.runtime.visible import json_line

SUFFIXES = {
    ".jsonl": "JSON lines", ".ndjson": "JSON lines", ".csv": "CSV", ".tsv": "TSV", ".parquet": "Parquet"
}  # fmt: skip
_END = "\r\n"


@runtime_checkable
class OutputFile(Protocol):
    """Takes rows and their answers."""

    def write(self, rows: Sequence[Row], answers: Sequence[Mapping[str, Any]]) -> None:
        """Write so many rows, each with what is said of it.

        Raises:
            IsoglossError: the format cannot hold one of them.
        """
        ...


def output_format(path: Path) -> str:
    """What a file of answers is to be, by the end of its name.

    Raises:
        IsoglossError: it is nothing that can be written.
    """
    form = SUFFIXES.get(path.suffix.lower())
    if form is None:
        raise IsoglossError(f"--output {path} ends in {path.suffix!r}; expected {', '.join(SUFFIXES)}")
    return form


def check_output(path: Path, file: Path | None, folder: Path) -> None:
    """Whether a file of answers can be written.

    Args:
        path: of the answers.
        file: the texts.
        folder: the run directory.

    Raises:
        IsoglossError: it is no such file, or what is there must not be replaced.
    """
    output_format(path)
    refuse_special(path)
    if file is not None and path.exists() and file.exists() and path.samefile(file):
        raise IsoglossError(f"--output {path} is the file that is read; choose another name")
    if path.resolve().is_relative_to(folder.resolve()):
        raise IsoglossError(
            f"--output {path} is in the run directory, which holds what runs write; choose another place"
        )


class JsonOutput:
    """An object a line, which a terminal may show.

    Args:
        stream: takes text.
        names: what the parts of an answer are called among the columns.
        ascii_only: whether it takes nothing else.
    """

    def __init__(self, stream: Any, names: Mapping[str, str], *, ascii_only: bool = False) -> None:
        self.stream, self.names, self.ascii_only = stream, names, ascii_only
        self.taken = set(names.values())

    def write(self, rows: Sequence[Row], answers: Sequence[Mapping[str, Any]]) -> None:
        """See `OutputFile`."""
        for row, answer in zip(rows, answers, strict=True):
            if clash := self.taken & row.values.keys():  # seen in no row before, of a pipe
                raise IsoglossError(
                    f"{row.where} has {min(clash)!r}, as the answer has; rename it, or read a file and no pipe"
                )
            named = {self.names[name]: value for name, value in answer.items()}
            self.stream.write(json_line({**plain(row.values), **named}, ascii_only=self.ascii_only) + "\n")
        self.stream.flush()


class _LineFeeds:
    """Lines of a table as they are written, each ended by a line feed alone."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, line: str) -> None:
        self.stream.write(line.removesuffix(_END) + "\n")


class DelimitedOutput:
    """CSV with quotes as RFC 4180 has them, or TSV without any; what is nested stands as JSON.

    Args:
        stream: takes text, and leaves line ends as they are.
        survey: of the columns.
        answers: what an answer consists of.
        quoting: whether it is CSV.
    """

    def __init__(self, stream: Any, survey: Survey, answers: Sequence[str], *, quoting: bool) -> None:
        self.survey, self.answers, self.quoting = survey, list(answers), quoting
        self.stream = stream
        # Before Python 3.13, what ends a line is quoted only where it is part of the writer's own end of a line.
        self.writer = csv.writer(_LineFeeds(stream), lineterminator=_END) if quoting else None
        names = survey.named(self.answers)
        self._row("a column's name", [*survey.columns, *(names[name] for name in self.answers)])

    def write(self, rows: Sequence[Row], answers: Sequence[Mapping[str, Any]]) -> None:
        """See `OutputFile`."""
        for row, answer in zip(rows, answers, strict=True):
            self.survey.check(row)
            values = [row.values.get(name) for name in self.survey.columns]
            cells = [*values, *(answer.get(name) for name in self.answers)]
            self._row(row.where, list(map(cell_text, cells)))

    def _row(self, where: str, cells: list[str]) -> None:
        if self.writer is not None:
            self.writer.writerow(cells)
            return
        refuse_in_tsv(where, cells)
        self.stream.write("\t".join(cells) + "\n")


def refuse_in_tsv(where: str, cells: Sequence[Any]) -> None:
    """TSV has no way to say that a tab or a line's end is part of a value.

    Raises:
        IsoglossError: there is one.
    """
    for cell in cells:
        if isinstance(cell, str) and ("\t" in cell or "\n" in cell or "\r" in cell):
            raise IsoglossError(
                f"{where} has a tab or a line's end within {cell[:40]!r}, which TSV cannot hold; write .csv, .jsonl or "
                ".parquet"
            )
