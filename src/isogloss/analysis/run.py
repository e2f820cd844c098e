"""Analyses of a run directory: tables to `analysis/*.parquet`, figures beside them, and a few lines to read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from isogloss.analysis.analysis import FOLDER, AnalysisOptions, AnalysisResult
from isogloss.analysis.registry import analyses
from isogloss.charts.plots import save
from isogloss.errors import IsoglossError, unknown
from isogloss.experiment.opened_run import OpenedRun
from isogloss.runtime.files import atomic_file
from isogloss.store import Store

MADE = "made.json"  # which analysis each table and figure is of


def analyze(
    folder: Path, names: Sequence[str], options: AnalysisOptions, *, skip: bool = False
) -> Iterator[RenderableType]:
    """Carry out analyses and store them.

    Args:
        folder: a run directory.
        names: which; none: all that the directory has the data for.
        options: how much is looked at.
        skip: whether to leave out, with a line, what cannot be carried out, though it was asked for.

    Raises:
        IsoglossError: the directory lacks what an analysis that was asked for needs.
    """
    for name in names:
        if name not in analyses():
            raise unknown("analysis", name, analyses())
    opened_run = OpenedRun.of(folder)
    labels = {cell.label for cell, _ in opened_run.cells}
    for method in options.methods:
        if method not in labels:
            raise unknown("method of this run", method, labels)
    for name in names or analyses():
        try:
            found = analyses()[name].find(opened_run, options)
        except IsoglossError as error:
            if names and not skip:
                raise
            yield Text(f"{name}: left out; {error}", style="dim")
            continue
        keep(opened_run.stored, name, found)
        yield from found.shown
    yield Text(f"tables and figures in {folder / FOLDER}")


def keep(stored: Store, name: str, found: AnalysisResult) -> None:
    """Write what an analysis found in place of what it had found before, and of which scores it was.

    Args:
        stored: the run directory.
        name: of the analysis.
        found: its tables and figures.
    """
    folder, made = stored.path / FOLDER, kept(stored)
    folder.mkdir(exist_ok=True)
    for title in [title for title, (other, _) in made.items() if other == name]:
        del made[title]
        for kind in ("parquet", "svg", "pdf"):
            (folder / f"{title}.{kind}").unlink(missing_ok=True)
    for title, table in found.tables.items():
        with atomic_file(folder / f"{title}.parquet") as file:
            table.write_parquet(file)
    for title, figure in found.figures.items():
        save(figure, folder / title)
    made |= dict.fromkeys([*found.tables, *found.figures], (name, fingerprint(stored)))
    with atomic_file(folder / MADE) as file:
        file.write_text(json.dumps(made, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def kept(stored: Store) -> dict[str, tuple[str, str]]:
    """The tables and figures that lie in a run directory: the analysis of each, and the fingerprint of its scores."""
    file = stored.path / FOLDER / MADE
    made = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {title: (name, of) for title, (name, of) in made.items()}


def fingerprint(stored: Store) -> str:
    """Of the scores as they are now."""
    return hashlib.sha256((stored.path / "scores.parquet").read_bytes()).hexdigest()[:16]
