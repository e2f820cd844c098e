"""From what a reader gave to a table of examples in our columns."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from isogloss.data.cards import Card
from isogloss.data.kinds.registry import data_kinds
from isogloss.data.raw_row import RawRow

DTYPES = {"text": pl.String(), "texts": pl.List(pl.String), "numbers": pl.List(pl.Int64)}


def examples_table(rows: Sequence[RawRow], card: Card) -> pl.DataFrame:
    """The examples that rows hold, in the columns of the card's kind (`DataKind.schema`).

    Raises:
        IsoglossError: a row holds what cannot be right; it is named.
    """
    kind = data_kinds()[card.kind]
    schema = {name: DTYPES[column] for name, column in kind.schema(card).items()}
    return pl.DataFrame(kind.columns(rows, card), schema=schema)
