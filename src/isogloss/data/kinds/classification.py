"""Texts or pairs of texts, each with a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isogloss.data.cards import Card
from isogloss.data.kinds.kind import ColumnType, card_label, refuse_twice, unknown_label
from isogloss.data.raw_row import RawRow
from isogloss.errors import IsoglossError


class LabelledTexts:
    """See `DataKind`."""

    metrics: tuple[str, ...] = ("accuracy", "macro-f1")
    labels: tuple[str, ...] = ()
    family = "classification"
    answers: tuple[str, ...] = ("label",)

    def check(self, card: Card) -> None:
        """Everything goes."""

    def schema(self, card: Card) -> Mapping[str, ColumnType]:
        """The columns id, text, second (pairs only) and label."""
        return dict.fromkeys(("id", *_texts(card), "label"), "text")

    def columns(self, rows: Sequence[RawRow], card: Card, *, labelled: bool = True) -> dict[str, list[object]]:
        """No text may be empty, and no id come twice."""
        columns = card.columns
        out: dict[str, list[object]] = {name: [] for name in self.schema(card)}
        ids = []
        for number, row in enumerate(rows):
            label = self._label(row, card) if labelled else None
            for name, column in _texts(card).items():
                text = row.text(column).strip()
                if not text:
                    raise IsoglossError(f"{row.where} has an empty {column!r}; remove the row or fill it in")
                out[name].append(text)
            ids.append(row.text(columns.id) if columns.id else str(number))
            out["label"].append(label)
        refuse_twice(ids, rows)
        return {**out, "id": list(ids)}

    def _label(self, row: RawRow, card: Card) -> str:
        label = card_label(self, row.label(card.columns.label), card)
        if label not in card.labels:
            raise unknown_label(row, label, card)
        return label

    def renamed(self, label: str, card: Card) -> str:
        """An alias stands for the whole label."""
        return card.aliases.get(label, label)


def _texts(card: Card) -> dict[str, str]:
    """Our columns of texts, and what the data set calls them."""
    return {"text": card.columns.text} | ({"second": card.columns.second} if card.columns.second else {})


KINDS = {"classification": LabelledTexts()}
