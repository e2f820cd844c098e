"""Sentences of words, each word with a tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isogloss.data.bio_tags import annotated, tagged
from isogloss.data.cards import Card
from isogloss.data.kinds.kind import ColumnType, card_label, refuse_twice, unknown_label
from isogloss.data.raw_row import SENTENCE_ID, RawRow, listed
from isogloss.data.tag_schemes import PARTS_OF_SPEECH, strange_tag
from isogloss.errors import IsoglossError

FEWEST_PLACEHOLDERS = 3  # of a sentence; one or two `_` may be what somebody wrote


class TaggedWords:
    """See `DataKind`."""

    metrics: tuple[str, ...] = ("span-f1", "accuracy", "macro-f1")
    labels: tuple[str, ...] = ()
    family = "tagging"
    answers: tuple[str, ...] = ("labels",)

    def check(self, card: Card) -> None:
        """Answers are tags with spaces between, so that a tag holds none; spans are scored where tags mark some."""
        if spaced := [label for label in card.labels if len(label.split()) != 1]:
            raise ValueError(f"tags hold no white space; came: {spaced[0]!r}")
        strange = strange_tag(card.labels)
        if "span-f1" in card.metrics and strange is not None and not set(card.labels) <= PARTS_OF_SPEECH:
            raise ValueError(
                f"metrics: span-f1 is for tags of spans: O, and a type behind B-, I-, E-, S-, L- or U-; "
                f"{listed([strange])} is none, so write `metrics: [accuracy, macro-f1]`"
            )

    def schema(self, card: Card) -> Mapping[str, ColumnType]:
        """The columns id, words and labels, as many labels as words."""
        return {"id": "text", "words": "texts", "labels": "texts"}

    def columns(self, rows: Sequence[RawRow], card: Card, *, labelled: bool = True) -> dict[str, list[object]]:
        """Words of nothing or of white space are left out with their tags, and so is a sentence without others.

        Where one column is both words and tags, it holds texts with slots in brackets: `wake me at [time : five am]`.
        """
        out: dict[str, list[object]] = {name: [] for name in self.schema(card)}
        known = {label: label for label in card.labels}
        kept, ids = [], []
        for number, row in enumerate(rows):
            if card.columns.text == card.columns.label:
                words, labels = tagged(*annotated(row.text(card.columns.text), row.where))
            else:
                words = row.texts(card.columns.text)
                labels = row.texts(card.columns.label) if labelled else []
            tags = [known.get(label) or card_label(self, label, card) for label in labels] if labelled else words
            for tag in tags if labelled else ():
                if tag not in known:
                    raise unknown_label(row, tag, card)
            if not words or len(words) != len(tags):
                raise IsoglossError(
                    f"{row.where} has {len(words)} words and {len(tags)} tags; expected as many of both"
                )
            _refuse_placeholders(row, words)
            if not all(map(str.strip, words)):
                pairs = [(word, tag) for word, tag in zip(words, tags, strict=True) if word.strip()]
                words, tags = [word for word, _ in pairs], [tag for _, tag in pairs]
            if words:
                kept.append(row)
                ids.append(row.text(card.columns.id) if card.columns.id else row.values.get(SENTENCE_ID, str(number)))
                out["words"].append(words)
                out["labels"].append(tags if labelled else None)
        if rows and not kept:
            raise IsoglossError(f"{rows[0].where} and all others have no word that is more than white space")
        if card.columns.id is None and not card.parallel and len(set(ids)) < len(ids):
            ids = [str(number) for number in range(len(ids))]  # names in comments, of several files put together
        refuse_twice(ids, kept)
        return {**out, "id": list(ids)}

    def renamed(self, label: str, card: Card) -> str:
        """An alias stands for the whole tag, or for the type behind its prefix."""
        if label in card.aliases:
            return card.aliases[label]
        prefix, _, kind = label.partition("-")
        alias = card.aliases.get(kind)
        return label if alias is None else "O" if alias == "O" else f"{prefix}-{alias}"


def _refuse_placeholders(row: RawRow, words: Sequence[str]) -> None:
    if len(words) >= FEWEST_PLACEHOLDERS and all(word == "_" for word in words):
        raise IsoglossError(
            f"{row.where} has nothing but '_' for words: they were taken out, as of treebanks whose texts are not "
            "free; put them in, or leave the sentence out"
        )


KINDS = {"tagging": TaggedWords()}
