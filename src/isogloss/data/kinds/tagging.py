"""Sentences of words, each word with a tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isogloss.data.bio_tags import annotated, tagged
from isogloss.data.cards import Card
from isogloss.data.kinds.kind import ColumnType, unknown_label
from isogloss.data.raw_row import SENTENCE_ID, RawRow
from isogloss.errors import IsoglossError


class TaggedWords:
    """See `DataKind`."""

    metrics: tuple[str, ...] = ("span-f1", "accuracy", "macro-f1")
    labels: tuple[str, ...] = ()
    family = "tagging"

    def check(self, card: Card) -> None:
        """Answers are tags with spaces between, so that a tag holds none."""
        if spaced := [label for label in card.labels if len(label.split()) != 1]:
            raise ValueError(f"tags hold no white space; came: {spaced[0]!r}")

    def schema(self, card: Card) -> Mapping[str, ColumnType]:
        """The columns id, words and labels, as many labels as words."""
        return {"id": "text", "words": "texts", "labels": "texts"}

    def columns(self, rows: Sequence[RawRow], card: Card) -> dict[str, list[object]]:
        """No word may be empty.

        Where one column is both words and tags, it holds texts with slots in brackets: `wake me at [time : five am]`.
        """
        out: dict[str, list[object]] = {name: [] for name in self.schema(card)}
        known = set(card.labels)
        for number, row in enumerate(rows):
            words, labels = (row.values[column] for column in (card.columns.text, card.columns.label))
            if card.columns.text == card.columns.label:
                words, labels = tagged(*annotated(words, row.where))
            if isinstance(words, str) or isinstance(labels, str):
                raise IsoglossError(f"{row.where} holds a text; expected a list of words and a list of tags")
            tags = [self.renamed(label, card) for label in labels]
            for tag in tags:
                if tag not in known:
                    raise unknown_label(row, tag, card)
            if not words or not all(word.strip() for word in words) or len(words) != len(tags):
                came = (
                    f"{len(words)} words, {sum(not word.strip() for word in words)} of them empty, and {len(tags)} tags"
                )
                raise IsoglossError(f"{row.where} has {came}; expected as many of both, and none empty")
            out["id"].append(
                row.values[card.columns.id] if card.columns.id else row.values.get(SENTENCE_ID, str(number))
            )
            out["words"].append(words)
            out["labels"].append(tags)
        return out

    def renamed(self, label: str, card: Card) -> str:
        """An alias stands for the whole tag, or for the type behind its prefix."""
        if label in card.aliases:
            return card.aliases[label]
        prefix, _, kind = label.partition("-")
        alias = card.aliases.get(kind)
        return label if alias is None else "O" if alias == "O" else f"{prefix}-{alias}"


KINDS = {"tagging": TaggedWords()}
