"""Tables of a report as CSV and as LaTeX (booktabs)."""

from __future__ import annotations

from pathlib import Path

from isogloss.report.run_group import RunGroup
from isogloss.report.tables import by_language, overview
from isogloss.runtime.files import atomic_file

LONGEST = 300  # rows of a LaTeX table: a longer one is for programs, not for paper


def export(run_group: RunGroup, folder: Path, before: str) -> None:
    """Write every table.

    Args:
        run_group: of the report.
        folder: where to.
        before: what names begin with.
    """
    for title, table in {
        "methods": overview(run_group),
        "languages": by_language(run_group),
        **run_group.tables,
    }.items():
        with atomic_file(folder / f"{before}{title}.csv") as file:
            table.write_csv(file)
        if len(table) <= LONGEST:
            small = dict.fromkeys(
                (name for name in table.columns if name == "p" or name.startswith("p_")), "{:.2g}".format
            )
            text = table.to_pandas().to_latex(
                index=False, escape=True, na_rep="", float_format="%.3f", formatters=small
            )
            with atomic_file(folder / f"{before}{title}.tex") as file:
                file.write_text(text, encoding="utf-8")
