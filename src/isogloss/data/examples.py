"""The examples of one split in one language."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import polars as pl

from isogloss.data.cards import Split
from isogloss.languages.language import Language

BLOCK = 1 << 14  # rows that are written out at once


@dataclass(frozen=True, eq=False)
class Examples:
    """One split in one language: a table in the columns of its kind of task."""

    language: Language
    split: Split
    table: pl.DataFrame
    origin: str  # where it came from, for errors and records
    dropped: int = 0  # rows left out because the card's `drop` says that they are void
    empty_words: int = 0  # of tagging: words of nothing or white space, left out with their tags
    labelled: bool = True  # whether what is right is known; else its columns are null
    whole: int | None = None  # examples of the split, of which a limit left these; none: there is no limit

    def __len__(self) -> int:
        return len(self.table)

    def taken(self, places: Sequence[int]) -> Examples:
        """Some of the examples, in this order."""
        return replace(self, table=self.table[places])

    @property
    def labels(self) -> pl.Series:
        """The label of each text or word; of questions and of examples without labels, none."""
        if not self.labelled:
            return pl.Series(dtype=pl.String)
        if "label" in self.table.columns:
            return self.table["label"]
        return self.table["labels"].explode() if "labels" in self.table.columns else pl.Series(dtype=pl.String)

    @property
    def contents(self) -> pl.Series:
        """The text of each example: of a pair both, of a question the passage."""
        if "passage" in self.table.columns:
            return self.table["passage"]
        if "words" in self.table.columns:
            return self.table["words"].list.join(" ")
        return self.table.select(pl.concat_str(pl.col("^(text|second)$"), separator="\t")).to_series()

    @property
    def inputs(self) -> pl.DataFrame:
        """All that a model reads of the examples, without their ids and answers."""
        return self.table.select(pl.col("^(text|second|words|question|passage)$"))

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over every value, in order; of examples without labels, over all others."""
        return _sha256(
            self.table if self.labelled else self.table.select(pl.exclude("^(label|labels|answers|starts)$"))
        )

    @cached_property
    def inputs_fingerprint(self) -> str:
        """The same over what a model reads, in order."""
        return _sha256(self.inputs)


def _sha256(table: pl.DataFrame) -> str:
    digest = hashlib.sha256()
    cells = [
        pl.col(name) if kind == pl.String else pl.col(name).cast(pl.List(pl.String)).list.join("\x1d")
        for name, kind in table.schema.items()
    ]
    for some in table.iter_slices(BLOCK):
        rows = some.select(pl.concat_str(cells, separator="\x1f")).to_series().to_list()
        digest.update("\x1e".join([*rows, ""]).encode())
    return digest.hexdigest()
