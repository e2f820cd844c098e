"""From what a reader gave to a table of examples in our columns."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from isogloss.data.cards import Card
from isogloss.data.kinds.registry import data_kinds
from isogloss.data.raw_row import RawRow

DTYPES = {"text": pl.String(), "texts": pl.List(pl.String), "numbers": pl.List(pl.Int64)}


def examples_table(rows: Sequence[RawRow], card: Card, *, labelled: bool = True) -> pl.DataFrame:
    """The examples that rows hold, in the columns of the card's kind (`DataKind.schema`).

    Args:
        rows: of a split.
        card: the data set's.
        labelled: whether labels are read; else `DataKind.answers` are null.

    Raises:
        IsoglossError: a row holds what cannot be right; it is named.
    """
    kind = data_kinds()[card.kind]
    schema = {name: DTYPES[column] for name, column in kind.schema(card).items()}
    return pl.DataFrame(kind.columns(rows, card, labelled=labelled), schema=schema)


def words_in(examples: Sequence[RawRow] | pl.DataFrame, card: Card) -> int:
    """How many words there are, empty ones too; of what is no list of words, none."""
    if isinstance(examples, pl.DataFrame):
        return int(examples["words"].list.len().sum()) if "words" in examples.columns else 0
    if "words" not in data_kinds()[card.kind].schema(card) or card.columns.text == card.columns.label:
        return 0
    return sum(len(row.texts(card.columns.text)) for row in examples)
