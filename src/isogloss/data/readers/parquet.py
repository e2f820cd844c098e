"""Parquet."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
        with _no_panic_on_screen():
            table = pl.read_parquet(io.BytesIO(data))  # not by its path, which polars takes for a pattern
        rows = list(table.iter_rows(named=True))
    # What a damaged file leads to has no common class, and what panics in Rust is no Exception.
    except (Exception, pl.exceptions.PanicException) as error:
        if "KeyboardInterrupt" in str(error):
            raise KeyboardInterrupt from error
        raise IsoglossError(f"{path} is not Parquet: {[*str(error).splitlines(), 'unreadable'][0][:200]}") from error
    check_columns(str(path), columns, table.columns)
    return [
        RawRow(where, {name: cell(value, where) for name, value in row.items()})
        for where, row in ((f"{path} row {number}", row) for number, row in enumerate(rows, start=1))
    ]


@contextmanager
def _no_panic_on_screen() -> Iterator[None]:
    """Keep from the terminal what Rust writes there by itself, pages of it, of a damaged file."""
    try:
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # there is no standard error
        yield
        return
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


READERS = {"parquet": read_parquet}
