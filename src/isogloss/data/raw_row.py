"""What readers give and kinds of data are made of: a row as it lies in a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from isogloss.data.cells import Cell, Number, named
from isogloss.errors import IsoglossError

SENTENCE_ID = "sent_id"  # the column with the name that a file's comments give a sentence, if they do
MOST = 20  # names in an error
LONGEST = 60  # characters of each


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row of a file."""

    where: str  # file and line, for errors
    values: dict[str, Any]  # cells by column; of files of words, lists of texts

    def text(self, column: str, expected: str = "a text") -> str:
        """A column that holds a text.

        Raises:
            IsoglossError: it is not there, or holds something else.
        """
        value = self._cell(column)
        if not isinstance(value, str):
            raise IsoglossError(f"{self.where}: {column!r} holds {named(value)}; expected {expected}")
        return str(value)

    def label(self, column: str) -> str:
        """A column that holds the one label of a text.

        Raises:
            IsoglossError: it is not there, or holds several or none.
        """
        label = self.text(column, "a label: isogloss takes one label a text; multi-label is not supported")
        if not label:
            raise IsoglossError(f"{self.where} has no label: {column!r} is empty; remove the row or fill it in")
        return label

    def texts(self, column: str) -> list[str]:
        """A column that holds a list of texts.

        Raises:
            IsoglossError: it is not there, or holds something else.
        """
        value = self._cell(column)
        if not isinstance(value, list):
            raise IsoglossError(
                f"{self.where}: {column!r} holds {named(value)}; expected a list of words and a list of tags"
            )
        for number, item in enumerate(value, start=1):
            if not isinstance(item, str):
                raise IsoglossError(f"{self.where}: {column!r} holds {named(item)} as item {number}; expected a text")
        return list(map(str, value))

    def answers(self, column: str) -> list[tuple[str, int]]:
        """A column that holds answers with the characters that they begin at.

        They are a structure of two lists, `text` and `answer_start`, or a list of structures of both.

        Raises:
            IsoglossError: it is not there, or holds something else.
        """
        value = self._cell(column)
        form = "expected answers as SQuAD has them, text and answer_start"
        if isinstance(value, dict) and {"text", "answer_start"} <= value.keys():
            texts, starts = value["text"], value["answer_start"]
            if not isinstance(texts, list) or not isinstance(starts, list):
                raise IsoglossError(f"{self.where}: {column!r} holds no lists of text and answer_start; {form}")
        elif isinstance(value, list) and all(isinstance(item, dict) for item in value):
            if any(not {"text", "answer_start"} <= item.keys() for item in value):
                raise IsoglossError(f"{self.where}: {column!r} holds an answer without text or answer_start; {form}")
            texts, starts = ([item[key] for item in value] for key in ("text", "answer_start"))
        elif value == "":
            return []
        else:
            raise IsoglossError(f"{self.where}: {column!r} holds {named(value)}; {form}")
        if len(texts) != len(starts):
            raise IsoglossError(f"{self.where}: {column!r} has {len(texts)} text and {len(starts)} answer_start")
        return [(self._answer(text), self._start(start)) for text, start in zip(texts, starts, strict=True)]

    def _cell(self, column: str) -> Cell:
        if column not in self.values:
            raise IsoglossError(f"{self.where} has no column {column!r}; it has {listed(self.values)}")
        value: Cell = self.values[column]
        return value

    def _answer(self, text: Cell) -> str:
        if not isinstance(text, str):
            raise IsoglossError(f"{self.where}: the text of an answer is {named(text)}; expected a text")
        return str(text)

    def _start(self, start: Cell | int) -> int:
        whole = start if type(start) is int else start.whole if isinstance(start, Number) else None
        if whole is None:
            came = repr(str(start))[:60] if isinstance(start, Number) else named(start)  # type: ignore[arg-type]
            raise IsoglossError(f"{self.where}: answer_start is {came}; expected a whole number")
        return whole


def listed(names: Iterable[str], *, quoted: bool = True) -> str:
    """Names of columns or labels for an error; of many, the first, and of long ones, the beginning."""
    names = list(names)
    shown = [name if len(name) <= LONGEST else f"{name[:LONGEST]}…" for name in names[:MOST]]
    more = [f"and {len(names) - MOST} more"] if len(names) > MOST else []
    return ", ".join([*(repr(name) if quoted or not name.isprintable() else name for name in shown), *more])
