"""The tables of a report as a reader sees them: rounded, named, and in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from isogloss.analysis.format import estimate, p_value
from isogloss.reports import words
from isogloss.reports.run_group import RunGroup
from isogloss.stats import aggregate

MEASURES = {
    "source": "source", "target": "mean target", "gap": "gap", "relative-gap": "relative gap",
    "transfer-ratio": "transfer ratio",
}  # fmt: skip


@dataclass(frozen=True)
class ShownValue:
    """One value of a table.

    Args:
        text: as a reader sees it.
        sort: what it is sorted by; none: it comes last.
        shade: from 0 to 1, how far it lies between the least and the greatest of its kind; none: not shaded.
        best: whether it is the best of its row.
        foreign: whether it is a text of the data, in whatever language and direction.
    """

    text: str
    sort: float | str | None
    shade: float | None = None
    best: bool = False
    foreign: bool = False


@dataclass(frozen=True)
class ShownRow:
    """A row of a table: a language or a method.

    Args:
        values: one a column.
        family: of the language, to filter by.
        script: of the language, to filter by.
        bold: whether it is the source's.
    """

    values: list[ShownValue]
    family: str = ""
    script: str = ""
    bold: bool = False


@dataclass(frozen=True)
class ShownTable:
    """A table as a reader sees it.

    Args:
        title: over it.
        columns: their heads.
        rows: in order.
        summary: rows below a line, such as means.
        filterable: whether rows have families and scripts.
        facts: places of columns that a narrow page leaves out.
        unfolded: whether it is open at first, however long it is.
    """

    title: str
    columns: list[str]
    rows: list[ShownRow]
    summary: list[ShownRow] = field(default_factory=list)
    filterable: bool = False
    facts: tuple[int, ...] = ()
    unfolded: bool = False


def overview(run_group: RunGroup) -> pl.DataFrame:
    """A row a method: source, mean target, gap, relative gap and transfer ratio with intervals, and what it trains."""
    table = run_group.table("gap-intervals")
    rows = []
    for method in run_group.methods:
        record = run_group.records[method]
        row: dict[str, Any] = {"method": method}
        known = {} if table is None else {line["measure"]: line for line in table.filter(method=method).to_dicts()}
        for measure, title in MEASURES.items():
            line = known.get(measure, {})
            row |= {title: line.get("value"), f"{title} low": line.get("low"), f"{title} high": line.get("high")}
        row |= {
            "seeds": len(set(run_group.scores.filter(method=method)["seed"])),
            "trainable parameters": record.trainable_parameters,
        }
        rows.append(row)
    return pl.DataFrame(rows)


def overview_table(run_group: RunGroup) -> ShownTable:
    """The overview as a reader sees it."""
    rows = []
    for row in overview(run_group).iter_rows(named=True):
        values = [ShownValue(row["method"], row["method"])]
        values += [_between(row[title], row[f"{title} low"], row[f"{title} high"]) for title in MEASURES.values()]
        values += [ShownValue(f"{row[name]:,}", float(row[name])) for name in ("seeds", "trainable parameters")]
        rows.append(ShownRow(values))
    heads = ["method", *MEASURES.values(), "seeds", "trainable parameters"]
    known = [place for place in range(len(heads)) if any(row.values[place].text for row in rows)]
    rows = [ShownRow([row.values[place] for place in known]) for row in rows]
    return ShownTable("Methods", [heads[place] for place in known], rows)


def by_language(run_group: RunGroup) -> pl.DataFrame:
    """A row a language: facts, and the mean score of each method."""
    wide = run_group.by_language.pivot(on="method", index="language", values="score")
    facts = [
        {
            "language": str(language), "name": language.name, "family": language.family, "script": language.script,
            "CC-100": "1 GiB or more" if language.well_resourced else "less than 1 GiB",
        }
        for language in (*([run_group.source] if run_group.scores_source else []), *run_group.targets)
    ]  # fmt: skip
    clash = {name: f"method {name}" for name in set(facts[0]) - {"language"}}
    wide = wide.rename(clash, strict=False)
    present = [name for method in run_group.methods if (name := clash.get(method, method)) in wide.columns]
    return pl.DataFrame(facts).join(wide, on="language", how="left", maintain_order="left").select(
        "language", "name", "family", "script", "CC-100", *present
    )  # fmt: skip


def language_table(run_group: RunGroup) -> ShownTable:
    """The heat map of language and method, as a table that sorts and filters; below it means over targets, and gaps."""
    scores = {
        (code, method): (score, deviation)
        for code, method, score, deviation in run_group.by_language.select(
            "language", "method", "score", "deviation"
        ).iter_rows()
    }
    low, high = (float(getattr(run_group.scores["value"], name)()) for name in ("min", "max"))
    rows = []
    for language in (*([run_group.source] if run_group.scores_source else []), *run_group.targets):
        known = [scores.get((str(language), method), (None, None)) for method in run_group.methods]
        values = [ShownValue(text, text) for text in (language.name, str(language), language.family, language.script)]
        values += _means(known, lambda score: (score - low) / (high - low or 1.0))
        rows.append(ShownRow(values, language.family or "unknown", language.script, language == run_group.source))
    columns = ["language", "code", "family", "script", *run_group.methods]
    return ShownTable("Languages", columns, rows, _summary(run_group), filterable=True, facts=(2, 3))


def _summary(run_group: RunGroup) -> list[ShownRow]:
    """Means over the targets that every run has, and gaps: over seeds, with their standard deviations."""
    if not run_group.common:
        return []
    seeds = aggregate.by_seed(run_group.scores, str(run_group.source), run_group.common)
    rows = []
    for title, column in (
        (f"mean of {len(run_group.common)} target{'s' * (len(run_group.common) > 1)}", "target"),
        ("gap", "gap"),
    ):
        if column == "gap" and not run_group.scores_source:
            continue
        known = []
        for method in run_group.methods:
            values = seeds.filter(method=method)[column]
            known.append((None, None) if values.null_count() else (values.mean(), values.std()))
        blank = [ShownValue(text, text) for text in (title, "", "", "")]
        rows.append(ShownRow([*blank, *_means(known, None, best=column == "target")], bold=True))
    return rows


def _means(
    known: Sequence[tuple[Any, Any]], shade: Callable[[float], float] | None, *, best: bool = True
) -> list[ShownValue]:
    """Scores of the methods with their deviations; the highest of several is the best."""
    scored = [score for score, _ in known if score is not None]
    most = max(scored) if best and len(scored) > 1 else None
    values = []
    for score, deviation in known:
        if score is None:
            values.append(ShownValue("", None))
            continue
        text = f"{score:.3f}" + ("" if deviation is None else f" ± {deviation:.3f}")
        values.append(ShownValue(text, score, None if shade is None else shade(score), score == most))
    return values


def plain_table(title: str, table: pl.DataFrame, limit: int = 500) -> ShownTable:
    """Any table: numbers rounded, intervals beside their values, words for heads; no columns without a value."""
    part = table.head(limit)
    known = [name for name in part.columns if not len(part) or part[name].null_count() < len(part)]
    columns = [_column(part, name) for name in known if name not in BOUNDS or not _has_interval(part)]
    heads = [words.head(name) for name in known if name not in BOUNDS or not _has_interval(part)]
    rows = [ShownRow(list(row)) for row in zip(*columns, strict=True)]
    shown = title if len(table) <= limit else f"{title} (the first {limit} of {len(table):,} rows)"
    return ShownTable(shown, heads, rows)


BOUNDS = ("low", "high")  # of the interval of the column before them


def _has_interval(table: pl.DataFrame) -> bool:
    """Whether a value, its lower and its upper bound stand beside one another."""
    columns = table.columns
    place = columns.index("low") if set(BOUNDS) <= set(columns) else 0
    numbers = place > 0 and columns[place + 1] == "high" and table.schema[columns[place - 1]].is_float()
    return numbers and all(table.schema[name].is_float() for name in BOUNDS)


def _column(table: pl.DataFrame, name: str) -> list[ShownValue]:
    """The values of a column as a reader sees them."""
    values = table[name].to_list()
    if name == "language":
        called = words.language_names(dict.fromkeys(values))
        return [ShownValue("", None) if value is None else ShownValue(called[value], called[value]) for value in values]
    if name in words.P_VALUES and table.schema[name].is_float():
        return [_plain(value) if value is None else ShownValue(p_value(value), value) for value in values]
    if _has_interval(table) and table.columns.index(name) + 1 == table.columns.index("low"):
        return [_between(*row) for row in table.select(name, *BOUNDS).iter_rows()]
    said = words.VALUES.get(name, {})
    return [_plain(said.get(value, value) if isinstance(value, str) else value) for value in values]


def _plain(value: object) -> ShownValue:
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 - NaN
        return ShownValue("", None)
    if isinstance(value, bool):
        return ShownValue("yes" if value else "no", float(value))
    if isinstance(value, float):
        value = 0.0 if abs(value) < words.NOISE else value
        return ShownValue(f"{value:.3f}" if abs(value) >= 0.001 or value == 0 else f"{value:.1e}", value)  # noqa: PLR2004
    if isinstance(value, int):
        return ShownValue(f"{value:,}", float(value))
    return ShownValue(str(value), str(value))


def _between(value: float | None, low: float | None, high: float | None) -> ShownValue:
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return ShownValue("", None)
    return ShownValue(estimate(0.0 if abs(value) < words.NOISE else value, low, high), value)
