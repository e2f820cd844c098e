"""Analyses of a run directory: tables to `analysis/*.parquet`, figures beside them, and a few lines to read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from isogloss.analysis.analysis import FOLDER, Analysis, AnalysisOptions, AnalysisResult, results_of
from isogloss.analysis.registry import analyses
from isogloss.charts import export
from isogloss.charts.chart import Chart
from isogloss.errors import IsoglossError, unknown
from isogloss.experiment.opened_run import OpenedRun
from isogloss.runtime.files import atomic_file
from isogloss.store import Store

MADE = "made.json"  # which analysis each table and figure is of


@dataclass(frozen=True)
class AnalysisOutcome:
    """What came of an analysis.

    Args:
        name: the analysis.
        result: what it gave; none: it was left out.
        reason: why it was left out; none: it was not.
    """

    name: str
    result: AnalysisResult | None
    reason: str | None = None


def analyze(
    folder: Path, names: Sequence[str], options: AnalysisOptions, *, skip: bool = False
) -> Iterator[AnalysisOutcome]:
    """Carry out analyses and store them.

    Args:
        folder: a run directory.
        names: which; none: all that the directory has the data for.
        options: how much is looked at.
        skip: whether to leave out, and say so, what cannot be carried out, though it was asked for.

    Raises:
        IsoglossError: the directory lacks what an analysis that was asked for needs.
    """
    for name in names:
        if not isinstance(name, str) or name not in analyses():
            raise unknown("analysis", name, analyses())
    opened_run = OpenedRun.of(folder)
    labels = {cell.label for cell, _ in opened_run.cells}
    for method in options.methods:
        if method not in labels:
            raise unknown("method of this run", method, labels)
    for name in names or analyses():
        try:
            result = analyses()[name].find(opened_run, options)
        except IsoglossError as error:
            if names and not skip:
                raise
            yield AnalysisOutcome(name, None, str(error))
            continue
        result.charts |= charts_of(analyses()[name], opened_run, options, result.tables)
        keep(opened_run.stored, name, result)
        yield AnalysisOutcome(name, result)


def charts_of(
    analysis: Analysis, opened_run: OpenedRun, options: AnalysisOptions, tables: Mapping[str, pl.DataFrame]
) -> dict[str, Chart]:
    """An analysis's charts by title, of its tables."""
    if analysis.section is None:
        return {}
    return analysis.section.charts(results_of(opened_run, options, tables))


def keep(stored: Store, name: str, result: AnalysisResult) -> None:
    """Write what an analysis gives in place of what it gave before, and of which scores it is.

    Args:
        stored: the run directory.
        name: of the analysis.
        result: its tables and charts.
    """
    folder, entries = stored.path / FOLDER, kept(stored)
    folder.mkdir(exist_ok=True)
    for title in [title for title, (other, _) in entries.items() if other == name]:
        del entries[title]
        for kind in ("parquet", *export.KINDS):
            (folder / f"{title}.{kind}").unlink(missing_ok=True)
    for title, table in result.tables.items():
        with atomic_file(folder / f"{title}.parquet") as file:
            table.write_parquet(file)
    for title, chart in result.charts.items():
        export.save(chart, folder / title)
    entries |= dict.fromkeys([*result.tables, *result.charts], (name, fingerprint(stored)))
    with atomic_file(folder / MADE) as file:
        file.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def kept(stored: Store) -> dict[str, tuple[str, str]]:
    """The tables and figures that lie in a run directory: the analysis of each, and the fingerprint of its scores."""
    file = stored.path / FOLDER / MADE
    entries = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {title: (name, scores) for title, (name, scores) in entries.items()}


def fingerprint(stored: Store) -> str:
    """A hash of the scores as they are now."""
    return hashlib.sha256((stored.path / "scores.parquet").read_bytes()).hexdigest()[:16]
