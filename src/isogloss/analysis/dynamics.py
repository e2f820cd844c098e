"""The gap as training goes on, and when it opens (Guo et al. 2023, arXiv 2305.11449, follow it in this way)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy import stats

from isogloss.analysis.analysis import Analysis, AnalysisOptions, AnalysisResult, Results, Section, titled, wanted
from isogloss.charts import training
from isogloss.charts.chart import Chart
from isogloss.errors import NotApplicableError
from isogloss.experiment.opened_run import OpenedRun
from isogloss.runtime.shell_table import ShellTable
from isogloss.stats.intervals import summarised
from isogloss.training.monitor import MEASURES

CONFIDENCE = 0.95
LEARNT = 0.9  # share of its final score from which on the source counts as learnt
WINDOW = 3  # observations whose mean gap is what growth is counted from


@dataclass(frozen=True)
class Onset:
    """When a gap opens.

    Args:
        step: the update from which on the gap's growth is not explained by noise; None where it never is, or where
            there are fewer than two seeds to tell noise by.
        learnt: the update at which the source's mean score reached nine tenths of its last: before that both scores
            rise from chance, and a gap says nothing.
        growth: from there to the end, the mean over seeds.
    """

    step: int | None
    learnt: int
    growth: float


def observations(history: pl.DataFrame) -> pl.DataFrame:
    """The rows of a history that looking on wrote: scores of the task without a loss."""
    scores = history.filter(pl.col("value").is_not_null() & pl.col("loss").is_null())
    return scores.filter(~pl.col("metric").is_in(MEASURES))


def gap_curve(history: pl.DataFrame, source: str) -> pl.DataFrame:
    """Source, mean target and gap at every observation.

    Args:
        history: of a run directory, in the columns of the contract.
        source: the source language.

    Returns:
        `method seed step epoch metric source target gap targets`, the last one the number of target languages.
    """
    seen = observations(history)
    of_source = seen.filter(language=source).select(
        "method", "seed", "step", "epoch", "metric", pl.col("value").alias("source")
    )
    of_targets = (
        seen.filter(pl.col("language") != source)
        .group_by("method", "seed", "step")
        .agg(pl.col("value").mean().alias("target"), pl.len().alias("targets"))
    )
    return (
        of_source.join(of_targets, on=["method", "seed", "step"])
        .with_columns((pl.col("source") - pl.col("target")).alias("gap"))
        .select("method", "seed", "step", "epoch", "metric", "source", "target", "gap", "targets")
        .sort("method", "seed", "step")
    )


def onset(
    gaps: Float[np.ndarray, "seeds observations"], source: Float[np.ndarray, "seeds observations"], steps: list[int]
) -> Onset:
    """When the gap opens, noise being what differs between seeds.

    Growth is counted, seed by seed, from the mean of the first observations at which the source is learnt. The onset is
    the first observation behind them from which on *every* one has grown by more than a one-sided t-interval allows
    for; a false alarm needs at least that the last one has, which is as rare as the interval says.

    Args:
        gaps: of each seed at each observation.
        source: its scores there.
        steps: updates of the observations.
    """
    seeds, mean = len(gaps), source.mean(axis=0)
    first = int(np.argmax(mean >= LEARNT * mean[-1]))
    behind = min(first + WINDOW, gaps.shape[1])
    growth = gaps - gaps[:, first:behind].mean(axis=1, keepdims=True)
    mean_growth = growth.mean(axis=0)
    opened = len(steps)
    if seeds > 1 and behind < len(steps):
        noise = np.sqrt(growth[:, behind:].var(axis=0, ddof=1).mean() / seeds)  # pooled over the observations
        grown = mean_growth[behind:] > stats.t.ppf(CONFIDENCE, seeds - 1) * noise
        still = np.flatnonzero(~grown)
        opened = behind + (int(still[-1]) + 1 if len(still) else 0)
    return Onset(steps[opened] if opened < len(steps) else None, steps[first], float(mean_growth[-1]))


def onsets(curve: pl.DataFrame) -> pl.DataFrame:
    """The onset of every method, from `gap_curve`.

    Returns:
        `method onset learnt growth seeds`
    """
    rows = []
    for (method,), of_method in curve.group_by(["method"], maintain_order=True):
        by_seed = [part.sort("step") for _, part in of_method.group_by(["seed"], maintain_order=True)]
        steps = sorted(set.intersection(*(set(part["step"]) for part in by_seed)))
        gaps, source = (
            np.array([part.filter(pl.col("step").is_in(steps))[name].to_list() for part in by_seed])
            for name in ("gap", "source")
        )
        opening = onset(gaps, source, steps)
        rows.append(
            {
                "method": method, "onset": opening.step, "learnt": opening.learnt, "growth": opening.growth,
                "seeds": len(by_seed),
            }
        )  # fmt: skip
    schema = {"method": pl.String, "onset": pl.Int64, "learnt": pl.Int64, "growth": pl.Float64, "seeds": pl.Int64}
    return pl.DataFrame(rows, schema=schema)


def gap_chart(curve: pl.DataFrame, onsets: pl.DataFrame, methods: Sequence[str]) -> Chart:
    """Source, mean target and gap of each method over training, the onset marked.

    Args:
        curve: of `gap_curve`.
        onsets: of `onsets`.
        methods: labels in their order.
    """
    long = curve.unpivot(training.GAP, index=["method", "seed", "step"], variable_name="curve")
    means = summarised(long, ["method", "curve", "step"], "value")
    return training.gap(means, methods, dict(onsets.select("method", "onset").iter_rows()))


def _charts(results: Results) -> dict[str, Chart]:
    curve, opened = results.table("dynamics"), results.table("dynamics-onset")
    return {} if curve is None or opened is None else {"dynamics": gap_chart(curve, opened, results.methods)}


def _dynamics(opened_run: OpenedRun, options: AnalysisOptions) -> AnalysisResult:
    history = wanted(opened_run.stored.table("history"), options)
    source = opened_run.spec.source
    curve = gap_curve(history, source)
    if not len(curve):
        raise NotApplicableError("nothing was looked at in training; `dynamics: {}` in the spec does so")
    opened = onsets(curve)
    table = ShellTable(
        "method",
        "source learnt at",
        "gap opens at",
        "grows by",
        "seeds",
        title="the gap in training, in updates",
    )
    for row in opened.iter_rows(named=True):
        onset = "never" if row["onset"] is None else str(row["onset"])
        table.add_row(row["method"], str(row["learnt"]), onset, f"{row['growth']:+.3f}", str(row["seeds"]))
    return AnalysisResult({"dynamics": curve, "dynamics-onset": opened}, [table])


ANALYSIS = Analysis(
    "dynamics",
    _dynamics,
    section=Section(
        "The gap in training",
        "Source, mean target and gap on samples of development data, looked at while the models were trained.",
        _charts,
        titled({"dynamics-onset": "When the gap opens, in updates"}),
        small=True,
    ),
)
