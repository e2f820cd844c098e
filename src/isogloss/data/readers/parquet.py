"""Parquet."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from isogloss.data.cells import cell
from isogloss.data.raw_row import RawRow
from isogloss.data.readers.columns import check_columns
from isogloss.errors import IsoglossError
from isogloss.runtime.files import read_bytes


def read_parquet(path: Path, columns: Sequence[str], _header: Sequence[str] | None = None) -> list[RawRow]:
    """Parquet. Arguments and errors as in `read_tsv`; there is no header."""
    import polars as pl  # not at the top: it alone takes as long as drafting a card of other files

    data = read_bytes(path)
    if not (data.startswith(b"PAR1") and data.endswith(b"PAR1")):
        raise IsoglossError(f"{path} is not Parquet, or is cut off")
    try:
        table = pl.read_parquet(io.BytesIO(data))  # not by its path, which polars takes for a pattern
        rows = list(table.iter_rows(named=True))
    except KeyboardInterrupt:
        raise
    # What a damaged file leads to has no common class, and what panics in Rust is no Exception.
    except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001
        if "KeyboardInterrupt" in str(error):
            raise KeyboardInterrupt from error
        raise IsoglossError(f"{path} is not Parquet: {[*str(error).splitlines(), 'unreadable'][0]}") from error
    check_columns(str(path), columns, table.columns)
    return [
        RawRow(where, {name: cell(value, where) for name, value in row.items()})
        for where, row in ((f"{path} row {number}", row) for number, row in enumerate(rows, start=1))
    ]


READERS = {"parquet": read_parquet}
