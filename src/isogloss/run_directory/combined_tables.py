"""Tables of all cells together: of however many, no more than a few cells' rows are in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from isogloss.errors import IsoglossError
from isogloss.run_directory.cell import StoredCell, file_sha256
from isogloss.run_directory.tables import TABLES
from isogloss.runtime.parquet import write_pieces

TOGETHER = 64  # cells whose files are read at once, as most of the time goes into opening them
BYTES = 1 << 20  # of these files at most: in memory they take twenty times as much
ROWS = 1 << 18  # and no more than these: equal rows take next to nothing in a file
FILE = "isogloss file"


def write_combined(file: Path, name: str, cells: Sequence[StoredCell]) -> None:
    """Write a table piece by piece.

    Args:
        file: where to.
        name: which of the tables.
        cells: in order, read as it is written; what is wrong with one is raised as `StoredCell.table` does.
    """
    write_pieces(file, TABLES[name], _pieces(name, cells))


def _pieces(name: str, cells: Sequence[StoredCell]) -> Iterator[pl.DataFrame]:
    for some in _groups(name, cells):
        if len(some) == 1 or (together := _together(name, some)) is None:
            yield from (cell.table(name) for cell in some)
        else:
            yield together


def _groups(name: str, cells: Sequence[StoredCell]) -> Iterator[list[StoredCell]]:
    """Cells in order, in groups that are small enough to be in memory; one that is not is alone."""
    group: list[StoredCell] = []
    size = 0
    for cell in cells:
        file = cell.folder / f"{name}.parquet"
        own = file.stat().st_size if file.is_file() else BYTES
        if group and (len(group) == TOGETHER or size + own > BYTES):
            yield group
            group, size = [], 0
        group.append(cell)
        size += own
    if group:
        yield group


def _together(name: str, cells: Sequence[StoredCell]) -> pl.DataFrame | None:
    """Many cells' rows at once; None where they are too many, or a file is not to the byte what was written.

    What was written when its cell was finished, or given more languages, has just the rows that its record names.
    """
    files = [cell.folder / f"{name}.parquet" for cell in cells]
    try:
        for cell, file in zip(cells, files, strict=True):
            if cell.record.left_out or cell.record.tables_sha256.get(name) != [file_sha256(file)]:
                return None
        scanned = pl.scan_parquet(files, glob=False, hive_partitioning=False, include_file_paths=FILE)
        if scanned.select(pl.len()).collect().item() > ROWS:
            return None
        rows = scanned.select(*TABLES[name], FILE).collect()
        of_files = rows.group_by(FILE).agg(pl.struct("method", "seed").unique().alias("keys"))
    except (OSError, IsoglossError, pl.exceptions.PolarsError):
        return None
    table = rows.drop(FILE)
    held = {path: [(key["method"], key["seed"]) for key in keys] for path, keys in of_files.iter_rows()}
    wanted = {str(file): [cell.key] for cell, file in zip(cells, files, strict=True)}
    return table if table.schema == pl.Schema(TABLES[name]) and held == wanted else None
