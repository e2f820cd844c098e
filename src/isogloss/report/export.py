"""Tables of a report as CSV and as LaTeX (booktabs)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from isogloss.cache import atomic_file
from isogloss.report.subject import Subject
from isogloss.report.tables import by_language, overview
from isogloss.store import safe_name

LONGEST = 300  # rows of a LaTeX table: a longer one is for programs, not for paper


def export(subjects: Sequence[Subject], folder: Path) -> list[Path]:
    """Write every table.

    Args:
        subjects: of the report.
        folder: where to.

    Returns:
        The files.
    """
    written = []
    for subject in subjects:
        before = f"{safe_name(subject.task)}-" if len(subjects) > 1 else ""
        found = {"methods": overview(subject), "languages": by_language(subject), **subject.tables}
        for title, table in found.items():
            written += _write(table, folder / f"{before}{title}")
    return written


def _write(table: pl.DataFrame, stem: Path) -> list[Path]:
    files = [stem.with_name(f"{stem.name}.csv")]
    with atomic_file(files[0]) as file:
        table.write_csv(file)
    if len(table) <= LONGEST:
        files.append(stem.with_name(f"{stem.name}.tex"))
        text = table.to_pandas().to_latex(index=False, escape=True, na_rep="", float_format="%.3f")
        with atomic_file(files[1]) as file:
            file.write_text(text, encoding="utf-8")
    return files
