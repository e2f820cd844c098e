"""Analyses of a run directory: tables to `analysis/*.parquet`, figures beside them, and a few lines to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from isogloss.analysis import analyses
from isogloss.analysis.findings import FOLDER, Options
from isogloss.analysis.plots import save
from isogloss.archive import Archive
from isogloss.cache import atomic_file
from isogloss.errors import IsoglossError, unknown


def analyze(folder: Path, names: Sequence[str], options: Options, *, skip: bool = False) -> Iterator[RenderableType]:
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
    archive = Archive.of(folder)
    labels = {cell.label for cell, _ in archive.cells}
    for method in options.methods:
        if method not in labels:
            raise unknown("method of this run", method, labels)
    for name in names or analyses():
        try:
            found = analyses()[name].find(archive, options)
        except IsoglossError as error:
            if names and not skip:
                raise
            yield Text(f"{name}: left out; {error}", style="dim")
            continue
        (folder / FOLDER).mkdir(exist_ok=True)
        for title, table in found.tables.items():
            with atomic_file(folder / FOLDER / f"{title}.parquet") as file:
                table.write_parquet(file)
        for title, figure in found.figures.items():
            save(figure, folder / FOLDER / title)
        yield from found.shown
    yield Text(f"tables and figures in {folder / FOLDER}")
