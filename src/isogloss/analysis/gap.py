"""Source score, mean target score and gap of every method, with intervals over seeds and examples."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from isogloss.analysis.analysis import Analysis, AnalysisOptions, AnalysisResult, answers_of, wanted
from isogloss.analysis.format import estimate
from isogloss.experiment.opened_run import OpenedRun
from isogloss.runtime.shell_table import ShellTable
from isogloss.stats.aggregate import by_seed, everywhere
from isogloss.stats.answers import Answers
from isogloss.stats.bootstrap import BootstrapEstimate, bootstrap
from isogloss.stats.intervals import Estimate

BOUNDS = {"value": pl.Float64, "low": pl.Float64, "high": pl.Float64, "seeds": pl.Int64}


def gaps(scores: pl.DataFrame, source: str, metric: str) -> pl.DataFrame:
    """Source, mean target and gap of every method and seed on the test split, over the languages that all have.

    Args:
        scores: of a run directory.
        source: the source language.
        metric: of its metrics.

    Returns:
        `method seed source target gap targets`, the last one the number of target languages.
    """
    test = scores.filter(split="test", metric=metric)
    targets = everywhere(test) - {source}
    return by_seed(test, source, targets).with_columns(pl.lit(len(targets), pl.Int64).alias("targets"))


def gap_intervals(answers: Answers, estimates: Mapping[str, BootstrapEstimate]) -> pl.DataFrame:
    """Source, mean target, gap, gap relative to the source and target relative to it, of every method.

    Means over seeds; of a ratio, over the ratios of the seeds.

    Args:
        answers: of all runs.
        estimates: of each measure over the languages that all runs have (`bootstrap.bootstrap`).

    Returns:
        `method measure value low high seeds languages over`: 95 % intervals for new seeds and new examples of the same
        languages. `languages` counts targets. `over` says what an interval allows for: `seeds and examples`, or of a
        single seed `examples` alone.
    """
    targets = len(answers.everywhere - {answers.source})
    rows = [
        {"method": method, "measure": measure, **_bounds(estimated.mean(runs), measure), "languages": targets}
        for method, runs in answers.of_method.items()
        for measure, estimated in estimates.items()
    ]
    schema = {"method": pl.String, "measure": pl.String, **BOUNDS, "languages": pl.Int64, "over": pl.String}
    return pl.DataFrame(rows, schema=schema)


def scores_intervals(answers: Answers, estimates: Mapping[str, Mapping[str, BootstrapEstimate]]) -> pl.DataFrame:
    """Scores of every method and language, means over the seeds that have it.

    Args:
        answers: of all runs.
        estimates: by metric, of each language (`bootstrap.bootstrap`).

    Returns:
        `method language metric value low high seeds n over`, as in `gap_intervals`; `n` counts examples, which are
        sentences in tagging.
    """
    rows = [
        {
            "method": method, "language": code, "metric": metric,
            **_bounds(estimated.mean(runs & answers.languages[code]), "score"), "n": estimated.examples,
        }
        for metric, by_language in estimates.items()
        for method, runs in answers.of_method.items()
        for code, estimated in by_language.items()
        if runs & answers.languages[code]
    ]  # fmt: skip
    schema = {
        "method": pl.String, "language": pl.String, "metric": pl.String, **BOUNDS, "n": pl.Int64, "over": pl.String,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def _bounds(mean: Estimate, measure: str) -> dict[str, float | int | str | None]:
    """A score is no less than 0 and no more than 1, whatever a symmetric interval says."""
    bounds = {"low": mean.low, "high": mean.high}
    if measure in {"score", "source", "target"}:
        bounds = {name: bound if bound is None else min(1.0, max(0.0, bound)) for name, bound in bounds.items()}
    over = "examples" if mean.seeds == 1 else "seeds and examples"
    return {"value": mean.value, **bounds, "seeds": mean.seeds, "over": over}


def _gap(opened_run: OpenedRun, options: AnalysisOptions) -> AnalysisResult:
    scores = wanted(opened_run.stored.table("scores"), options)
    order = {label: number for number, label in enumerate(dict.fromkeys(cell.label for cell, _ in opened_run.cells))}
    every = gaps(scores, opened_run.spec.source, opened_run.metric).sort(pl.col("method").replace_strict(order), "seed")
    answers = answers_of(opened_run, options)
    by_language, overall = bootstrap(answers, opened_run.metric, [answers.everywhere])
    intervals = gap_intervals(answers, overall[answers.everywhere])
    others = opened_run.cells[0][1].record.facts["metrics"][1:]
    languages = {opened_run.metric: by_language} | {metric: bootstrap(answers, metric)[0] for metric in others}
    shown = intervals.filter(pl.col("measure") != "transfer-ratio")
    table = ShellTable(
        "method", *(measure.replace("-", " ") for measure in shown["measure"].unique(maintain_order=True)), "seeds",
        title=f"{opened_run.metric}, {every['targets'][0]} targets; 95 % intervals for new seeds and examples",
    )  # fmt: skip
    for (method,), rows in shown.group_by(["method"], maintain_order=True):
        bounds = (estimate(*row) for row in rows.select("value", "low", "high").iter_rows())
        table.add_row(str(method), *bounds, str(rows["seeds"][0]))
    tables = {"gap": every, "gap-intervals": intervals, "scores-intervals": scores_intervals(answers, languages)}
    return AnalysisResult(tables, [table])


ANALYSIS = Analysis("gap", _gap)
