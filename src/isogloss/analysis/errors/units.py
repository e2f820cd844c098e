"""Answers taken apart into what can be wrong: texts, words, spans, questions.

A unit is one of these, with what was right, what was said, and the kind of mistake; it is right where there is none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from isogloss.analysis.errors.passages import Passage
from isogloss.analysis.errors.span_errors import aligned
from isogloss.data.tag_schemes import mark_spans
from isogloss.tasks.registry import TASKS

LABEL = "label"  # another one
PARTIAL, NO_OVERLAP, WRONG_SENTENCE = "partial", "no overlap", "wrong sentence"  # of the answer to a question
UNITS: Any = {
    "seed": pl.Int64, "item": pl.Int64, "example": pl.String, "first": pl.Int64, "last": pl.Int64, "kind": pl.String,
    "gold": pl.String, "predicted": pl.String, "confidence": pl.Float64,
}  # fmt: skip
OF_ITEM = ("seed", "item", "example", "confidence")
ONE = pl.lit(None, pl.Int64)
MISTAKE = pl.when(pl.col("gold") != pl.col("predicted")).then(pl.lit(LABEL)).otherwise(None).alias("kind")


def of_texts(answers: pl.DataFrame) -> pl.DataFrame:
    """A unit a text.

    Args:
        answers: of one method and language, `seed item example gold predicted confidence`.

    Returns:
        Rows of `UNITS`; `first` and `last` are null.
    """
    return answers.with_columns(ONE.alias("first"), ONE.alias("last"), MISTAKE).select(*UNITS)


def of_words(answers: pl.DataFrame) -> pl.DataFrame:
    """A unit a word of a tagged sentence; `first` and `last` are its place."""
    tags = answers.with_columns(pl.col("gold", "predicted").str.split(" "))
    tags = tags.with_columns(pl.int_ranges(pl.col("gold").list.len()).alias("first"))
    words = tags.explode("gold", "predicted", "first")
    return words.with_columns(pl.col("first").alias("last"), MISTAKE).select(*UNITS)


def of_spans(answers: pl.DataFrame) -> pl.DataFrame:
    """A unit a span that is there, or that was invented; `first` and `last` are the words that it begins and ends with.

    Where the spans that are there and those that were said lie apart, these are the words of both.
    """
    rows = []
    for row in answers.iter_rows(named=True):
        common = {name: row[name] for name in OF_ITEM}
        rows += [{**common, **one} for one in aligned(row["gold"].split(" "), row["predicted"].split(" "))]
    return pl.DataFrame(rows, schema=UNITS)


def of_questions(
    answers: pl.DataFrame, kind: str, language: str, passages: Mapping[int, Passage] | None
) -> pl.DataFrame:
    """A unit a question.

    Args:
        answers: of one method and language; what is right is a JSON list.
        kind: of task, as cards have it, which says what answers are compared by.
        language: its code.
        passages: of each item; None: they are not known, and no answer is told to stand in a wrong sentence.
    """
    metrics = TASKS[kind].metrics
    found: dict[tuple[int, str, str], str | None] = {}
    for item, gold, predicted in answers.select("item", "gold", "predicted").unique().iter_rows():
        exact, overlap = (metrics[name]([gold], [predicted], language) for name in ("exact-match", "f1"))
        mistake = None if exact == 1 else PARTIAL if overlap > 0 else NO_OVERLAP
        if mistake == NO_OVERLAP and passages is not None and not passages[item].same_sentence(predicted):
            mistake = WRONG_SENTENCE
        found[item, gold, predicted] = mistake
    kinds = [found[key] for key in answers.select("item", "gold", "predicted").iter_rows()]
    first = [str(json.loads(gold)[0]) for gold in answers["gold"]]
    return answers.with_columns(
        ONE.alias("first"), ONE.alias("last"), pl.Series("kind", kinds, pl.String), pl.Series("gold", first, pl.String)
    ).select(*UNITS)


def units_of(
    kind: str, labels: Sequence[str]
) -> Callable[[pl.DataFrame, str, Mapping[int, Passage] | None], pl.DataFrame]:
    """What takes the answers of a task apart: it is given answers, a language and passages.

    Args:
        kind: of task, as cards have it.
        labels: of the data set.
    """
    if kind.startswith("qa"):
        return lambda answers, language, passages: of_questions(answers, kind, language, passages)
    parted = of_texts if kind != "tagging" else of_spans if mark_spans(labels) else of_words
    return lambda answers, _, __: parted(answers)
