"""What a method is to be expected to score in languages without labelled data, and how far to trust that.

Scores are a line in what is known of a language before anything is labelled; so Xia et al. (2020, arXiv 2005.00870)
forecast scores of experiments that nobody had run. The line and its intervals are `jackknife`'s; how good they are is
what they say of each scored language from all the others, beside saying the mean of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text
from scipy import stats

from isogloss.analysis.analysis import (
    Analysis,
    AnalysisOptions,
    AnalysisResult,
    Results,
    Section,
    parallel_data,
    target_scores,
    titled,
)
from isogloss.analysis.distance.coordinates import coordinates
from isogloss.analysis.format import estimate
from isogloss.charts import forecast as drawn
from isogloss.charts.chart import Chart
from isogloss.data.parallel_text import read_parallel
from isogloss.errors import IsoglossError
from isogloss.experiment.opened_run import OpenedRun
from isogloss.runtime.console import activity
from isogloss.runtime.seeding import derive
from isogloss.stats.jackknife import MISS, forecast, left_out

# Chosen before any score was looked at. The first are known of every language that has sentences, and languages whose
# own are not known are not learnt from; the others stand at their mean where they are not known.
FROM_SENTENCES = ("model", "retrieval", "premium")
PREDICTORS = (*FROM_SENTENCES, "script", "pretraining", "syntactic", "genetic")
FEWEST = 8  # scored languages
SHOWN = 40  # languages without scores in the terminal
CERTAIN = 0.05  # the p-value at which a forecast is called better than the mean
PERMUTATIONS = 9999
LEAST = 0.001  # p-value that is written out
FORECAST: Any = {
    "method": pl.String, "language": pl.String, "expected": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "outside": pl.Int64,
}  # fmt: skip
CHECK: Any = {
    "method": pl.String, "language": pl.String, "score": pl.Float64, "expected": pl.Float64, "low": pl.Float64,
    "high": pl.Float64, "baseline": pl.Float64,
}  # fmt: skip
ERROR: Any = {
    "method": pl.String, "mae": pl.Float64, "baseline_mae": pl.Float64, "p": pl.Float64, "better": pl.Boolean,
    "coverage": pl.Float64, "width": pl.Float64, "languages": pl.Int64,
}  # fmt: skip


def learnt_from(table: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """The scored languages that have sentences, one row a method and language.

    Raises:
        IsoglossError: they are too few.
    """
    both = scores.join(table.drop_nulls(FROM_SENTENCES), on="language", maintain_order="left")
    fewest = both["language"].n_unique()
    if fewest < FEWEST:
        raise IsoglossError(
            f"{fewest} target languages have both a score and parallel sentences; a forecast takes {FEWEST} to learn "
            "from: run on more languages, or give --parallel, a folder that has them"
        )
    return both


def forecasts(table: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """What each method is to be expected to score in every language that has no score, with 90 % intervals.

    Intervals hold for languages drawn like the scored ones; `outside` is how many predictors of a language lie beyond
    all of theirs.

    Args:
        table: of `coordinates`.
        scores: of `target_scores`.

    Returns:
        Rows of `FORECAST`.
    """
    others = table.drop_nulls(FROM_SENTENCES).filter(~pl.col("language").is_in(scores["language"].unique().implode()))
    parts = []
    for (method,), learnt in learnt_from(table, scores).group_by(["method"], maintain_order=True):
        known, asked = _predictors(learnt), _predictors(others)
        predicted = forecast(known, learnt["score"].to_numpy(), asked)
        least, most = (np.where(np.isfinite(known), known, sign * np.inf) for sign in (1, -1))
        beyond = (asked < least.min(axis=0)) | (asked > most.max(axis=0))
        parts.append(
            others.select(
                pl.lit(method).alias("method"), "language", pl.Series("expected", predicted.expected),
                pl.Series("low", predicted.low), pl.Series("high", predicted.high),
                pl.Series("outside", beyond.sum(axis=1).astype(np.int64)),
            )
        )  # fmt: skip
    return pl.concat(parts).select(pl.col(name).cast(kind) for name, kind in FORECAST.items())


def checks(table: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """What would have been forecast of each scored language from all the others, and their mean as a baseline.

    Args:
        table: of `coordinates`.
        scores: of `target_scores`.

    Returns:
        Rows of `CHECK`.
    """
    parts = []
    for (method,), learnt in learnt_from(table, scores).group_by(["method"], maintain_order=True):
        score = learnt["score"].to_numpy()
        predicted = left_out(_predictors(learnt), score)
        parts.append(
            learnt.select(
                pl.lit(method).alias("method"), "language", "score", pl.Series("expected", predicted.expected),
                pl.Series("low", predicted.low), pl.Series("high", predicted.high),
                pl.Series("baseline", (score.sum() - score) / (len(score) - 1)),
            )
        )  # fmt: skip
    return pl.concat(parts).select(pl.col(name).cast(kind) for name, kind in CHECK.items())


def errors(check: pl.DataFrame) -> pl.DataFrame:
    """Mean absolute errors of the forecast and of the mean of the others, and how many scores lie in their intervals.

    `p` is of a permutation test that the forecast's errors are no smaller, language by language; `better` says that
    they are, at 0.05. Few languages say little of coverage: of 20, one more or less is 0.05.

    Args:
        check: of `checks`.

    Returns:
        Rows of `ERROR`; `width` is the mean of the intervals.
    """
    rows: list[dict[str, Any]] = []
    for (method,), checked in check.group_by(["method"], maintain_order=True):
        score, expected, baseline = (checked[name].to_numpy() for name in ("score", "expected", "baseline"))
        error, of_mean = np.abs(score - expected), np.abs(score - baseline)
        p = _smaller(error, of_mean)
        rows.append(
            {
                "method": method, "mae": float(error.mean()), "baseline_mae": float(of_mean.mean()), "p": p,
                "better": p is not None and p < CERTAIN,
                "coverage": float(checked.select(pl.col("score").is_between("low", "high").mean()).item()),
                "width": float((checked["high"] - checked["low"]).to_numpy().mean()), "languages": len(checked),
            }
        )  # fmt: skip
    return pl.DataFrame(rows, schema=ERROR)


def _smaller(one: Float[np.ndarray, "n"], other: Float[np.ndarray, "n"]) -> float | None:
    """The p-value of a one-sided permutation test that paired values are no smaller; None where they never differ."""
    if np.allclose(one, other, rtol=0, atol=1e-12):
        return None
    test = stats.permutation_test(
        (one, other), lambda a, b, axis=-1: (a - b).mean(axis=axis), permutation_type="samples", vectorized=True,
        alternative="less", n_resamples=PERMUTATIONS, rng=np.random.default_rng(derive("forecast", len(one))),
    )  # fmt: skip
    return float(test.pvalue)


def _predictors(languages: pl.DataFrame) -> Float[np.ndarray, "n predictors"]:
    return languages.select(pl.col(PREDICTORS).fill_null(float("nan"))).to_numpy()


def _charts(results: Results) -> dict[str, Chart]:
    expected, checked = results.table("forecast"), results.table("forecast-check")
    charts = {} if checked is None else {"forecast": drawn.check(checked, results.methods)}
    if expected is not None or checked is not None:
        charts["forecast-languages"] = drawn.languages(expected, checked, results.methods, metric=results.metric)
    return charts


def _forecast(opened_run: OpenedRun, options: AnalysisOptions) -> AnalysisResult:
    source, data = opened_run.data.source, parallel_data(opened_run, options)
    if data is None:
        raise IsoglossError("a forecast takes parallel sentences; give --parallel, a folder in SIB-200's layout")
    scores = target_scores(opened_run, options)
    languages = [language for language in data.languages() if language != source]
    parallel = read_parallel(data, source, languages, options.sentences)
    with activity(f"forecast: {len(languages)} languages"):
        table, notes = coordinates(opened_run, languages, parallel)
        check = checks(table, scores)
    expected, error = forecasts(table, scores), errors(check)
    shown: list[RenderableType] = [_trusted(error), *map(Text, [*notes, *_verdict(error)])]
    without = [str(test.language) for test in opened_run.data.unlabelled]
    if lacking := [code for code in without if code not in set(expected["language"])]:
        shown.append(Text(f"no forecast, for want of parallel sentences: {', '.join(lacking)}"))
    of_run = pl.col("language").is_in(without)
    if len(expected):  # what the run has predicted comes first
        shown += [_expected(some) for some in (expected.filter(of_run), expected.filter(~of_run)) if len(some)]
    else:
        shown.append(Text("every language with parallel sentences has a score: there is nothing to forecast"))
    return AnalysisResult({"forecast": expected, "forecast-check": check, "forecast-error": error}, shown)


def _trusted(error: pl.DataFrame) -> Table:
    shown = Table(
        "method", "error of the forecast", "error of the mean", "p", f"in {1 - MISS:.0%} intervals", "their width",
        "languages", box=box.SIMPLE_HEAD, title="each language forecast from the others: mean absolute errors",
    )  # fmt: skip
    for row in error.iter_rows(named=True):
        shown.add_row(
            row["method"], f"{row['mae']:.3f}", f"{row['baseline_mae']:.3f}",
            "" if row["p"] is None else f"{row['p']:.3f}" if row["p"] >= LEAST else f"< {LEAST}",
            f"{row['coverage']:.0%}", f"{row['width']:.2f}", str(row["languages"]),
        )  # fmt: skip
    return shown


def _verdict(error: pl.DataFrame) -> list[str]:
    methods = error.filter(~pl.col("better"))["method"].to_list()
    return [f"not shown to be better than the mean of the other languages: {', '.join(methods)}"] if methods else []


def _expected(table: pl.DataFrame) -> Table:
    methods = table["method"].unique(maintain_order=True).to_list()
    order: Sequence[str] = (
        table.group_by("language").agg(pl.col("expected").mean()).sort("expected", "language")["language"].to_list()
    )
    title = "expected where there is no score, with 90 % intervals"
    if len(order) > SHOWN:
        title += f"; the lowest {SHOWN} of {len(order)}, all of them in forecast.parquet"
    shown = Table("language", *methods, box=box.SIMPLE_HEAD, title=title)
    for code in order[:SHOWN]:
        rows = {row["method"]: row for row in table.filter(pl.col("language") == code).iter_rows(named=True)}
        beyond = max(row["outside"] for row in rows.values())
        shown.add_row(
            f"{code} (unlike any scored: {beyond} of {len(PREDICTORS)})" if beyond else code,
            *(estimate(*(rows[name][of] for of in ("expected", "low", "high")), places=2) for name in methods),
        )
    return shown


ANALYSIS = Analysis(
    "forecast",
    _forecast,
    computes=True,
    section=Section(
        "Forecast",
        "Expected scores with 90 % intervals. Scored languages (crosses) were left out one by one to judge it by.",
        _charts,
        titled({"forecast-error": "How far it misses"}),
    ),
)
