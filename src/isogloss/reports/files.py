"""Tables of a report as CSV, for programs, and as LaTeX, for paper; figures as SVG, PDF and PNG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from isogloss.charts.chart import Chart
from isogloss.charts.export import save
from isogloss.reports import tables
from isogloss.reports.latex import latex
from isogloss.reports.run_group import RunGroup
from isogloss.runtime.files import atomic_file

LONGEST = 300  # rows of a LaTeX table: a longer one is for programs, not for paper


def write_tables(run_group: RunGroup, folder: Path, before: str) -> None:
    """Write every table.

    Args:
        run_group: what the report is about.
        folder: where to.
        before: what names begin with.
    """
    shown = {"methods": tables.overview_table(run_group), "languages": tables.language_table(run_group)}
    shown |= {title: tables.plain_table(title, table) for title, table in run_group.tables.items()}
    values = {"methods": tables.overview(run_group), "languages": tables.by_language(run_group), **run_group.tables}
    for title, table in values.items():
        with atomic_file(folder / f"{before}{title}.csv") as file:
            table.write_csv(file)
        if len(table) <= LONGEST:
            with atomic_file(folder / f"{before}{title}.tex") as file:
                file.write_text(latex(shown[title]), encoding="utf-8")


def write_figures(figures: Mapping[str, Chart], folder: Path, before: str) -> None:
    """Write every figure.

    Args:
        figures: by title.
        folder: where to.
        before: what names begin with.
    """
    for title, chart in figures.items():
        save(chart, folder / f"{before}{title}")
