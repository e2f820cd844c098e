"""A look at a data set before anything is trained on it: samples, label counts, problems."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from isogloss.data import DataSet, Examples, open_data
from isogloss.data.cards import SPLITS, Split
from isogloss.errors import IsoglossError
from isogloss.languages import Language

SAMPLES = 8


def look(task: str, path: Path | None, language: str | None) -> Iterator[RenderableType]:
    """What to show of one language of a data set.

    Args:
        task: a data set by its card.
        path: a folder in its own layout, if not the hub or a package.
        language: any code of it; left out: its source.
    """
    data = open_data(task, path=path)
    chosen = Language.parse(language or data.card.source)
    found = {split: examples for split in SPLITS if (examples := _try(data, chosen, split)) is not None}
    if not found:
        data.examples(chosen, "test")  # says what is missing
    yield Text(f"{data.card.title}\n{data.card.citation}\nlicence: {data.card.licence}\n")
    yield _counts(found, data.card.labels, chosen)
    yield _samples(found)
    problems = list(_problems(found))
    yield Text("\n".join(["problems found:", *problems] if problems else ["no problems found"]))


def _try(data: DataSet, language: Language, split: Split) -> Examples | None:
    try:
        return data.examples(language, split)
    except IsoglossError:
        if split == "test":
            raise
        return None  # many data sets have only a test split outside their source


def _counts(found: dict[Split, Examples], labels: list[str], language: Language) -> Table:
    table = Table("label", box=box.SIMPLE_HEAD, title=f"{language.name} ({language})")
    for split in found:
        table.add_column(split, justify="right")
    for label in labels:
        table.add_row(label, *[str((examples.table["label"] == label).sum()) for examples in found.values()])
    table.add_section()
    table.add_row("all", *[str(len(examples)) for examples in found.values()], style="bold")
    return table


def _samples(found: dict[Split, Examples]) -> Table:
    examples = list(found.values())[-1]
    table = Table(
        "id", "label", *[name for name in ("text", "second") if name in examples.table.columns], box=box.SIMPLE_HEAD
    )
    step = max(1, len(examples) // SAMPLES)
    for row in examples.table.gather_every(step).head(SAMPLES).iter_rows(named=True):
        table.add_row(*[Text(row[name]) for name in table_columns(examples.table)])
    return table


def table_columns(table: pl.DataFrame) -> list[str]:
    """The order in which a row is shown."""
    return ["id", "label", *[name for name in ("text", "second") if name in table.columns]]


def _problems(found: dict[Split, Examples]) -> Iterator[str]:
    for split, examples in found.items():
        if examples.dropped:
            yield f"  {split}: {examples.dropped} rows are void, and left out"
        texts = examples.table.select(pl.concat_str(pl.col("^(text|second)$"), separator="\t").alias("text"), "label")
        twice = len(texts) - texts["text"].n_unique()
        if twice:
            yield f"  {split}: {twice} texts occur more than once"
        unclear = texts.group_by("text").agg(pl.col("label").n_unique()).filter(pl.col("label") > 1)
        if len(unclear):
            yield f"  {split}: {len(unclear)} texts have more than one label, such as {unclear['text'][0]!r}"
    splits = list(found)
    for i, one in enumerate(splits):
        for other in splits[i + 1 :]:
            shared = set(found[one].table["text"]) & set(found[other].table["text"])
            if shared:
                yield f"  {len(shared)} texts are in both {one} and {other}, such as {min(shared)!r}"
