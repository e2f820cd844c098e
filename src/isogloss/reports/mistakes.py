"""What goes wrong, as the page shows it: the best method's mistakes, a part for each language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from isogloss.analysis.errors.errors import mistake
from isogloss.languages.language import Language
from isogloss.reports.run_group import RunGroup
from isogloss.reports.tables import ShownRow, ShownTable, ShownValue

CONFUSIONS, LANGUAGES = 5, 10  # of a language, and in all targets together
ITEMS = {"tagging": "sentences", "qa": "questions"}  # by kind of task
NOTHING = "nothing"  # where a span was missed or invented
TITLES = {"errors-confusions": "Most frequent confusions", "errors-kinds": "Kinds of mistakes"}


@dataclass(frozen=True)
class PagePart:
    """A part of a section that a reader opens, or closes.

    Args:
        title: over it, which says what is in it.
        tables: in order.
        lines: before them.
    """

    title: str
    tables: list[ShownTable] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def text(run_group: RunGroup) -> list[str]:
    """What is to be known to read the section; nothing where the mistakes were not looked at."""
    if run_group.table("errors") is None:
        return []
    told = (
        f"Mistakes of {run_group.best}, the best on {run_group.source.name} development data; those of all methods lie "
        "beside this page. Counts are over all seeds. Examples are typical: of the most frequent confusions in turn, "
        "the ones that most seeds make and the model is the surest of."
    )
    notes = run_group.table("errors-notes")
    return [told, *([] if notes is None else dict.fromkeys(notes["note"]))]


def overall(run_group: RunGroup) -> list[ShownTable]:
    """The most frequent mistakes in all targets together."""
    title = "errors-kinds" if _best(run_group, "errors-confusions").is_empty() else "errors-confusions"
    found = _best(run_group, title).filter(pl.col("language") != str(run_group.source))
    if found.is_empty():
        return []
    keys = ["kind", "gold", "predicted"] if title == "errors-confusions" else ["kind"]
    sums = found.group_by(keys).agg(pl.col("count").sum(), pl.len().alias("languages"))
    most = sums.sort("count", *keys, descending=[True, *([False] * len(keys))]).head(LANGUAGES)
    rows = [
        ShownRow([_text(mistake(row)), _number(row["count"], ","), _number(row["languages"], ",")])
        for row in most.iter_rows(named=True)
    ]
    return [ShownTable("Most frequent in all targets together", ["mistake", "times", "languages"], rows)]


def parts(run_group: RunGroup) -> Iterator[PagePart]:
    """Each language's mistakes: the source's first, then the targets, those with the most mistakes first."""
    languages = _best(run_group, "errors").sort("wrong", "language", descending=[True, False])
    rows = sorted(languages.iter_rows(named=True), key=lambda row: row["language"] != str(run_group.source))
    for row in rows:
        yield _part(run_group, row)


def _part(run_group: RunGroup, row: Mapping[str, Any]) -> PagePart:
    code = row["language"]
    found = {
        title: _best(run_group, title).filter(language=code)
        for title in ("errors-confusions", "errors-kinds", "errors-classes", "errors-examples", "errors-parallel")
    }
    items = ITEMS.get(run_group.records[run_group.best].kind.partition("-")[0], "texts")
    title = f"{Language.parse(code).name}: {_percent(row['wrong'])} of {items} wrong"
    confused = found["errors-confusions"]
    if len(confused):
        title += f", most often {mistake(confused.row(0, named=True))}"
    elif len(found["errors-kinds"]):
        title += f", most often {found['errors-kinds']['kind'][0]}"
    if row["right_in_source"]:
        title += f"; {_percent(row['right_in_source'])} of these right in {run_group.source.name}"
    tables = [*_examples(found["errors-examples"], "Typical mistakes")]
    tables += _examples(
        found["errors-parallel"], f"Right in {run_group.source.name} and wrong here", source=run_group.source.name
    )
    if len(confused):
        tables.append(_confusions(confused.head(CONFUSIONS)))
    if found["errors-kinds"]["kind"].n_unique() > 1:
        tables.append(_kinds(found["errors-kinds"]))
    if len(found["errors-classes"]):
        tables.append(_classes(found["errors-classes"]))
    return PagePart(title, tables)


def _best(run_group: RunGroup, title: str) -> pl.DataFrame:
    table = run_group.table(title)
    empty = pl.DataFrame(schema=dict.fromkeys(("method", "language", "kind", "wrong"), pl.String))
    return empty if table is None else table.filter(method=run_group.best)


def _examples(table: pl.DataFrame, title: str, source: str | None = None) -> list[ShownTable]:
    """Examples with their texts, or where there are none with their names.

    Args:
        table: of the analysis.
        title: over it.
        source: its name, where the source's text stands beside.
    """
    if table.is_empty():
        return []
    known, sure = (table[name].null_count() < len(table) for name in ("text", "confidence"))
    columns = {"text": "text"} if known else {"example": "example"}
    if source is not None and table["source_text"].null_count() < len(table):
        columns["source_text"] = f"in {source}"
    columns |= {"gold": "right", "predicted": "said"}
    if table["kind"].n_unique() > 1 or table["gold"].null_count() == len(table):
        columns["kind"] = "mistake"
    rows = []
    for row in table.iter_rows(named=True):
        values = [_text(row[name] or _absent(row, name)) for name in columns]
        rows.append(ShownRow([*values, *([_number(row["confidence"], ".2f")] if sure else [])]))
    return [ShownTable(title, [*columns.values(), *(["confidence"] if sure else [])], rows)]


def _absent(row: Mapping[str, Any], name: str) -> str:
    """What stands where there is no label: a span that was missed was called nothing."""
    return NOTHING if name in {"gold", "predicted"} and (row["gold"] or row["predicted"]) is not None else ""


def _confusions(table: pl.DataFrame) -> ShownTable:
    rows = [
        ShownRow(
            [_text(row["gold"] or NOTHING), _text(row["predicted"] or NOTHING), _text(_kind(row)),
             _number(row["count"], ","), _number(row["share"], ".0%"), _number(row["of_errors"], ".0%")]
        )
        for row in table.iter_rows(named=True)
    ]  # fmt: skip
    heads = ["right", "said", "mistake", "times", "of the right label", "of all mistakes"]
    if not any(_kind(row) for row in table.iter_rows(named=True)):
        heads.pop(2)
        rows = [ShownRow([*row.values[:2], *row.values[3:]]) for row in rows]
    return ShownTable(TITLES["errors-confusions"], heads, rows)


def _kind(row: Mapping[str, Any]) -> str:
    return "" if row["kind"] == "label" else str(row["kind"])


def _kinds(table: pl.DataFrame) -> ShownTable:
    rows = [
        ShownRow([_text(row["kind"]), _number(row["count"], ","), _number(row["of_errors"], ".0%")])
        for row in table.iter_rows(named=True)
    ]
    return ShownTable(TITLES["errors-kinds"], ["mistake", "times", "of all mistakes"], rows)


def _classes(table: pl.DataFrame) -> ShownTable:
    """Labels by F1, the worst first; those that are right nowhere come last."""
    order = table.sort(pl.col("n") == 0, "f1", "label", nulls_last=True)
    rows = [
        ShownRow([_text(row["label"]), *(_number(row[name], ".2f") for name in ("f1", "precision", "recall")),
                  _number(row["n"], ","), _number(row["predicted"], ",")])
        for row in order.iter_rows(named=True)
    ]  # fmt: skip
    return ShownTable("Scores of labels", ["label", "F1", "precision", "recall", "n", "times said"], rows)


def _text(text: str) -> ShownValue:
    return ShownValue(text, text or None, foreign=True)


def _number(value: float | None, form: str) -> ShownValue:
    if value is None:
        return ShownValue("", None)
    return ShownValue(format(value, form).replace("%", " %"), float(value))


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")
