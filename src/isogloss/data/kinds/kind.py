"""What the data of a kind of task looks like: its columns, and which metrics there are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

from isogloss.data.cards import Card
from isogloss.data.raw_row import RawRow, listed
from isogloss.errors import IsoglossError

ColumnType = Literal["text", "texts", "numbers"]  # a text, a list of texts or a list of whole numbers in each cell


@runtime_checkable
class DataKind(Protocol):
    """One file in this folder, with one or more of this in `KINDS`, by the names that cards call them.

    These modules load nothing heavy: cards are checked by them. What trains on such data is in `isogloss.tasks`.
    """

    metrics: tuple[str, ...]  # the usual one first; `Task.metrics` computes them
    labels: tuple[str, ...]  # the classes of every data set of the kind; empty: cards list their own
    family: str  # a data set can train for another of the same family
    answers: tuple[str, ...]  # the columns of `schema` that are null where there are no labels

    def check(self, card: Card) -> None:
        """Whether a card goes with the kind.

        Raises:
            ValueError: it does not; says why.
        """
        ...

    def schema(self, card: Card) -> Mapping[str, ColumnType]:
        """The columns of an examples' table, in order; the first is `id`."""
        ...

    def columns(self, rows: Sequence[RawRow], card: Card, *, labelled: bool = True) -> dict[str, list[object]]:
        """What rows of files hold, in the columns of `schema`, each value checked.

        Args:
            rows: in order.
            card: the data set's.
            labelled: whether labels are read; else `answers` are null, whatever the rows hold there.

        Raises:
            IsoglossError: a row holds what cannot be right; it is named.
        """
        ...

    def renamed(self, label: str, card: Card) -> str:
        """A label of a file by the card's name for it."""
        ...


def unknown_label(row: RawRow, label: str, card: Card) -> IsoglossError:
    """The error of a row with a label that the card does not have."""
    return IsoglossError(
        f"{row.where} has the label {listed([label])}; {card.name} has {listed(card.labels, quoted=False)}"
    )


def card_label(kind: DataKind, label: str, card: Card) -> str:
    """A label of a file by the card's name for it.

    `1.0`, as pandas writes 1 in a column with gaps, may be its `1`; and letters with marks may be written as one
    character or as several (Unicode's normal forms), as each language's file has them.
    """
    renamed = kind.renamed(label, card)
    if renamed in card.labels:
        return renamed
    if re.fullmatch(r"-?[0-9]+\.0+", label):
        return kind.renamed(label.partition(".")[0], card)
    if label.isascii() and all(map(str.isascii, (*card.labels, *card.aliases))):
        return renamed
    composed = unicodedata.normalize("NFC", label)
    for form in (composed, unicodedata.normalize("NFD", label)):
        if (known := kind.renamed(form, card)) in card.labels:
            return known
    return next((own for own in card.labels if unicodedata.normalize("NFC", own) == composed), renamed)


def refuse_twice(ids: Sequence[str], rows: Sequence[RawRow]) -> None:
    """No id may come twice.

    Raises:
        IsoglossError: one does; its second row is named.
    """
    seen = set()
    for name, row in zip(ids, rows, strict=True):
        if name in seen:
            raise IsoglossError(f"{row.where} has the id {listed([name])} a second time; ids name one example each")
        seen.add(name)
