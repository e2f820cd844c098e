"""Passages of questions, parted into sentences: whether an answer stands in a sentence that holds a right one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Marks that end a sentence: with a space behind them in scripts that have both, and without in those that have none.
# Where a language ends sentences with neither (Thai), a passage is one sentence.
SENTENCE_END = re.compile(
    "[.!?\u2026\u061f\u06d4\u1362]+[\"'\u00bb\u201d\u2019)\\]]*(?=\\s)"
    "|[\u0964\u0965\u3002\uff01\uff1f]+[\u300d\u300f\u201d\u2019\uff09]*|\n+"
)


@dataclass(frozen=True)
class Passage:
    """A passage and the right answers in it.

    Args:
        text: the whole.
        answers: that are right.
        starts: of each, in characters.
    """

    text: str
    answers: Sequence[str]
    starts: Sequence[int]

    def same_sentence(self, answer: str) -> bool:
        """Whether an answer is a part of a sentence that a right one begins in."""
        return any(
            answer in self._around(start, len(right)) for right, start in zip(self.answers, self.starts, strict=True)
        )

    def _around(self, start: int, length: int) -> str:
        """The sentences from the one that a place is in to the one that its end is in."""
        begin, end = 0, len(self.text)
        for mark in SENTENCE_END.finditer(self.text):
            if mark.end() <= start:
                begin = mark.end()
            elif mark.start() >= start + length:
                end = mark.end()
                break
        return self.text[begin:end]
