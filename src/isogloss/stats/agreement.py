"""How often runs say the same of the same text, which takes no labels."""

from __future__ import annotations

from typing import Any

import polars as pl

AGREEMENT: Any = {"method": pl.String, "language": pl.String, "seeds": pl.Float64, "methods": pl.Float64}
UNIT = ["example", "place"]


def agreements(predictions: pl.DataFrame, *, words: bool = False) -> pl.DataFrame:
    """How often two seeds of a method agree, and how often one of them agrees with a run of another method.

    Each is the share of texts, or of words, with the same answer, a mean over all pairs of runs of a language.

    Args:
        predictions: `method seed language split example predicted`; only the test split is looked at.
        words: whether each word has an answer, the tags of a sentence having spaces between them.

    Returns:
        Rows of `AGREEMENT`: `seeds` is null where a method has one seed, `methods` where there is one method.
    """
    parts = predictions.filter(pl.col("split") == "test").partition_by("language", maintain_order=True)
    tables = [_of_language(part, words=words) for part in parts]
    return pl.concat(tables) if tables else pl.DataFrame(schema=AGREEMENT)


def _of_language(part: pl.DataFrame, *, words: bool) -> pl.DataFrame:
    texts = pl.col("method", "language", "example", "predicted").cast(pl.String)
    part = part.select(texts, "seed").with_columns(place=pl.lit(0, pl.Int64))
    of_method = part.select("method", "seed").unique(maintain_order=True).group_by("method", maintain_order=True)
    runs = of_method.len("runs").cast({"runs": pl.Int64}).with_columns(others=pl.col("runs").sum() - pl.col("runs"))
    if words:
        part = part.with_columns(pl.col("predicted").str.split(" "))
        part = part.with_columns(place=pl.int_ranges(pl.col("predicted").list.len())).explode("predicted", "place")
    said = part.group_by(*UNIT, "method", "predicted").len("count").cast({"count": pl.Int64})
    said = said.with_columns(beside=pl.col("count").sum().over(*UNIT, "predicted") - pl.col("count"))
    pairs = said.group_by("method").agg(
        within=(pl.col("count") * (pl.col("count") - 1)).sum(), across=(pl.col("count") * pl.col("beside")).sum(),
        units=pl.struct(UNIT).n_unique(),
    )  # fmt: skip
    joined = runs.join(pairs, on="method", maintain_order="left")
    one, other = pl.col("runs") * (pl.col("runs") - 1), pl.col("runs") * pl.col("others")
    return joined.select(
        "method", pl.lit(part["language"][0]).alias("language"),
        pl.when(one > 0).then(pl.col("within") / (one * pl.col("units"))).alias("seeds"),
        pl.when(other > 0).then(pl.col("across") / (other * pl.col("units"))).alias("methods"),
    ).cast(pl.Schema(AGREEMENT))  # fmt: skip
