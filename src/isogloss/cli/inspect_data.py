"""A look at a data set before anything is trained on it: samples, label counts, problems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from isogloss.data.cards import SPLITS, Split
from isogloss.data.dataset import Examples, open_data
from isogloss.data.missing_labels import label_kinds, label_lines, missing_labels
from isogloss.data.subsample import spread
from isogloss.errors import IsoglossError, MissingError
from isogloss.languages.language import Language

SAMPLES = 8
LONGEST = 240  # characters of a sample


def look(task: str, path: Path | None, language: str | None) -> Iterator[RenderableType]:
    """What to show of one language of a data set.

    Args:
        task: a data set by its card.
        path: a folder in its own layout, if not the hub or a package.
        language: any code of it; left out: its source, or where that is of another data set, its first.
    """
    data = open_data(task, path=path)
    source = data.card.source if data.card.has_language(data.card.source) else str(data.languages()[0])
    chosen = data.card.language(language or source)
    splits: dict[Split, Examples] = {}
    broken = []
    for split in SPLITS:
        try:
            splits[split] = data.examples(chosen, split, "any")
        except MissingError:  # many data sets have only a test split outside their source, and some none in it
            if split == "test" and (language is not None or not splits):
                raise
        except IsoglossError as error:
            if split == "test":
                raise
            broken.append(f"  {split}: {error}")
    yield Text(f"{data.card.title}\n{data.card.citation}\nlicence: {data.card.licence}\n")
    yield _counts(splits, data.card.labels, chosen)
    if without := [split for split, examples in splits.items() if not examples.labelled]:
        does = "it can be predicted, and not scored" if without == ["test"] else "nothing can be learnt from it"
        yield Text(f"no labels in {' and '.join(without)}: {does}")
    yield _samples({split: _without_answers(examples) for split, examples in splits.items()})
    lacking: dict[str, dict[str, list[str]]] = {
        split: {str(chosen): missing}
        for split, examples in splits.items()
        if (missing := missing_labels(examples, data.card))
    }
    labels = label_kinds(data.card.labels, data.card.kind)
    problems = [*broken, *(f"  {line}" for line in label_lines(lacking, labels)), *_problems(splits)]
    yield Text("\n".join(["problems found:", *problems] if problems else ["no problems found"]))


def _counts(splits: dict[Split, Examples], labels: list[str], language: Language) -> Table:
    table = Table("label", box=box.SIMPLE_HEAD, title=f"{language.name} ({language})")
    for split in splits:
        table.add_column(split, justify="right")
    for label in labels if any(len(examples.labels) for examples in splits.values()) else ():
        counts = [(examples.labels == label).sum() if examples.labelled else "" for examples in splits.values()]
        table.add_row(label, *map(str, counts))
    table.add_section()
    table.add_row("all", *[_size(examples) for examples in splits.values()], style="bold")
    return table


def _samples(splits: dict[Split, Examples]) -> Table:
    examples = list(splits.values())[-1]
    shown = examples.table.drop("starts", strict=False)
    table = Table(*shown.columns, box=box.SIMPLE_HEAD)
    for row in _as_text(shown)[spread(len(examples), SAMPLES).tolist()].iter_rows():
        table.add_row(*[Text(value if len(value) <= LONGEST else f"{value[:LONGEST]}…") for value in row])
    return table


def _as_text(table: pl.DataFrame) -> pl.DataFrame:
    """The table with lists as words between spaces."""
    lists = [name for name, kind in table.schema.items() if isinstance(kind, pl.List)]
    joined = [pl.col(name).cast(pl.List(pl.String)).list.join(" | " if name == "answers" else " ") for name in lists]
    return table.with_columns(joined)


def _problems(splits: dict[Split, Examples]) -> Iterator[str]:
    for split, examples in splits.items():
        if examples.dropped:
            yield f"  {split}: {examples.dropped} rows are void, and left out"
        if examples.empty_words:
            yield f"  {split}: {examples.empty_words} words are empty, and left out with their tags"
        texts = _texts(examples.table)
        twice = len(texts) - texts["text"].n_unique()
        if twice:
            yield f"  {split}: {twice} texts occur more than once"
        if not examples.labelled:
            continue
        unclear = texts.group_by("text").agg(pl.col("label").n_unique()).filter(pl.col("label") > 1)
        if len(unclear):
            yield f"  {split}: {len(unclear)} texts have more than one label, such as {unclear['text'][0]!r}"
    names = list(splits)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            shared = set(_texts(splits[one].table)["text"]) & set(_texts(splits[other].table)["text"])
            if shared:
                yield f"  {len(shared)} texts are in both {one} and {other}, such as {min(shared)!r}"


def _texts(table: pl.DataFrame) -> pl.DataFrame:
    """The columns text and label, whatever the kind of task: of a pair, or a question and its passage, both."""
    plain = _as_text(table)
    return plain.select(
        pl.concat_str(pl.col("^(text|second|words|question|passage)$"), separator="\t").alias("text"),
        pl.col("^(label|labels|answers)$").alias("label"),
    )


def _size(examples: Examples) -> str:
    return str(len(examples.labels) or len(examples)) + ("" if examples.labelled else " (no labels)")


def _without_answers(examples: Examples) -> Examples:
    """Without the columns of what is right, where there are no labels."""
    null = [name for name in ("label", "labels", "answers") if not examples.labelled]
    return replace(examples, table=examples.table.drop(null, strict=False))
