"""Tables of all cells together: of however many, no more than a cell's rows are in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from isogloss.run_directory.tables import TABLES

ROWS = 1 << 16  # of a piece that is written


def write_combined(file: Path, name: str, parts: Iterable[pl.DataFrame]) -> None:
    """Write a table piece by piece.

    Args:
        file: where to.
        name: which of the tables.
        parts: its rows in order, each part read when the one before is written; what fails there is raised as it is.
    """
    failed: list[BaseException] = []

    def pieces(*_: Any) -> Iterator[pl.DataFrame]:
        try:
            for part in parts:
                yield from part.iter_slices(ROWS)
        except BaseException as error:
            failed.append(error)
            raise

    schema = pl.Schema(TABLES[name])
    try:
        register_io_source(pieces, schema=schema).sink_parquet(file, engine="streaming")
    except BaseException:  # polars makes another error of what failed within
        if failed:
            raise failed[0] from None
        raise
