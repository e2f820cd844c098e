"""Tables of a report as CSV, for programs, and as LaTeX, for paper; figures as SVG, PDF and PNG."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from isogloss.charts.chart import Chart
from isogloss.charts.export import save
from isogloss.reports import ship, tables
from isogloss.reports.cost import cost_table, costs, shown_costs
from isogloss.reports.latex import latex
from isogloss.reports.run_group import RunGroup
from isogloss.runtime.files import atomic_file
from isogloss.runtime.visible import visible

FORMULA = re.compile("[\\s]*[=+@\uff1d\uff0b\uff20\uff0d-]|[\t\r\n]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
OF_TEXTS = ("errors-examples", "errors-parallel")  # tables with texts of the data, which stay nowhere unasked
LONGEST = 300  # rows of a LaTeX table: a longer one is for programs, not for paper


def write_tables(run_group: RunGroup, folder: Path, before: str) -> None:
    """Write every table.

    Args:
        run_group: what the report is about.
        folder: where to.
        before: what names begin with.
    """
    found = costs(run_group)
    shown = {
        "methods": tables.overview_table(run_group), "languages": tables.language_table(run_group),
        "cost": shown_costs(found),
    }  # fmt: skip
    shown |= {title: tables.plain_table(title, table) for title, table in run_group.tables.items()}
    values = {
        "methods": tables.overview(run_group), "languages": tables.by_language(run_group), "cost": cost_table(found),
        **run_group.tables,
    }  # fmt: skip
    if run_group.decisions is not None:
        shown[ship.TITLE] = ship.ship_table(run_group)
        values[ship.TITLE] = run_group.decisions
    for title in {ship.TITLE, *OF_TEXTS} - values.keys():  # of before, when it was asked for
        for kind in ("csv", "tex"):
            (folder / f"{before}{title}.{kind}").unlink(missing_ok=True)
    for title, table in values.items():
        with atomic_file(folder / f"{before}{title}.csv") as file:
            csv_safe(table).write_csv(file)
        if len(table) <= LONGEST:
            with atomic_file(folder / f"{before}{title}.tex") as file:
                file.write_text(latex(shown[title]), encoding="utf-8")
        else:  # of before, when it was shorter
            (folder / f"{before}{title}.tex").unlink(missing_ok=True)


def csv_safe(table: pl.DataFrame) -> pl.DataFrame:
    """With an apostrophe before text that a spreadsheet would carry out, and without what steers a terminal."""
    texts = [
        pl.col(name).cast(pl.String).map_elements(_cell, return_dtype=pl.String)
        for name, kind in table.schema.items()
        if kind in {pl.String, pl.Categorical} or isinstance(kind, pl.Enum)
    ]
    names: list[str] = []
    for name in table.columns:
        shown = _cell(name)
        while shown in names:  # two that differ in what is not shown
            shown += "'"
        names.append(shown)
    safe = table.with_columns(texts)
    safe.columns = names
    return safe


def _cell(text: str) -> str:
    shown = visible(text)
    return f"'{shown}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else shown


def write_figures(figures: Mapping[str, Chart], folder: Path, before: str) -> None:
    """Write every figure.

    Args:
        figures: by title.
        folder: where to.
        before: what names begin with.
    """
    for title, chart in figures.items():
        save(chart, folder / f"{before}{title}")
