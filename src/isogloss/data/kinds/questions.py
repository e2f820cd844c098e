"""Questions, each with a passage that holds its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isogloss.data.cards import Card
from isogloss.data.kinds.kind import ColumnType, refuse_twice
from isogloss.data.raw_row import RawRow
from isogloss.errors import IsoglossError


class QuestionsOnPassages:
    """See `DataKind`."""

    metrics: tuple[str, ...] = ("f1", "exact-match")
    labels: tuple[str, ...] = ("start", "end")
    family = "qa"
    answers: tuple[str, ...] = ("answers", "starts")

    def check(self, card: Card) -> None:
        """Questions have a column of their own."""
        if card.columns.second is None:
            raise ValueError("columns.second is missing: the column with the question")

    def schema(self, card: Card) -> Mapping[str, ColumnType]:
        """The columns id, question, passage, answers and starts, as many starts as answers."""
        return {"id": "text", "question": "text", "passage": "text", "answers": "texts", "starts": "numbers"}

    def columns(self, rows: Sequence[RawRow], card: Card, *, labelled: bool = True) -> dict[str, list[object]]:
        """Every question has an answer, and all of its answers are in the passage.

        Where an answer does not stand where the file says (offsets counted in bytes, white space lost), the nearest
        place in the passage where it does stand is taken.
        """
        out: dict[str, list[object]] = {name: [] for name in self.schema(card)}
        ids = []
        for number, row in enumerate(rows):
            passage, question = (row.text(column) for column in (card.columns.text, card.columns.second or ""))
            places = row.answers(card.columns.label) if labelled else []
            answers, starts = [text for text, _ in places], [start for _, start in places]
            if labelled and not answers:
                raise IsoglossError(f"{row.where} has no answer; leave SQuAD 2.0's unanswerable questions out")
            if not question.strip() or not passage.strip() or not all(answer.strip() for answer in answers):
                raise IsoglossError(f"{row.where} has an empty question, passage or answer")
            for answer in answers:
                if answer not in passage:
                    raise IsoglossError(f"{row.where}: the answer {answer[:60]!r} is not in its passage")
            # Offsets may count bytes, of which a character has four at most.
            if (wild := next((at for at in starts if not 0 <= at <= 4 * len(passage)), None)) is not None:
                raise IsoglossError(
                    f"{row.where}: answer_start is {wild}; expected a place in its passage of {len(passage)} characters"
                )
            ids.append(row.text(card.columns.id) if card.columns.id else str(number))
            out["question"].append(question)
            out["passage"].append(passage)
            nearest = [_nearest(passage, text, start) for text, start in zip(answers, starts, strict=True)]
            out["answers"].append(answers if labelled else None)
            out["starts"].append(nearest if labelled else None)
        refuse_twice(ids, rows)
        return {**out, "id": list(ids)}

    def renamed(self, label: str, card: Card) -> str:
        """The classes are the two ends of an answer, by no other names."""
        return card.aliases.get(label, label)


def _nearest(passage: str, answer: str, start: int) -> int:
    if passage.startswith(answer, start):
        return start
    return min((at for at in range(len(passage)) if passage.startswith(answer, at)), key=lambda at: abs(at - start))


KINDS = {"qa": QuestionsOnPassages(), "qa-mlqa": QuestionsOnPassages()}
