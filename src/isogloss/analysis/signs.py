"""Signs of how well a method does in a language that take no label of it, and what they are worth where labels exist.

A sign is held against scores by the same line that a forecast is (`jackknife`): through the scored target languages,
and judged by what it says of each of them from all the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy import stats

from isogloss.stats.agreement import agreements
from isogloss.stats.correlation import SAME
from isogloss.stats.jackknife import expected_without, forecast

SIGNS = {
    "seeds": "agreement between seeds", "methods": "agreement between methods", "confidence": "mean confidence",
    "unknown": "share of unknown tokens",
}  # fmt: skip
TOGETHER = "all of these signs"
FEWEST = 5  # scored target languages that a sign is held against
NO_LABELS, SCORED = "no labels", "scored"
TABLE: Any = {
    "method": pl.String, "language": pl.String, "labels": pl.String, "score": pl.Float64,
    **dict.fromkeys(SIGNS, pl.Float64),
}  # fmt: skip
EXPECTED: Any = {
    "method": pl.String, "language": pl.String, "sign": pl.String, "expected": pl.Float64, "low": pl.Float64,
    "high": pl.Float64,
}  # fmt: skip
ERROR: Any = {
    "method": pl.String, "sign": pl.String, "mae": pl.Float64, "baseline_mae": pl.Float64, "spearman": pl.Float64,
    "languages": pl.Int64,
}  # fmt: skip


def signs(
    predictions: pl.DataFrame,
    confidence: pl.DataFrame,
    unknown: Mapping[str, float],
    scores: pl.DataFrame,
    *,
    source: str,
    words: bool = False,
) -> pl.DataFrame:
    """The signs of every language but the source, beside the scores that there are.

    Args:
        predictions: as `agreements` takes them.
        confidence: `method language confidence`, means over seeds and texts.
        unknown: the share of tokens that the tokenizer does not know, by language; none where it knows all.
        scores: `method language score`, of the languages with labels.
        source: the language that was learnt from.
        words: whether each word has an answer.

    Returns:
        Rows of `TABLE`: `labels` is `no labels` or `scored`; a sign that is not known is null.
    """
    return (
        agreements(predictions.filter(pl.col("language") != source), words=words)
        .join(confidence, on=["method", "language"], how="left", maintain_order="left")
        .join(
            scores.select("method", "language", "score"), on=["method", "language"], how="left", maintain_order="left"
        )
        .with_columns(
            unknown=pl.col("language").replace_strict(dict(unknown), default=0.0, return_dtype=pl.Float64),
            labels=pl.when(pl.col("score").is_null()).then(pl.lit(NO_LABELS)).otherwise(pl.lit(SCORED)),
        )
        .select(pl.col(name).cast(kind) for name, kind in TABLE.items())
    )


def expected(table: pl.DataFrame) -> pl.DataFrame:
    """What each sign, and all together, have one expect where there are no labels, with 90 % intervals.

    Args:
        table: of `signs`.

    Returns:
        Rows of `EXPECTED`; none of a sign that fewer than five scored languages have, or that is the same in all.
    """
    parts = []
    for method, sign, names, learnt in _informative(table):
        asked = table.filter(pl.col("method") == method, pl.col("labels") == NO_LABELS).drop_nulls(names)
        if asked.is_empty():
            continue
        said = forecast(_values(learnt, names), learnt["score"].to_numpy(), _values(asked, names))
        parts.append(
            asked.select(
                "method", "language", pl.lit(sign).alias("sign"), pl.Series("expected", said.expected),
                pl.Series("low", said.low), pl.Series("high", said.high),
            )
        )  # fmt: skip
    return pl.concat(parts).cast(pl.Schema(EXPECTED)) if parts else pl.DataFrame(schema=EXPECTED)


def errors(table: pl.DataFrame) -> pl.DataFrame:
    """How far each sign misses the scores that there are, each language being left out in turn.

    Args:
        table: of `signs`.

    Returns:
        Rows of `ERROR`: mean absolute errors of the line and of the mean of the other languages, as fractions, and the
        rank correlation of sign and score (null of all signs together). None where `expected` has none.
    """
    rows: list[dict[str, Any]] = []
    for method, sign, names, learnt in _informative(table):
        score, values = learnt["score"].to_numpy(), _values(learnt, names)
        of_mean = (score.sum() - score) / (len(score) - 1)
        rank = float(stats.spearmanr(values[:, 0], score).statistic) if sign in SIGNS and np.ptp(score) > SAME else None
        rows.append(
            {
                "method": method, "sign": sign, "mae": float(np.abs(expected_without(values, score) - score).mean()),
                "baseline_mae": float(np.abs(of_mean - score).mean()), "spearman": rank, "languages": len(score),
            }
        )  # fmt: skip
    return pl.DataFrame(rows, schema=ERROR)


def too_few(table: pl.DataFrame) -> str | None:
    """Why nothing is said of what signs are worth; None where something is."""
    count = table.filter(pl.col("labels") == SCORED)["language"].n_unique()
    if count >= FEWEST:
        return None
    have = "no target language has labels" if count == 0 else f"{count} target languages have labels"
    have = "1 target language has labels" if count == 1 else have
    return f"{have}, and it takes {FEWEST}"


def _informative(table: pl.DataFrame) -> Iterator[tuple[str, str, list[str], pl.DataFrame]]:
    """Each method and sign, and all of its signs together, with the scored languages that have them."""
    scored = table.filter(pl.col("labels") == SCORED)
    for (method,), of_method in scored.group_by(["method"], maintain_order=True):
        varying = []
        for sign in SIGNS:
            learnt = of_method.drop_nulls(sign)
            if len(learnt) >= FEWEST and np.ptp(learnt[sign].to_numpy()) > SAME:
                varying.append(sign)
                yield str(method), sign, [sign], learnt
        if len(varying) > 1 and len(learnt := of_method.drop_nulls(varying)) >= FEWEST:
            yield str(method), TOGETHER, varying, learnt


def _values(table: pl.DataFrame, names: Sequence[str]) -> Float[np.ndarray, "n signs"]:
    return table.select(names).to_numpy()
