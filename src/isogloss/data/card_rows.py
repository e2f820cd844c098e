"""The rows of the files that a card is drafted from, by language and split, and which of them have no labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from isogloss.data.card_columns import guess
from isogloss.data.card_dialect import dialect
from isogloss.data.card_layout import FORMATS, FileLayout, language, named_by_split
from isogloss.data.label_column import without_label
from isogloss.data.layouts import Local
from isogloss.data.raw_row import RawRow
from isogloss.data.readers.registry import read_file
from isogloss.errors import IsoglossError

Rows = dict[tuple[str, str], list[RawRow]]  # by the files' own names of language and split
LANGUAGES = ("language", "lang", "locale", "language_code", "lang_code", "lang_id")  # what a column of codes is called
EMPTY = {"", "_"}  # what stands where there is no label


def read_rows(layout: FileLayout, local: Mapping[str, Any], asked: Sequence[str]) -> Rows:
    """The rows of each language and split.

    Args:
        layout: where they lie.
        local: how the files are written.
        asked: the columns to ask for; of tables, none need be.

    Raises:
        IsoglossError: a file cannot be read, or has no rows.
    """
    shape = Local.model_validate({**local, "splits": {"test": "test"}})
    of_file = {path: _read(path, asked, shape) for path in dict.fromkeys(layout.files.values())}
    if empty := next((path for path, rows in of_file.items() if not rows), None):
        raise IsoglossError(f"{empty} has no rows to learn the columns from; fill it in or move it away")
    if layout.column is None:
        return {key: of_file[path] for key, path in layout.files.items()}
    return {
        (code, split): [row for row in of_file[path] if row.values[layout.column] == code]
        for (code, split), path in layout.files.items()
    }


def _read(path: Path, asked: Sequence[str], shape: Local) -> list[RawRow]:
    """A file; where the columns' names are ours, one without its last column, the tags or labels, may be read too."""
    try:
        return read_file(path, asked, shape)
    except IsoglossError:
        if not shape.header or len(shape.header) < 2:  # noqa: PLR2004 - a text and a label
            raise
        last = shape.header[-1]
        try:
            return read_file(path, [name for name in asked if name != last], without_label(shape, last))
        except IsoglossError:
            pass
        raise


def by_column(folder: Path) -> FileLayout | None:
    """Files that are not named by language, where a column says which language each row is in.

    They are one file, or one a split. None where they are not.

    Raises:
        IsoglossError: a file cannot be read.
    """
    found = named_by_split(folder)
    if found is None or FORMATS[found.suffix] not in {"tsv", "csv", "jsonl", "parquet"}:
        return None
    local = {"path": found.pattern, **dialect(FORMATS[found.suffix], found.suffix, list(found.files.values()))}
    rows = read_rows(found, local, [])
    every = [row for some in rows.values() for row in some]
    for column in LANGUAGES:
        values = {row.values.get(column) for row in every}
        codes = {str(language(value)): value for value in values if isinstance(value, str) and language(value)}
        if codes and len(codes) == len(values):
            files = {
                (code, split): found.files["", split]
                for (_, split), some in rows.items()
                for code in sorted({str(row.values[column]) for row in some})
            }
            return FileLayout(found.pattern, found.suffix, files, codes, found.left_out, column)
    return None


def kind_and_columns(rows: Rows, source: str) -> tuple[str, dict[str, str]]:
    """The kind of task and its columns, though files of other languages than the source may have no label.

    Args:
        rows: of each file.
        source: what the files call the language whose files are sure to have labels.

    Raises:
        IsoglossError: they look like no kind.
    """
    files = list(rows.values())
    try:
        kind, columns = guess([some for (code, _), some in rows.items() if code == source])
    except IsoglossError:
        return guess(files)
    others = set(columns.values()) - {columns["label"]}
    same_texts = all(others <= row.values.keys() for some in files for row in some)
    return (kind, columns) if same_texts and unlabelled(rows, columns["label"]) else guess(files)


def unlabelled(rows: Rows, label: str) -> list[tuple[str, str]]:
    """The files in which no row has a label."""
    return [key for key, some in rows.items() if all(_is_nothing(row.values.get(label, "")) for row in some)]


def _is_nothing(value: Any) -> bool:
    if isinstance(value, dict | list):
        return all(map(_is_nothing, value.values() if isinstance(value, dict) else value))
    return str(value).strip() in EMPTY
