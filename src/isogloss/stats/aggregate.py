"""Means of test scores: run by run over targets, and language by language over seeds."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl


def everywhere(test: pl.DataFrame) -> set[str]:
    """The languages that every run was scored in; averages are only ever over these.

    Args:
        test: test scores in one metric, `method seed language value`.
    """
    runs = test.select("method", "seed").n_unique()
    return set(test.group_by("language").len().filter(len=runs)["language"])


def by_seed(test: pl.DataFrame, source: str, targets: Collection[str]) -> pl.DataFrame:
    """Each run's score in the source, mean over targets, and the gap between them.

    Args:
        test: as in `everywhere`.
        source: the source language.
        targets: languages to average.

    Returns:
        `method seed source target gap`
    """
    return (
        test.group_by("method", "seed", maintain_order=True)
        .agg(
            pl.col("value").filter(pl.col("language") == source).first().alias("source"),
            pl.col("value").filter(pl.col("language").is_in(targets)).mean().alias("target"),
        )
        .with_columns((pl.col("source") - pl.col("target")).alias("gap"))
    )


def by_language(test: pl.DataFrame, source: str) -> pl.DataFrame:
    """Each method's score in every language, the source too, and what it lacks to the source's: means over seeds.

    Args:
        test: as in `everywhere`.
        source: the source language.

    Returns:
        `method language score deviation gap`; the gap is over the seeds that have the language.
    """
    of_source = test.filter(language=source).select("method", "seed", pl.col("value").alias("whole"))
    return (
        test.join(of_source, on=["method", "seed"], how="left", maintain_order="left")
        .group_by("method", "language", maintain_order=True)
        .agg(
            pl.col("value").mean().alias("score"),
            pl.col("value").std().alias("deviation"),
            (pl.col("whole") - pl.col("value")).mean().alias("gap"),
        )
    )
