"""Several run directories as one: the same tables over all of their methods, in the languages that all have alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl
from polars import selectors

from isogloss.analysis.analysis import AnalysisOptions, answers_of
from isogloss.analysis.gap import gap_intervals, scores_intervals
from isogloss.analysis.significance import significance
from isogloss.experiment.opened_run import OpenedRun
from isogloss.stats.bootstrap import bootstrap
from isogloss.stats.mixed_effects import balanced, mixed
from isogloss.stats.permutation import pairs


def unlike(opened_runs: Mapping[str, OpenedRun]) -> set[str]:
    """Languages whose test examples are not the same in all runs: other limits or other data."""
    seen: dict[str, set[str]] = {}
    for opened_run in opened_runs.values():
        for _, stored in opened_run.cells:
            for code in stored.record.scored:
                seen.setdefault(code, set()).add(stored.record.test_data[code])
    return {code for code, fingerprints in seen.items() if len(fingerprints) > 1}


def together(
    opened_runs: Mapping[str, OpenedRun], called: Mapping[str, Mapping[str, str]], scores: pl.DataFrame, reference: str
) -> dict[str, pl.DataFrame]:
    """Intervals and tests over the methods of several runs.

    Args:
        opened_runs: run directories of one task, metric and source.
        called: what each run's methods are called here.
        scores: of all of them, under these names, in the languages that are alike.
        reference: the method that the mixed model holds the others against.

    Returns:
        The tables of the analyses `gap` and `significance`.
    """
    alike = scores["language"].unique().implode()
    parts, runs = [], []
    for name, opened_run in opened_runs.items():
        of_run = answers_of(opened_run, AnalysisOptions())
        texts = of_run.predictions.cast({selectors.categorical(): pl.String})  # of a large run, they are codes
        renamed = texts.with_columns(pl.col("method").replace(dict(called[name])))
        parts.append(renamed.filter(pl.col("language").is_in(alike)))
        runs += [(called[name][method], seed) for method, seed in of_run.runs]
    answers = replace(of_run, predictions=pl.concat(parts), runs=runs)
    metric = next(iter(opened_runs.values())).metric
    by_language, overall = bootstrap(answers, metric, [answers.everywhere])
    methods = sorted(answers.of_method, key=lambda method: method != reference)
    mixed_effects, variances = mixed(balanced(scores, answers.source, metric, methods))
    return {
        "gap-intervals": gap_intervals(answers, overall[answers.everywhere]),
        "scores-intervals": scores_intervals(answers, {metric: by_language}),
        "significance": significance(answers, metric, pairs(answers, methods)),
        "significance-mixed": mixed_effects,
        "significance-variance": variances,
    }
