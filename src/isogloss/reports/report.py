"""The report of runs: one page that opens anywhere, and every table and figure beside it.

It reads the store alone, and for examples of mistakes the test texts where the data still lie.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from isogloss.analysis.analysis import AnalysisOptions
from isogloss.analysis.errors.texts import on_hub
from isogloss.analysis.registry import analyses
from isogloss.analysis.run import carry_out, kept_of_now
from isogloss.errors import IsoglossError
from isogloss.experiment.comparison import finished_runs, opened_comparison
from isogloss.experiment.opened_run import OpenedRun
from isogloss.reports.figures import figures
from isogloss.reports.files import write_figures, write_tables
from isogloss.reports.page import analysis_charts, page
from isogloss.reports.run_group import run_groups
from isogloss.reports.ship import with_decisions
from isogloss.reports.summary import answer
from isogloss.run_directory.damage import refuse_strange
from isogloss.runtime.files import atomic_file
from isogloss.store import safe_name


def report(
    folders: Sequence[Path],
    out: Path | None = None,
    *,
    reference: str | None = None,
    good_enough: float | None = None,
    texts: bool = True,
    show: Callable[[str], None] | None = None,
) -> Path:
    """Write the report of run directories.

    Analyses that only read tables are carried out; those that run models are shown where `isogloss analyze` has left
    them.

    Args:
        folders: run directories, or comparisons of backbones, of which all that are finished are told of.
        out: the page; none: `report.html` in the directory, or `comparison.html` in the first of several. Tables and
            figures go to a folder of that name without `.html`.
        reference: the method that the others are held against, as the page calls it; none: the first.
        good_enough: the score from which on a language can be shipped, between 0 and 1; none: nothing is said of that.
        texts: whether page and tables may hold texts of the data.
        show: is given the answer in one sentence, for each task.

    Returns:
        The page.

    Raises:
        IsoglossError: one is no run directory, nothing in it is finished, no run has the reference, or `out` cannot be
            a file.
    """
    runs = [run for folder in folders for run in finished_runs(folder).values()]
    opened_runs = [OpenedRun.of(run) for run in runs]  # before a page is named after one that is none
    target = out or folders[0] / ("report.html" if len(folders) == 1 else "comparison.html")
    unfinished = list(_unfinished(folders))
    for opened_run in opened_runs:
        if opened_run.stored.writable:
            refuse_strange(opened_run.stored.path)
        elif target.parent.resolve() == opened_run.stored.path.resolve():
            raise IsoglossError(f"{opened_run.stored.path} cannot be written to; give --out, the page to write")
    beside = _beside(target)
    options = AnalysisOptions(reference=reference if len(runs) == 1 else None, texts=texts, fetch=False)
    outcomes = [
        list(carry_out(opened_run, cheap_analyses(opened_run, texts=texts), options, skip=True))
        for opened_run in opened_runs
    ]
    missing = [f"{outcome.name}: {outcome.reason}" for of_run in outcomes for outcome in of_run if outcome.reason]
    found = [
        {title: table for outcome in of_run if outcome.result for title, table in outcome.result.tables.items()}
        for of_run in outcomes
    ]
    groups = [with_decisions(run_group, good_enough) for run_group in run_groups(opened_runs, reference, found)]
    names = dict.fromkeys(opened_run.spec.name for run_group in groups for opened_run in run_group.opened_runs.values())
    given = [*(["--out", str(out)] if out else []), *(["--reference", reference] if reference else [])]
    given += [*(["--good-enough", f"{good_enough:g}"] if good_enough else []), *([] if texts else ["--no-texts"])]
    command = shlex.join(["isogloss", "report", *map(str, folders), *given])
    beside.mkdir(parents=True, exist_ok=True)
    for run_group in groups:
        before = f"{safe_name(run_group.task)}-{run_group.metric}-{run_group.source}-" if len(groups) > 1 else ""
        write_tables(run_group, beside, before)
        write_figures(figures(run_group), beside, before)
        if len(run_group.opened_runs) > 1:  # else an analysis's figures lie beside its tables
            write_figures(analysis_charts(run_group), beside, before)
    content = page(groups, " · ".join(names), command, [*unfinished, *missing])
    with atomic_file(target) as file:
        file.write_text(content, encoding="utf-8")
    if show is not None:
        for run_group in groups:
            show(next(iter(answer(run_group)), "Nothing can be said of these scores."))
    return target


def _unfinished(folders: Sequence[Path]) -> Iterator[str]:
    """A line for each backbone of a comparison of which nothing is finished. What leads out of one is refused."""
    for folder in folders:
        if (comparison := opened_comparison(folder)) is not None:
            if os.access(folder, os.W_OK):
                refuse_strange(folder)
            yield from (f"{name}: nothing of it is finished" for name in comparison.unfinished)


def cheap_analyses(opened_run: OpenedRun, *, texts: bool) -> list[str]:
    """The analyses that only read tables; those with texts that have been fetched from the hub stay as they are."""
    cheap = [analysis for analysis in analyses().values() if not analysis.computes]
    if texts and on_hub(opened_run):
        labels = {cell.label for cell, _ in opened_run.cells}
        stored = opened_run.stored
        cheap = [one for one in cheap if not (one.texts and kept_of_now(stored, one.name, labels))]
    return [one.name for one in cheap]


def _beside(target: Path) -> Path:
    """The folder beside a page where tables and figures go.

    Raises:
        IsoglossError: a device, a pipe or a folder would be replaced, or a link of the run directory followed.
    """
    if target.is_dir() or (target.parent.exists() and not target.parent.is_dir()):
        raise IsoglossError(f"--out {target} is no name of a file to write; expected such as {target / 'report.html'}")
    if os.path.lexists(target) and not target.is_file():
        raise IsoglossError(f"--out {target} is a device, a pipe, a socket or a broken link; expected a file to write")
    beside = target.with_suffix("") if target.suffix else target.with_name(f"{target.name}-files")
    if beside.is_symlink() or (beside.exists() and not beside.is_dir()):
        raise IsoglossError(
            f"{beside} is a link or a file, where tables and figures go; move it away or give another --out"
        )
    return beside
