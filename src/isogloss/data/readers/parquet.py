"""Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from isogloss.data.cells import cell
from isogloss.data.raw_row import RawRow
from isogloss.data.readers.columns import check_columns


def read_parquet(path: Path, columns: Sequence[str], _header: Sequence[str] | None = None) -> list[RawRow]:
    """Parquet. Arguments and errors as in `read_tsv`; there is no header."""
    from isogloss.runtime import parquet  # not at the top: polars alone takes as long as drafting a card of other files

    table = parquet.read_parquet(path)
    with parquet.one_line_of(path):  # such as a date that Python has none of
        rows = list(table.iter_rows(named=True))
    check_columns(str(path), columns, table.columns)
    return [
        RawRow(where, {name: cell(value, where) for name, value in row.items()})
        for where, row in ((f"{path} row {number}", row) for number, row in enumerate(rows, start=1))
    ]


READERS = {"parquet": read_parquet}
