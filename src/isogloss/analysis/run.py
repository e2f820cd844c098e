"""Analyses of a run directory: tables to `analysis/*.parquet`, figures beside them, and a few lines to read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from isogloss.analysis.analysis import FOLDER, Analysis, AnalysisOptions, AnalysisResult, results_of
from isogloss.analysis.registry import analyses
from isogloss.charts import export
from isogloss.charts.chart import Chart
from isogloss.errors import IsoglossError, NotApplicableError, unknown
from isogloss.experiment.opened_run import OpenedRun
from isogloss.runtime.determinism import deterministic
from isogloss.runtime.files import atomic_file, read_bytes
from isogloss.runtime.json import load_mapping
from isogloss.runtime.parquet import read_parquet
from isogloss.store import Store

MADE = "made.json"  # which analysis each table and figure is of
_TITLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=,+-]{0,199}")  # of a table or figure


@dataclass(frozen=True)
class AnalysisOutcome:
    """What came of an analysis.

    Args:
        name: the analysis.
        result: what it gave; none: it was left out.
        reason: why it was left out; none: it was not.
        failed: whether it does apply to the run, and could not be carried out.
    """

    name: str
    result: AnalysisResult | None
    reason: str | None = None
    failed: bool = False


def analyze(
    folder: Path, names: Sequence[str], options: AnalysisOptions, *, skip: bool = False
) -> Iterator[AnalysisOutcome]:
    """Carry out analyses and store them. Where one cannot be carried out, the others are.

    Args:
        folder: a run directory.
        names: which; none: all that the directory has the data for.
        options: how much is looked at.
        skip: whether to say only in the outcomes what could not be carried out.

    Raises:
        IsoglossError: at the end, where one failed, or none of those that were asked for applies to the directory.
    """
    yield from carry_out(OpenedRun.of(folder), names, options, skip=skip)


def carry_out(
    opened_run: OpenedRun, names: Sequence[str], options: AnalysisOptions, *, skip: bool = False
) -> Iterator[AnalysisOutcome]:
    """The same of a directory that is open. Its tables are mended first, if a run was killed before they were whole."""
    for name in names:
        if not isinstance(name, str) or name not in analyses():
            raise unknown("analysis", name, analyses())
    opened_run.stored.mend()
    labels = {cell.label for cell, _ in opened_run.cells}
    for method in options.methods:
        if method not in labels:
            raise unknown("method of this run", method, labels)
    if not options.texts:  # those of before stay nowhere, whatever is carried out now
        for name in [name for name, analysis in analyses().items() if analysis.texts]:
            forget(opened_run.stored, name)
    lacking: dict[str, IsoglossError] = {}
    chosen = list(dict.fromkeys(names or analyses()))
    for name in chosen:
        try:
            with deterministic(opened_run.spec.deterministic):
                result = analyses()[name].find(opened_run, options)
        except IsoglossError as error:
            lacking[name] = error
            yield AnalysisOutcome(name, None, str(error), failed=not isinstance(error, NotApplicableError))
            continue
        result.charts |= charts_of(analyses()[name], opened_run, options, result.tables)
        keep(opened_run.stored, name, result)
        yield AnalysisOutcome(name, result)
    failed = {name: error for name, error in lacking.items() if not isinstance(error, NotApplicableError)}
    if not skip and (failed or (names and len(lacking) == len(chosen))):
        told = [f"{name}: {error}" for name, error in (failed or lacking).items()]
        raise IsoglossError("; ".join(told)) from next(iter((failed or lacking).values()))


def charts_of(
    analysis: Analysis, opened_run: OpenedRun, options: AnalysisOptions, tables: Mapping[str, pl.DataFrame]
) -> dict[str, Chart]:
    """An analysis's charts by title, of its tables."""
    if analysis.section is None:
        return {}
    return analysis.section.charts(results_of(opened_run, options, tables))


def keep(stored: Store, name: str, result: AnalysisResult) -> None:
    """Write what an analysis gives in place of what it gave before, and of which scores it is.

    Each table and figure is replaced as a whole. `made.json` is written last: where a process was killed before, tables
    are there that it does not name, and they are written anew.

    Args:
        stored: the run directory. Where it is only to be read, nothing is kept.
        name: of the analysis.
        result: its tables and charts.
    """
    if not stored.writable:
        return
    folder, now = stored.path / FOLDER, fingerprint(stored)
    with stored.lock:  # which refuses a directory in which something leads elsewhere
        folder.mkdir(exist_ok=True)
    for title, table in result.tables.items():
        with atomic_file(folder / f"{title}.parquet") as file:
            table.write_parquet(file)
    for title, chart in result.charts.items():
        export.save(chart, folder / title)
    with stored.lock:  # two processes may analyse one directory
        entries = kept(stored)
        for title in [title for title, (other, _) in entries.items() if other == name]:
            del entries[title]
            gone = [] if title in result.tables else ["parquet"]
            for kind in gone if title in result.charts else [*gone, *export.KINDS]:
                (folder / f"{title}.{kind}").unlink(missing_ok=True)
        entries |= dict.fromkeys([*result.tables, *result.charts], (name, now))
        with atomic_file(folder / MADE) as file:
            file.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def forget(stored: Store, name: str) -> None:
    """Remove what an analysis has left, also where it was killed before it said so.

    Args:
        stored: the run directory. Where it is only to be read, nothing is removed.
        name: of the analysis, with which the titles of its tables begin.
    """
    if not stored.writable:
        return
    folder = stored.path / FOLDER
    if any(other == name for other, _ in kept(stored).values()):
        keep(stored, name, AnalysisResult())
    for file in [folder / f"{name}.parquet", *folder.glob(f"{name}-*.parquet")]:
        file.unlink(missing_ok=True)


def kept(stored: Store) -> dict[str, tuple[str, str]]:
    """The tables and figures that lie in a run directory: the analysis of each, and the fingerprint of its scores.

    The list may have been sent by somebody: a title is the name of a file in that folder and nothing else, of an
    analysis that there is. All else is as good as not there.
    """
    return {
        title: (entry[0], entry[1])
        for title, entry in load_mapping(stored.path / FOLDER / MADE).items()
        if _TITLE.fullmatch(title)
        and isinstance(entry, list)
        and list(map(type, entry)) == [str, str]
        and entry[0] in analyses()
    }


def kept_of_now(stored: Store, name: str, methods: Collection[str]) -> bool:
    """Whether what an analysis has left is of the scores and methods that there are now.

    Args:
        stored: the run directory.
        name: of the analysis and of its first table.
        methods: labels.
    """
    table = kept_table(stored, name) if kept(stored).get(name) == (name, fingerprint(stored)) else None
    return table is not None and "method" in table.columns and set(table["method"]) >= set(methods)


def kept_table(stored: Store, title: str) -> pl.DataFrame | None:
    """A table that an analysis has left; None where it is gone or damaged: it can be carried out again."""
    try:
        return read_parquet(stored.path / FOLDER / f"{title}.parquet")
    except IsoglossError:
        return None


def fingerprint(stored: Store) -> str:
    """A hash of the scores as they are now; empty where more was finished than is looked at, or nothing was kept."""
    try:
        scores = hashlib.sha256(read_bytes(stored.path / "scores.parquet")).hexdigest()[:16]
    except IsoglossError:
        return ""
    return "" if stored.outdated else scores
