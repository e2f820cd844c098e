"""Files without labels: whether a label's column is there, and whether anything stands in it.

What has no label is a language to predict and not to score. Half a column of labels, or one that is called otherwise,
is more likely a mistake, and is told.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any, Literal

from isogloss.data.cards import Card
from isogloss.data.kinds.registry import data_kinds
from isogloss.data.layouts import Local
from isogloss.data.raw_row import RawRow
from isogloss.data.readers.columns import NoColumnError
from isogloss.errors import IsoglossError, MissingError

Labels = Literal["needed", "any", "ignored"]
"""Of a split: it has to have them, it may lack all of them, or they are not looked at though they may be there."""

ALIKE = 0.75  # of two names, from which one may be the other misspelt (`difflib`'s ratio)
NO_LABEL = {"", "_", "-1"}  # what stands where none is known: in tables, in CoNLL-U, in columns of classes on the hub


def without_label(layout: Local, label: str) -> Local:
    """The layout of files that lack the label's column, where the card names the columns and not the files.

    Args:
        layout: of files that have it.
        label: what they call it.
    """
    if layout.header is None or label not in layout.header:
        return layout
    return layout.model_copy(update={"header": [name for name in layout.header if name != label]})


def is_unlabelled(row: RawRow, card: Card) -> bool:
    """Whether a row has no label, tag or answer at all."""
    return _is_nothing(row.values.get(card.columns.label, ""), {*card.labels, *card.aliases})


def _is_nothing(value: Any, labels: set[str]) -> bool:
    if isinstance(value, dict):
        return all(_is_nothing(item, labels) for item in value.values())
    if isinstance(value, list):
        return all(_is_nothing(item, labels) for item in value)
    text = str(value).strip()
    return text in NO_LABEL and text not in labels


def have_labels(rows: Sequence[RawRow], card: Card) -> bool:
    """Whether any row has one; where words and tags are one column, all do."""
    return card.columns.label == card.columns.text or not all(is_unlabelled(row, card) for row in rows)


def read_either_way(
    read: Callable[[list[str]], tuple[list[RawRow], str]], card: Card, columns: Sequence[str], labels: Labels
) -> tuple[list[RawRow], str, bool]:
    """Rows with their labels, or where that cannot be and need not, without.

    Args:
        read: gives the rows that have certain columns, and where they come from.
        card: the data set's.
        columns: the label's among them.
        labels: whether rows have to have them.

    Returns:
        The rows, where they come from, and whether labels stand in them.

    Raises:
        IsoglossError: they cannot be read, or lack labels that are needed or may stand elsewhere.
    """
    label = card.columns.label
    try:
        rows, origin = read(list(columns))
    except MissingError:
        raise
    except IsoglossError as error:
        if labels == "needed" or label == card.columns.text:
            raise
        try:
            rows, origin = read([column for column in columns if column != label])
        except IsoglossError as other:
            raise (other if isinstance(error, NoColumnError) else error) from other
        labelled = have_labels(rows, card)  # as where keys stand in some lines of JSON alone
        if labels == "any" and labelled:
            raise
        if labels == "any":
            refuse_misspelt(rows, card, error)
        return rows, origin, labelled
    labelled = not rows or have_labels(rows, card)
    if not labelled and labels == "needed":
        _refuse_unanswerable(rows, card)
        raise IsoglossError(f"{origin} has no label in any row: {label!r} is empty, and labels are needed here")
    return rows, origin, labelled


def refuse_partly(rows: Sequence[RawRow], card: Card, *, scored: bool) -> None:
    """Whether all rows have a label, some of which have one.

    Args:
        rows: of a split, without void ones.
        card: the data set's.
        scored: whether they are of a test split, which may be predicted without labels.

    Raises:
        IsoglossError: some have none; the first of them is named.
    """
    if card.columns.label == card.columns.text:
        return
    without = [row for row in rows if is_unlabelled(row, card)]
    if without:
        _refuse_unanswerable(without, card)
        instead = ", or name the language in `unlabelled` to have all rows predicted" if scored else ""
        raise IsoglossError(
            f"{without[0].where} has no label: {card.columns.label!r} is empty in {len(without):,} of {len(rows):,} "
            f"rows; fill them in or remove the row{'s' if len(without) > 1 else ''}{instead}"
        )


def _refuse_unanswerable(without: Sequence[RawRow], card: Card) -> None:
    if data_kinds()[card.kind].family == "qa":
        raise IsoglossError(f"{without[0].where} has no answer; leave SQuAD 2.0's unanswerable questions out")


def may_mean(column: str, label: str) -> bool:
    """Whether a column has nearly the name of the label's."""
    return difflib.SequenceMatcher(None, column.lower(), label.lower()).ratio() >= ALIKE


def refuse_misspelt(rows: Sequence[RawRow], card: Card, missing: IsoglossError) -> None:
    """Whether the column of the labels is not there at all, and not merely called otherwise.

    Args:
        rows: that lack it.
        card: the data set's.
        missing: what reading them with labels has said.

    Raises:
        IsoglossError: a column has nearly its name, or holds nothing but the card's labels.
    """
    known = {name for name in card.columns.model_dump().values() if name is not None}
    labels = {*card.labels, *card.aliases}
    for column in dict.fromkeys(name for row in rows for name in row.values if name not in known):
        values = {str(row.values.get(column, "")).strip() for row in rows}
        if may_mean(column, card.columns.label) or (values <= labels and len(values) > 1):
            raise IsoglossError(
                f"{missing}; if {column!r} holds the labels, call it so, else name the language in `unlabelled`"
            ) from missing
