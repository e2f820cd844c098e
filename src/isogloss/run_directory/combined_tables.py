"""Tables of all cells together: of however many, no more than a cell's rows are in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from isogloss.run_directory.tables import TABLES
from isogloss.runtime.parquet import write_pieces


def write_combined(file: Path, name: str, parts: Iterable[pl.DataFrame]) -> None:
    """Write a table piece by piece.

    Args:
        file: where to.
        name: which of the tables.
        parts: its rows in order, each part read when the one before is written; what fails there is raised as it is.
    """
    write_pieces(file, TABLES[name], parts)
