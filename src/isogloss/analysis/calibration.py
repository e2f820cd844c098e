"""How often answers are right that a method is so sure of, before its temperature and after, in every language.

The temperature is fitted on the source's development data, and nothing of a target has a part in it. Whether a
confidence means in another language what it means in the source is what this shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
from rich.text import Text

from isogloss.analysis.analysis import Analysis, AnalysisOptions, AnalysisResult, Results, Section, cells
from isogloss.analysis.sure_answers import sure_answers
from isogloss.charts.calibration import AFTER, BEFORE, TARGETS, reliability_diagram
from isogloss.charts.chart import Chart
from isogloss.errors import NotApplicableError
from isogloss.experiment.opened_run import OpenedRun
from isogloss.runtime.shell_table import ShellTable
from isogloss.stats.reliability import SCHEMA as BINS
from isogloss.stats.reliability import calibration_error, reliability
from isogloss.tasks.registry import TASKS

STAGES = {BEFORE: "score", AFTER: "calibrated"}  # the columns of each
KEYS: Any = {"method": pl.String, "language": pl.String, "temperature": pl.String}
SCHEMA: Any = {
    **KEYS, "ece": pl.Float64, "confidence": pl.Float64, "right": pl.Float64, "n": pl.Int64, "seeds": pl.Int64,
}  # fmt: skip


def calibration(answers: pl.DataFrame, source: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """How far confidence is from how often it is right.

    Args:
        answers: `method seed language right score calibrated`.
        source: its code.

    Returns:
        Rows of `SCHEMA` and, of each bin of confidence, of `KEYS` and `BINS`; over all seeds together, and beside
        every language of all targets together. `ece` is the expected calibration error.
    """
    errors, bins = [], []
    for (method, language), part in _parts(answers, source):
        for stage, column in STAGES.items():
            known = part.drop_nulls(column)
            if known.is_empty():
                continue
            keys = {"method": method, "language": language, "temperature": stage}
            table = reliability(known[column].to_numpy(), known["right"].to_numpy())
            bins.append(table.select(*(pl.lit(value).alias(name) for name, value in keys.items()), pl.all()))
            means = known.select(pl.col(column).mean().alias("confidence"), pl.col("right").mean()).row(0, named=True)
            counts = {"n": len(known), "seeds": known["seed"].n_unique()}
            errors.append({**keys, "ece": calibration_error(table), **means, **counts})
    every = pl.concat(bins) if bins else pl.DataFrame(schema={**KEYS, **BINS})
    return pl.DataFrame(errors, schema=SCHEMA), every


def _parts(answers: pl.DataFrame, source: str) -> Iterator[tuple[tuple[str, str], pl.DataFrame]]:
    """Each method's answers: in the targets together, in the source, and in each target."""
    for (method,), of_method in answers.group_by(["method"], maintain_order=True):
        targets = of_method.filter(pl.col("language") != source)
        yield (str(method), TARGETS), targets
        for code in [source, *sorted(set(targets["language"]))]:
            yield (str(method), code), of_method.filter(language=code)


def answers_with_right(opened_run: OpenedRun, options: AnalysisOptions) -> pl.DataFrame:
    """The answers of all cells, each with the share of it that is right: of a sentence's words, or all of a text's."""
    parts = []
    for cell, stored in cells(opened_run, options):
        answers = sure_answers(stored)
        if stored.record.kind == "tagging":
            words = answers.with_row_index("row").select("row", pl.col("gold", "predicted").str.split(" "))
            same = words.explode("gold", "predicted").group_by("row", maintain_order=True)
            right = same.agg((pl.col("gold") == pl.col("predicted")).mean().alias("right"))["right"]
        else:
            right = (answers["gold"] == answers["predicted"]).cast(pl.Float64).alias("right")
        labels = (pl.lit(cell.label).alias("method"), pl.lit(cell.seed, pl.Int64).alias("seed"))
        parts.append(answers.select(*labels, "language", "score", "calibrated").with_columns(right))
    return pl.concat(parts)


def _calibration(opened_run: OpenedRun, options: AnalysisOptions) -> AnalysisResult:
    kinds = {stored.record.kind for _, stored in cells(opened_run, options)}
    if not all(TASKS[kind].classes for kind in kinds):
        raise NotApplicableError("the answers to questions are of no classes, and have no temperature to look at")
    answers = answers_with_right(opened_run, options)
    if answers["score"].null_count() == len(answers):
        raise NotApplicableError("the predictions do not say how sure they are")
    errors, bins = calibration(answers, opened_run.spec.source)
    shown = ShellTable(
        "method", "language", "before", "after",
        title="expected calibration error, before the temperature and after",
    )  # fmt: skip
    for (method, language), rows in errors.group_by(["method", "language"], maintain_order=True):
        if language in {TARGETS, opened_run.spec.source}:
            of_stage = dict(rows.select("temperature", "ece").iter_rows())
            values = (f"{of_stage[stage]:.3f}" if stage in of_stage else "" for stage in STAGES)
            shown.add_row(Text(str(method)), str(language), *values)
    return AnalysisResult({"calibration": errors, "calibration-bins": bins}, [shown])


def _charts(results: Results) -> dict[str, Chart]:
    bins = results.table("calibration-bins")
    return {} if bins is None else {"calibration": reliability_diagram(bins, results.methods, results.source)}


def _tables(results: Results) -> dict[str, pl.DataFrame]:
    """A row a method and language: the error before and after."""
    errors = results.table("calibration")
    if errors is None:
        return {}
    wide = errors.pivot(on="temperature", index=["method", "language"], values="ece", maintain_order=True)
    known = errors.filter(pl.col("temperature") == pl.col("temperature").last().over("method", "language"))
    means = known.select("method", "language", "confidence", "right")
    table = wide.join(means, on=["method", "language"], maintain_order="left")
    names = {stage: f"error {stage.split(' ')[0]}" for stage in STAGES if stage in table.columns}
    return {"How far confidence is from what is right, before the temperature and after": table.rename(names)}


ANALYSIS = Analysis(
    "calibration",
    _calibration,
    section=Section(
        "Confidence",
        "Answers by how sure the model is of them, against the share that is right: on the dotted line, a confidence "
        "is a chance. Below it a model is surer than it may be, and a threshold has to be higher. The temperature is "
        "fitted on the source's development data and changes no answer. The error is the mean distance between "
        "confidence and share (expected calibration error), over ten bins of equal width.",
        _charts,
        _tables,
    ),
)
