"""The tables of a report as a reader sees them: rounded, named, and in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from isogloss.analysis.format import estimate
from isogloss.languages.language import Language
from isogloss.report.run_group import RunGroup

MEASURES = {
    "source": "source", "target": "mean target", "gap": "gap", "relative-gap": "relative gap",
    "transfer-ratio": "transfer ratio",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One value.

    Args:
        text: as it is shown.
        sort: what it is sorted by; none: it comes last.
        shade: from 0 to 1, how far it lies between the least and the greatest of its kind; none: not shaded.
        best: whether it is the best of its row.
    """

    text: str
    sort: float | str | None
    shade: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Line:
    """A row: a language or a method.

    Args:
        cells: its values.
        family: to filter by.
        script: likewise.
        bold: of the source and of means.
    """

    cells: list[Cell]
    family: str = ""
    script: str = ""
    bold: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table.

    Args:
        title: over it.
        columns: heads.
        lines: rows.
        filterable: whether rows have families and scripts.
    """

    title: str
    columns: list[str]
    lines: list[Line]
    filterable: bool = False


def overview(run_group: RunGroup) -> pl.DataFrame:
    """A row a method: source, mean target, gap, relative gap and transfer ratio with intervals, and what it trains."""
    table = run_group.table("gap-intervals")
    rows = []
    for method in run_group.methods:
        record = run_group.records[method]
        row: dict[str, Any] = {"method": method}
        own = {} if table is None else {found["measure"]: found for found in table.filter(method=method).to_dicts()}
        for measure, title in MEASURES.items():
            found = own.get(measure, {})
            row |= {title: found.get("value"), f"{title} low": found.get("low"), f"{title} high": found.get("high")}
        row |= {
            "seeds": len(set(run_group.scores.filter(method=method)["seed"])),
            "trainable parameters": record.trainable_parameters,
        }
        rows.append(row)
    return pl.DataFrame(rows)


def overview_sheet(run_group: RunGroup) -> Sheet:
    """The overview to look at."""
    lines = []
    for row in overview(run_group).iter_rows(named=True):
        cells = [Cell(row["method"], row["method"])]
        cells += [_between(row[title], row[f"{title} low"], row[f"{title} high"]) for title in MEASURES.values()]
        cells += [Cell(f"{row[name]:,}", float(row[name])) for name in ("seeds", "trainable parameters")]
        lines.append(Line(cells))
    return Sheet("Methods", ["method", *MEASURES.values(), "seeds", "trainable parameters"], lines)


def by_language(run_group: RunGroup) -> pl.DataFrame:
    """A row a language: facts, and the mean score of each method."""
    wide = run_group.by_language.pivot(on="method", index="language", values="score")
    order = [str(run_group.source), *map(str, run_group.targets)]
    facts = [
        {
            "language": code, "name": own.name, "family": own.family, "script": own.script,
            "CC-100": "1 GiB or more" if own.well_resourced else "less than 1 GiB",
        }
        for code, own in ((code, Language.parse(code)) for code in order)
    ]  # fmt: skip
    clash = {name: f"method {name}" for name in set(facts[0]) - {"language"}}
    wide = wide.rename(clash, strict=False)
    there = [name for method in run_group.methods if (name := clash.get(method, method)) in wide.columns]
    return pl.DataFrame(facts).join(wide, on="language", how="left", maintain_order="left").select(
        "language", "name", "family", "script", "CC-100", *there
    )  # fmt: skip


def language_sheet(run_group: RunGroup) -> Sheet:
    """The heat map of language and method, as a table that sorts and filters."""
    deviations = {
        (code, method): deviation
        for code, method, deviation in run_group.by_language.select("language", "method", "deviation").iter_rows()
    }
    table = by_language(run_group)
    methods = table.columns[5:]
    values = run_group.scores["value"]
    low, high = float(values.min() or 0.0), float(values.max() or 1.0)  # type: ignore[arg-type]
    lines = []
    for row in table.iter_rows(named=True):
        scored = [row[method] for method in methods if row[method] is not None]
        best = max(scored) if len(scored) > 1 else None
        cells = [Cell(row[name], row[name]) for name in ("name", "language", "family", "script")]
        for method in methods:
            score = row[method]
            if score is None:
                cells.append(Cell("", None))
                continue
            deviation = deviations.get((row["language"], method))
            text = f"{score:.3f}" + ("" if deviation is None else f" ± {deviation:.3f}")
            cells.append(Cell(text, score, (score - low) / (high - low or 1.0), score == best))
        lines.append(Line(cells, row["family"] or "unknown", row["script"], row["language"] == str(run_group.source)))
    return Sheet("Languages", ["language", "code", "family", "script", *methods], lines, filterable=True)


def plain_sheet(title: str, table: pl.DataFrame, limit: int = 500) -> Sheet:
    """Any table, numbers rounded."""
    lines = [Line([_plain(value) for value in row]) for row in table.head(limit).iter_rows()]
    shown = title if len(table) <= limit else f"{title} (the first {limit} of {len(table):,} rows)"
    return Sheet(shown, [name.replace("_", " ") for name in table.columns], lines)


def _plain(value: object) -> Cell:
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 - NaN
        return Cell("", None)
    if isinstance(value, float):
        return Cell(f"{value:.3f}" if abs(value) >= 0.001 or value == 0 else f"{value:.1e}", value)  # noqa: PLR2004
    if isinstance(value, int) and not isinstance(value, bool):
        return Cell(f"{value:,}", float(value))
    return Cell(str(value), str(value))


def _between(value: float | None, low: float | None, high: float | None) -> Cell:
    return Cell(estimate(value, low, high), value)
