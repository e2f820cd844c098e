"""From what a reader gave to a table in our columns, each value checked. One function a kind of task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from isogloss.data.bio_tags import annotated, tagged
from isogloss.data.cards import Card
from isogloss.data.readers import ID, RawRow
from isogloss.errors import IsoglossError


def classification(rows: Sequence[RawRow], card: Card) -> pl.DataFrame:
    """The columns id, text, second (pairs only) and label."""
    columns = card.columns
    texts = {"text": columns.text} | ({"second": columns.second} if columns.second else {})
    out: dict[str, list[str]] = {name: [] for name in ("id", *texts, "label")}
    for number, row in enumerate(rows):
        label = renamed(row.values[columns.label], card)
        if label not in card.labels:
            raise _unknown_label(row, label, card)
        for name, column in texts.items():
            text = row.values[column].strip()
            if not text:
                raise IsoglossError(f"{row.where} has an empty {column!r}; remove the row or fill it in")
            out[name].append(text)
        out["id"].append(row.values[columns.id] if columns.id else str(number))
        out["label"].append(label)
    table = pl.DataFrame(out, schema=dict.fromkeys(out, pl.String))
    if table["id"].is_duplicated().any():
        twice = table.filter(pl.col("id").is_duplicated())["id"][0]
        where = next(row.where for row in reversed(rows) if columns.id and row.values[columns.id] == twice)
        raise IsoglossError(f"{where} has the id {twice!r} a second time; ids name one example each")
    return table


def tagging(rows: Sequence[RawRow], card: Card) -> pl.DataFrame:
    """The columns id, words and labels, the last two lists of the same length.

    Where one column is both, it holds texts with their slots in brackets: `wake me at [time : five am]`.
    """
    out: dict[str, list[object]] = {"id": [], "words": [], "labels": []}
    known = set(card.labels)
    for number, row in enumerate(rows):
        words, labels = (row.values[column] for column in (card.columns.text, card.columns.label))
        if card.columns.text == card.columns.label:
            words, labels = tagged(*annotated(words, row.where))
        if isinstance(words, str) or isinstance(labels, str):
            raise IsoglossError(f"{row.where} holds a text; expected a list of words and a list of tags")
        tags = [renamed(label, card) for label in labels]
        for tag in tags:
            if tag not in known:
                raise _unknown_label(row, tag, card)
        if not words or not all(word.strip() for word in words) or len(words) != len(tags):
            came = f"{len(words)} words, {sum(not word.strip() for word in words)} of them empty, and {len(tags)} tags"
            raise IsoglossError(f"{row.where} has {came}; expected as many of both, and none empty")
        out["id"].append(row.values[card.columns.id] if card.columns.id else row.values.get(ID, str(number)))
        out["words"].append(words)
        out["labels"].append(tags)
    return pl.DataFrame(out, schema={"id": pl.String, "words": pl.List(pl.String), "labels": pl.List(pl.String)})


def questions(rows: Sequence[RawRow], card: Card) -> pl.DataFrame:
    """The columns id, question, passage, answers and starts, the last two lists of the same length.

    Where an answer does not stand where the file says (offsets counted in bytes, white space lost), the nearest place
    in the passage where it does stand is taken.
    """
    out: dict[str, list[object]] = {"id": [], "question": [], "passage": [], "answers": [], "starts": []}
    for number, row in enumerate(rows):
        passage, question = (row.values[column] for column in (card.columns.text, card.columns.second or ""))
        label = row.values[card.columns.label]  # as the hub has SQuAD's answers
        answers, starts = [str(text) for text in label["text"]], [int(start) for start in label["answer_start"]]
        if not answers:
            raise IsoglossError(f"{row.where} has no answer; leave SQuAD 2.0's unanswerable questions out")
        if not question.strip() or not passage.strip() or not all(answer.strip() for answer in answers):
            raise IsoglossError(f"{row.where} has an empty question, passage or answer")
        for answer in answers:
            if answer not in passage:
                raise IsoglossError(f"{row.where}: the answer {answer[:60]!r} is not in its passage")
        out["id"].append(row.values[card.columns.id] if card.columns.id else str(number))
        out["question"].append(question)
        out["passage"].append(passage)
        out["answers"].append(answers)
        out["starts"].append([_nearest(passage, text, start) for text, start in zip(answers, starts, strict=True)])
    kinds = {"answers": pl.List(pl.String), "starts": pl.List(pl.Int64)}
    return pl.DataFrame(out, schema={name: kinds.get(name, pl.String()) for name in out})


def _nearest(passage: str, answer: str, start: int) -> int:
    if passage.startswith(answer, start):
        return start
    return min((at for at in range(len(passage)) if passage.startswith(answer, at)), key=lambda at: abs(at - start))


def renamed(label: str, card: Card) -> str:
    """A label by the card's names; of a tag, an alias may stand for the type behind its prefix."""
    if label in card.aliases or card.kind != "tagging":
        return card.aliases.get(label, label)
    prefix, _, kind = label.partition("-")
    alias = card.aliases.get(kind)
    return label if alias is None else "O" if alias == "O" else f"{prefix}-{alias}"


def _unknown_label(row: RawRow, label: str, card: Card) -> IsoglossError:
    return IsoglossError(f"{row.where} has the label {label!r}; {card.name} has {', '.join(card.labels)}")


TABLES: dict[str, Callable[[Sequence[RawRow], Card], pl.DataFrame]] = {
    "classification": classification, "tagging": tagging, "qa": questions, "qa-mlqa": questions,
}  # fmt: skip
