"""The tables of a run directory: what their columns are, and whether a file holds one."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.errors import IsoglossError
from isogloss.runtime.parquet import read_parquet

SCORES: dict[str, Any] = {
    "backbone": pl.String, "task": pl.String, "method": pl.String, "seed": pl.Int64, "source": pl.String,
    "language": pl.String, "split": pl.String, "metric": pl.String, "value": pl.Float64, "n": pl.Int64,
}  # fmt: skip
PREDICTIONS: dict[str, Any] = {
    "method": pl.String, "seed": pl.Int64, "language": pl.String, "split": pl.String, "example": pl.String,
    "gold": pl.String, "predicted": pl.String, "score": pl.Float32,
}  # fmt: skip
HISTORY: dict[str, Any] = {
    "method": pl.String, "seed": pl.Int64, "step": pl.Int64, "epoch": pl.Float64, "tokens": pl.Int64,
    "loss": pl.Float64, "learning_rate": pl.Float64, "metric": pl.String, "value": pl.Float64, "language": pl.String,
}  # fmt: skip
TABLES = {"scores": SCORES, "predictions": PREDICTIONS, "history": HISTORY}
CONFIDENCE: dict[str, Any] = {  # how sure each answer is, before its cell's temperature and after
    "method": pl.String, "seed": pl.Int64, "language": pl.String, "split": pl.String, "example": pl.String,
    "score": pl.Float32, "calibrated": pl.Float32,
}  # fmt: skip
OF_CELL = {**TABLES, "confidence": CONFIDENCE}  # in its folder; the last has no table at the top
ROW = ["method", "seed", "language"]  # of a test split


def rows(schema: Mapping[str, Any], values: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows as a table of that schema; what a row does not name is null."""
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in values], schema=dict(schema))


def read_table(file: Path, name: str, written: Container[str] | None = None) -> pl.DataFrame:
    """One of the tables, with its own columns.

    Raises:
        MissingError: there is no such file.
        IsoglossError: it holds something else.
    """
    table, schema = read_parquet(file, written), OF_CELL[name]
    for column, kind in schema.items():
        if (found := table.schema.get(column)) != kind:
            has = f"is {found}, expected {kind}" if found else f"is missing; there are {', '.join(table.columns[:12])}"
            raise IsoglossError(f"{file} is no table of {name}: its column {column} {has}")
    return table.select(*schema)


def cells_and_languages(table: pl.DataFrame) -> set[tuple[str, int, str]]:
    """Method, seed and language of all rows that are of a test split."""
    return set(table.filter(split="test").select(ROW).unique().iter_rows())


def without_others(table: pl.DataFrame, name: str, wanted: set[tuple[str, int, str]]) -> pl.DataFrame | None:
    """A table's rows of certain cells and languages; None where it has not all of them.

    Args:
        table: that was put together at some time.
        name: which of the three.
        wanted: method, seed and language of each test split.
    """
    cells = {(method, seed) for method, seed, _ in wanted}
    of_cells = pl.DataFrame(list(cells), schema=["method", "seed"], orient="row").cast({"seed": pl.Int64})
    selected = table if name == "history" else table.filter(split="dev")
    if name != "predictions" and not cells <= set(selected.select("method", "seed").unique().iter_rows()):
        return None
    present = set() if name == "history" else cells_and_languages(table)
    if name != "history" and not wanted <= present:
        return None
    table = table.join(of_cells, on=["method", "seed"], how="semi", maintain_order="left")
    if present <= wanted:
        return table
    of_languages = pl.DataFrame(list(wanted), schema=ROW, orient="row").cast({"seed": pl.Int64})
    test = pl.struct(ROW).is_in(of_languages.to_struct().implode())
    return table.filter((pl.col("split") != "test") | test)
