"""What is often wrong: confusions, scores of classes, kinds of mistakes, and mistakes that are typical of them."""

from __future__ import annotations

from typing import Any

import polars as pl

CONFUSIONS, EXAMPLES = 10, 5  # of a method and language
CONFUSION: Any = {
    "kind": pl.String, "gold": pl.String, "predicted": pl.String, "count": pl.Int64, "share": pl.Float64,
    "of_errors": pl.Float64,
}  # fmt: skip
CLASS: Any = {
    "label": pl.String, "precision": pl.Float64, "recall": pl.Float64, "f1": pl.Float64, "n": pl.Int64,
    "predicted": pl.Int64,
}  # fmt: skip
KIND: Any = {"kind": pl.String, "count": pl.Int64, "of_errors": pl.Float64}
ONES = ("first", "last", "gold", "predicted")
EXAMPLE: Any = {
    "example": pl.String, "item": pl.Int64, "first": pl.Int64, "last": pl.Int64, "kind": pl.String, "gold": pl.String,
    "predicted": pl.String, "confidence": pl.Float64, "seeds": pl.Int64, "source_right": pl.Boolean,
}  # fmt: skip


def _typed(table: pl.DataFrame, schema: dict[str, Any]) -> pl.DataFrame:
    return table.select(pl.col(name).cast(kind) for name, kind in schema.items())


def confusions(units: pl.DataFrame) -> pl.DataFrame:
    """The most frequent confusions, over all seeds.

    Args:
        units: of one method and language, rows of `units.UNITS`.

    Returns:
        Rows of `CONFUSION`, the most frequent first: `share` is of the units whose right label is that, `of_errors` of
        all mistakes. Of spans, one that was missed has no `predicted`, and one that was invented no `gold`.
    """
    wrong = units.drop_nulls("kind")
    counts = wrong.group_by("kind", "gold", "predicted").agg(pl.len().alias("count"))
    golds = units.drop_nulls("gold").group_by("gold").agg(pl.len().alias("all"))
    shares = counts.join(golds, on="gold", how="left").with_columns(
        (pl.col("count") / pl.col("all")).alias("share"), (pl.col("count") / len(wrong)).alias("of_errors")
    )
    order = shares.sort("count", "kind", "gold", "predicted", descending=[True, False, False, False])
    return _typed(order.head(CONFUSIONS), CONFUSION)


def classes(units: pl.DataFrame, seeds: int) -> pl.DataFrame:
    """Precision, recall and F1 of every label that is right or was said, over all seeds.

    Args:
        units: of one method and language.
        seeds: how many; `n` and `predicted` are counts of one of them, the mean over all.

    Returns:
        Rows of `CLASS`, by label; a ratio to nothing is null.
    """
    counts = {
        "hits": units.filter(pl.col("kind").is_null()).group_by(label="gold").agg(pl.len().alias("hits")),
        "gold": units.drop_nulls("gold").group_by(label="gold").agg(pl.len().alias("golds")),
        "said": units.drop_nulls("predicted").group_by(label="predicted").agg(pl.len().alias("said")),
    }
    joined = counts["gold"].join(counts["said"], on="label", how="full", coalesce=True)
    joined = joined.join(counts["hits"], on="label", how="left").fill_null(0)

    def ratio(above: pl.Expr, below: pl.Expr) -> pl.Expr:
        return pl.when(below > 0).then(above / below)

    hits, golds, said = (pl.col(name) for name in ("hits", "golds", "said"))
    scored = joined.sort("label").with_columns(
        ratio(hits, said).alias("precision"), ratio(hits, golds).alias("recall"),
        ratio(2 * hits, golds + said).alias("f1"), (golds / seeds).round().alias("n"),
        (said / seeds).round().alias("predicted"),
    )  # fmt: skip
    return _typed(scored, CLASS)


def kinds(units: pl.DataFrame) -> pl.DataFrame:
    """How often each kind of mistake was made, over all seeds; rows of `KIND`, the most frequent first."""
    wrong = units.drop_nulls("kind")
    counts = wrong.group_by("kind").agg(pl.len().alias("count"), (pl.len() / len(wrong)).alias("of_errors"))
    return _typed(counts.sort("count", "kind", descending=[True, False]), KIND)


def typical(mistakes: pl.DataFrame, *, by_label: bool) -> pl.DataFrame:
    """Mistakes of the most frequent confusions, one of each in turn until there are five.

    Of a confusion, first those that most seeds make, and of these the ones that the model is the surest of.

    Args:
        mistakes: units of one method and language that are wrong, with a column `source_right`.
        by_label: whether labels are confused; else kinds of mistakes stand for them.

    Returns:
        Rows of `EXAMPLE`, each item once; `confidence` is the mean over the seeds that make the mistake.
    """
    keys = ["kind", "gold", "predicted"] if by_label else ["kind"]
    ones = mistakes.group_by("item", "example", "kind", *ONES, maintain_order=True).agg(
        pl.col("confidence").mean(),
        pl.len().alias("seeds"),
        pl.when(pl.col("source_right").is_not_null().any()).then(pl.col("source_right").all()).alias("source_right"),
    )
    ones = ones.with_columns(pl.col("seeds").sum().over(keys).alias("count"))
    order = ["seeds", "confidence", "item", "first", "gold", "predicted"]
    ones = ones.sort(order, descending=[True, True, False, False, False, False], nulls_last=True)
    ones = ones.unique(["item", *keys], keep="first", maintain_order=True)
    ones = ones.with_columns(pl.int_range(pl.len()).over(keys).alias("round"))
    ones = ones.sort("round", "count", *keys, descending=[False, True, *([False] * len(keys))], maintain_order=True)
    return _typed(ones.unique("item", keep="first", maintain_order=True).head(EXAMPLES), EXAMPLE)
