"""Tokenised rows of a task, and what a head scores in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import SupportsIndex, overload

import numpy as np
import polars as pl
from jaxtyping import Int

from isogloss.preprocessing.ragged import ranges, starts_of

Texts = Sequence[str] | pl.Series  # a column of a table stays one: as Python's own, texts take three times as much


@dataclass(frozen=True)
class Features:
    """Tokenised rows of one task, in order.

    `tokens` are all rows' ids end to end; row i is `tokens[starts[i]:starts[i + 1]]`. What the head scores is a *unit*:
    the whole row, each of its words, or each token of its passage. Units count through all rows in order. Ids and
    places within a row are int32, and the arrays of a large split may be files that are mapped: nothing writes to them.
    """

    tokens: Int[np.ndarray, "total"]
    types: Int[np.ndarray, "total"] | None
    starts: Int[np.ndarray, "ends"]
    labels: Int[np.ndarray, "units"]  # each unit's class; in passages a bit for each class whose unit it is
    texts: tuple[Texts, ...] = ()  # each example's text, or two: of a pair, or a question and its passage
    words: WordSpans | None = None  # where words or tokens are the units; none: a row is a unit
    filled: FilledTemplate | None = None  # where the texts stand in a template and the unit of a row is its answer
    offsets: Int[np.ndarray, "units 2"] | None = None  # of passages: where each unit's characters begin and end
    owners: Int[np.ndarray, "rows"] | None = None  # the example that each row is cut from; none: one row an example
    longest: int | None = None  # most tokens of a row, where user or task set it; the model's room may be less
    cut: int = 0  # how many units were truncated

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def passages(self) -> bool:
        """Whether a unit of each row is chosen for each class (spans), not a class for each unit."""
        return self.offsets is not None

    @cached_property
    def lengths(self) -> Int[np.ndarray, "rows"]:
        """Tokens of each row, special tokens included."""
        return np.diff(self.starts)

    @cached_property
    def unit_starts(self) -> Int[np.ndarray, "ends"]:
        """Row i's units are those from `unit_starts[i]` to `unit_starts[i + 1]`."""
        if self.words is None:
            return np.arange(len(self) + 1)
        return starts_of(self.words.counts)

    @cached_property
    def of_example(self) -> ExampleRows:
        """The rows of each example."""
        if self.owners is None:
            return ExampleRows(np.arange(len(self) + 1))
        return ExampleRows(np.concatenate([[0], np.flatnonzero(np.diff(self.owners)) + 1, [len(self)]]))

    def units(self, rows: Sequence[int] | np.ndarray) -> Int[np.ndarray, "units"]:
        """The units of these rows, in the order of the rows."""
        rows = np.asarray(rows, dtype=np.int64)
        if self.words is None:
            return rows
        return ranges(self.unit_starts[rows], self.unit_starts[rows + 1])

    def taken(self, examples: Sequence[int] | np.ndarray) -> Features:
        """Some examples in this order, of features in which each is one row and one unit."""
        assert self.words is None and self.owners is None  # noqa: PT018
        rows = np.asarray(examples, dtype=np.int64)
        places = ranges(self.starts[rows], self.starts[rows + 1])
        filled = self.filled
        if filled is not None:
            prompt = None if filled.prompt is None else filled.prompt[rows]
            filled = FilledTemplate(filled.answer[rows], prompt, filled.spans[rows], filled.wording[rows])
        return replace(
            self,
            tokens=self.tokens[places],
            types=None if self.types is None else self.types[places],
            starts=starts_of(self.lengths[rows]),
            labels=self.labels[rows],
            texts=tuple(some_texts(column, rows) for column in self.texts),
            filled=filled,
        )

    @classmethod
    def joined(cls, parts: Sequence[Features]) -> Features:
        """The rows of several features, in order, none of them cut yet."""
        types = [part.types for part in parts if part.types is not None]
        offsets = [part.offsets for part in parts if part.offsets is not None]
        filled = [part.filled for part in parts if part.filled is not None]
        return cls(
            tokens=np.concatenate([part.tokens for part in parts]),
            types=np.concatenate(types) if types else None,
            starts=starts_of(np.concatenate([part.lengths for part in parts])),
            labels=np.concatenate([part.labels for part in parts]),
            texts=tuple(_joined_texts(columns) for columns in zip(*(part.texts for part in parts), strict=True)),
            words=WordSpans.joined([part.words for part in parts if part.words is not None]),
            filled=FilledTemplate.joined(filled) if filled else None,
            offsets=np.concatenate(offsets) if offsets else None,
            longest=parts[0].longest,
        )


@dataclass(frozen=True)
class WordSpans:
    """Where the words of each row lie among its tokens."""

    counts: Int[np.ndarray, "rows"]  # words of each row
    spans: Int[np.ndarray, "units 2"]  # a word's first token and the one behind its last, counted from its row's start
    last: bool = False  # whether a word's last sub-word stands for it, not its first

    @cached_property
    def spots(self) -> Int[np.ndarray, "units"]:
        """The token that stands for each word, counted from its row's start."""
        return self.spans[:, 1] - 1 if self.last else self.spans[:, 0]

    @classmethod
    def joined(cls, parts: Sequence[WordSpans]) -> WordSpans | None:
        """The words of several parts, in order."""
        if not parts:
            return None
        return cls(
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.spans for part in parts]),
            parts[0].last,
        )


@dataclass(frozen=True)
class FilledTemplate:
    """Where things stand in rows that are filled-in templates, counted from each row's start."""

    answer: Int[np.ndarray, "rows"]  # the token whose place the answer has
    prompt: Int[np.ndarray, "rows"] | None  # how many tokens stand in front of a prompt, if the template says where
    spans: Int[np.ndarray, "rows texts 2"]  # the tokens of each text; these alone may be truncated
    wording: Int[np.ndarray, "rows"]  # which of a verbalizer's wordings names the classes

    @classmethod
    def joined(cls, parts: Sequence[FilledTemplate]) -> FilledTemplate:
        """The rows of several parts, in order."""
        prompts = [part.prompt for part in parts if part.prompt is not None]
        return cls(
            np.concatenate([part.answer for part in parts]),
            np.concatenate(prompts) if prompts else None,
            np.concatenate([part.spans for part in parts]),
            np.concatenate([part.wording for part in parts]),
        )


class ExampleRows(Sequence[np.ndarray]):
    """The rows of each example, made when they are asked for.

    Args:
        starts: example i has the rows from `starts[i]` to `starts[i + 1]`.
    """

    def __init__(self, starts: Int[np.ndarray, "ends"]) -> None:
        self.starts = starts

    def __len__(self) -> int:
        return len(self.starts) - 1

    @overload
    def __getitem__(self, example: SupportsIndex) -> np.ndarray: ...
    @overload
    def __getitem__(self, example: slice) -> list[np.ndarray]: ...
    def __getitem__(self, example: SupportsIndex | slice) -> np.ndarray | list[np.ndarray]:
        """The rows (rows) of one example, or of several each."""
        if isinstance(example, slice):
            return [self[number] for number in range(len(self))[example]]
        number = range(len(self))[example]
        return np.arange(self.starts[number], self.starts[number + 1])

    def of(self, examples: Sequence[int] | np.ndarray) -> Int[np.ndarray, "rows"]:
        """The rows of several examples, end to end."""
        numbers = np.asarray(examples, dtype=np.int64)
        return ranges(self.starts[numbers], self.starts[numbers + 1])


def some_texts(column: Texts, rows: Int[np.ndarray, "rows"]) -> Texts:
    """Some texts of a column, in this order."""
    return column[rows] if isinstance(column, pl.Series) else [column[row] for row in rows]


def _joined_texts(columns: Sequence[Texts]) -> Texts:
    series = [column for column in columns if isinstance(column, pl.Series)]
    if len(series) == len(columns):
        return pl.concat(series)
    return [text for column in columns for text in column]
