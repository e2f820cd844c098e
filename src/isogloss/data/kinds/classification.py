"""Texts or pairs of texts, each with a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from isogloss.data.cards import Card
from isogloss.data.kinds.kind import ColumnType, unknown_label
from isogloss.data.raw_row import RawRow
from isogloss.errors import IsoglossError


class LabelledTexts:
    """See `DataKind`."""

    metrics: tuple[str, ...] = ("accuracy", "macro-f1")
    labels: tuple[str, ...] = ()
    family = "classification"

    def check(self, card: Card) -> None:
        """Everything goes."""

    def schema(self, card: Card) -> Mapping[str, ColumnType]:
        """The columns id, text, second (pairs only) and label."""
        return dict.fromkeys(("id", *_texts(card), "label"), "text")

    def columns(self, rows: Sequence[RawRow], card: Card) -> dict[str, list[object]]:
        """No text may be empty, and no id come twice."""
        columns = card.columns
        out: dict[str, list[object]] = {name: [] for name in self.schema(card)}
        for number, row in enumerate(rows):
            label = self.renamed(row.values[columns.label], card)
            if label not in card.labels:
                raise unknown_label(row, label, card)
            for name, column in _texts(card).items():
                text = row.values[column].strip()
                if not text:
                    raise IsoglossError(f"{row.where} has an empty {column!r}; remove the row or fill it in")
                out[name].append(text)
            out["id"].append(row.values[columns.id] if columns.id else str(number))
            out["label"].append(label)
        counts = Counter(out["id"])
        if (twice := next((name for name in out["id"] if counts[name] > 1), None)) is not None:
            where = next(row.where for row in reversed(rows) if columns.id and row.values[columns.id] == twice)
            raise IsoglossError(f"{where} has the id {twice!r} a second time; ids name one example each")
        return out

    def renamed(self, label: str, card: Card) -> str:
        """An alias stands for the whole label."""
        return card.aliases.get(label, label)


def _texts(card: Card) -> dict[str, str]:
    """Our columns of texts, and what the data set calls them."""
    return {"text": card.columns.text} | ({"second": card.columns.second} if card.columns.second else {})


KINDS = {"classification": LabelledTexts()}
