"""A cell's answers beside how sure it is of them, before its temperature and after."""

from __future__ import annotations

import polars as pl

from isogloss.store import StoredCell


def sure_answers(stored: StoredCell) -> pl.DataFrame:
    """The answers to test examples whose right answers are known.

    Args:
        stored: a cell.

    Returns:
        `language item example gold predicted score calibrated`: `item` is the place among the language's examples.
        `calibrated` is null where a cell has no temperature, as of questions, or of before it was kept.
    """
    place = pl.int_range(pl.len()).over("language").alias("item")
    answers = stored.table("predictions").filter(split="test").with_columns(place)
    answers = answers.select("language", "item", "example", "gold", "predicted", pl.col("score").cast(pl.Float64))
    if stored.record.temperature is None:
        return answers.with_columns(pl.lit(None, pl.Float64).alias("calibrated")).drop_nulls("gold")
    confidence = stored.table("confidence").filter(split="test").with_columns(place)
    sure = confidence.select("language", "item", "example", pl.col("calibrated").cast(pl.Float64))
    joined = answers.join(sure, on=["language", "item", "example"], how="left", maintain_order="left")
    return joined.drop_nulls("gold")
