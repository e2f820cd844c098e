"""What goes wrong: confusions, classes and kinds of mistakes by method and language, and examples with their texts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import polars as pl
from rich.console import RenderableType
from rich.text import Text

from isogloss.analysis.analysis import Analysis, AnalysisOptions, AnalysisResult, cells, parallel_items
from isogloss.analysis.errors import tables
from isogloss.analysis.errors.texts import Texts
from isogloss.analysis.errors.units import units_of
from isogloss.analysis.sure_answers import sure_answers
from isogloss.experiment.opened_run import OpenedRun
from isogloss.runtime.console import label
from isogloss.runtime.shell_table import ShellTable

SHOWN = 5  # confusions of a method in the terminal
KEYS: Any = {"method": pl.String, "language": pl.String}
LANGUAGE: Any = {
    **KEYS, "items": pl.Int64, "wrong": pl.Float64, "right_in_source": pl.Float64, "seeds": pl.Int64,
}  # fmt: skip
EXAMPLE: Any = {
    **KEYS, "rank": pl.Int64,
    **{name: kind for name, kind in tables.EXAMPLE.items() if name != "item"},
    "text": pl.String, "source_text": pl.String,
}  # fmt: skip
SCHEMAS: dict[str, Any] = {
    "errors": LANGUAGE, "errors-confusions": {**KEYS, **tables.CONFUSION}, "errors-classes": {**KEYS, **tables.CLASS},
    "errors-kinds": {**KEYS, **tables.KIND}, "errors-examples": EXAMPLE, "errors-parallel": EXAMPLE,
}  # fmt: skip
NO_TEXTS = "The texts were asked to be left out (--no-texts)."


class Mistakes:
    """The mistakes of one run directory.

    Args:
        opened_run: the run directory.
        options: which methods, and whether texts are shown.
    """

    def __init__(self, opened_run: OpenedRun, options: AnalysisOptions) -> None:
        self.chosen = cells(opened_run, options)
        self.source = opened_run.spec.source
        record = self.chosen[0][1].record
        self.parallel = parallel_items(opened_run)
        self.takes_apart = units_of(record.kind, record.labels)
        self.by_label = not record.kind.startswith("qa")
        codes = set(opened_run.stored.table("scores").filter(split="test")["language"])  # whose right answers are known
        wanted = sorted(codes, key=lambda code: (code != self.source, code))
        self.texts = Texts.read(opened_run, wanted, fetch=options.fetch) if options.texts else Texts(why_not=[NO_TEXTS])
        self.with_texts = options.texts

    def tables(self) -> dict[str, pl.DataFrame]:
        """Every table by its title."""
        parts: dict[str, list[pl.DataFrame]] = {title: [] for title in SCHEMAS}
        for method in dict.fromkeys(cell.label for cell, _ in self.chosen):
            for title, table in self._of_method(method):
                parts[title].append(table)
        made = {title: pl.concat([pl.DataFrame(schema=SCHEMAS[title]), *some]) for title, some in parts.items()}
        lines = pl.DataFrame({"note": self.texts.why_not}, schema={"note": pl.String})
        return {**made, "errors-notes": lines}

    def _of_method(self, method: str) -> Iterator[tuple[str, pl.DataFrame]]:
        of_seeds = []
        for cell, stored in self.chosen:
            if cell.label == method:
                confidence = pl.coalesce("calibrated", "score").alias("confidence")
                answers = sure_answers(stored).with_columns(confidence, pl.lit(cell.seed, pl.Int64).alias("seed"))
                of_seeds.append(answers.drop("score", "calibrated"))
        by_language = pl.concat(of_seeds).partition_by("language", as_dict=True, include_key=False)
        order = sorted((str(code) for (code,) in by_language), key=lambda code: (code != self.source, code))
        right: pl.DataFrame | None = None  # seeds and examples of the source
        for code in order:
            answers = by_language[code,]
            units = self.takes_apart(answers, code, self.texts.passages(code))
            wrong = units.drop_nulls("kind")
            items = wrong.select("seed", "example").unique()
            if code == self.source and self.parallel:
                right = answers.select("seed", "example").join(items, on=["seed", "example"], how="anti")
                right = right.with_columns(pl.lit(value=True).alias("source_right"))
            yield from self._of_language({"method": method, "language": code}, answers, units, items, right)

    def _of_language(
        self, keys: dict[str, str], answers: pl.DataFrame, units: pl.DataFrame, items: pl.DataFrame,
        right: pl.DataFrame | None,
    ) -> Iterator[tuple[str, pl.DataFrame]]:  # fmt: skip
        code, seeds = keys["language"], answers["seed"].n_unique()
        wrong = units.drop_nulls("kind")
        if right is None or code == self.source:
            wrong = wrong.with_columns(pl.lit(None, pl.Boolean).alias("source_right"))
            carried = None
        else:
            wrong = wrong.join(right, on=["seed", "example"], how="left", maintain_order="left")
            wrong = wrong.with_columns(pl.col("source_right").fill_null(value=False))
            carried = len(items.join(right, on=["seed", "example"], how="semi")) / len(items) if len(items) else None
        row = {
            **keys, "items": answers["item"].n_unique(), "wrong": len(items) / len(answers), "right_in_source": carried,
            "seeds": seeds,
        }  # fmt: skip
        yield "errors", pl.DataFrame([row], schema=LANGUAGE)
        found = {"errors-kinds": tables.kinds(units)}
        if self.by_label:
            found |= {"errors-confusions": tables.confusions(units), "errors-classes": tables.classes(units, seeds)}
        for title, table in found.items():
            yield title, table.select(*(pl.lit(value).alias(name) for name, value in keys.items()), pl.all())
        yield "errors-examples", self._examples(keys, wrong)
        if right is not None and code != self.source:
            whole = pl.col("source_right").all().over("item")  # in every seed that answers the item wrongly
            yield "errors-parallel", self._examples(keys, wrong.filter(whole))

    def _examples(self, keys: dict[str, str], wrong: pl.DataFrame) -> pl.DataFrame:
        rows = []
        for rank, one in enumerate(tables.typical(wrong, by_label=self.by_label).iter_rows(named=True), start=1):
            text = self.texts.shown(keys["language"], one["item"], one["first"], one["last"])
            row = {**keys, "rank": rank, **one, "text": text, "source_text": None}
            if one["source_right"] is not None and (place := self._source_places.get(one["example"])) is not None:
                row["source_text"] = self.texts.shown(self.source, place)
            if not self.by_label and not self.with_texts:  # answers to questions are texts of the data
                row |= {"gold": None, "predicted": None}
            rows.append({name: row[name] for name in EXAMPLE})
        return pl.DataFrame(rows, schema=EXAMPLE)

    @cached_property
    def _source_places(self) -> dict[str, int]:
        table = self.texts.tables.get(self.source)
        return {} if table is None else {name: place for place, name in enumerate(table["id"])}


def _errors(opened_run: OpenedRun, options: AnalysisOptions) -> AnalysisResult:
    made = Mistakes(opened_run, options)
    found = made.tables()
    title = "errors-confusions" if made.by_label else "errors-kinds"
    targets = found[title].filter(pl.col("language") != made.source)
    said: list[RenderableType] = [_most(targets, by_label=made.by_label), *map(Text, made.texts.why_not)]
    return AnalysisResult(found, said)


def _most(targets: pl.DataFrame, *, by_label: bool) -> ShellTable:
    """The most frequent mistakes of each method over all targets."""
    keys = ["kind", "gold", "predicted"] if by_label else ["kind"]
    shown = ShellTable(
        "method", "mistake", "times", "languages",
        title="the most frequent mistakes in the targets, over all seeds",
    )  # fmt: skip
    counts = targets.group_by("method", *keys, maintain_order=True).agg(
        pl.col("count").sum(), pl.col("language").n_unique().alias("languages")
    )
    for (method,), of_method in counts.group_by(["method"], maintain_order=True):
        most = of_method.sort("count", *keys, descending=[True, *([False] * len(keys))]).head(SHOWN)
        for row in most.iter_rows(named=True):
            shown.add_row(Text(str(method)), label(mistake(row)), f"{row['count']:,}", str(row["languages"]))
    return shown


def mistake(row: dict[str, Any]) -> str:
    """A confusion in words.

    Args:
        row: with `kind`, and where labels are confused `gold` and `predicted`.
    """
    gold, predicted = row.get("gold"), row.get("predicted")
    if gold is None and predicted is None:
        return str(row["kind"])
    if gold is None or predicted is None or gold == predicted:
        return f"{gold or predicted}: {row['kind']}"
    return f"{gold} → {predicted}"


ANALYSIS = Analysis("errors", _errors, texts=True)
