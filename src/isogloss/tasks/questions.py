"""Extractive question answering: the answer is a span of the passage (Rajpurkar et al. 2016, arXiv 1606.05250).

Every token of the passage is a unit with two scores, for beginning and for ending the answer. A window's first token
stands for "the answer is not in this window" in training and is never predicted: SQuAD 1.1 and its kin answer every
question.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import polars as pl
from torch import Tensor

from isogloss.preprocessing.features import Features
from isogloss.preprocessing.templates import Template
from isogloss.preprocessing.tokenize import tokenise_passages
from isogloss.tasks import metrics
from isogloss.tasks.task import PLACES, Metric

LONGEST = 384  # tokens of a window where the user does not say, as in XTREME's SQuAD settings
LONGEST_ANSWER = 30  # tokens, as in XTREME's SQuAD settings


class QuestionAnswering:
    """See `Task`.

    Args:
        normalise: what makes an answer in a language comparable.
    """

    classes: ClassVar[bool] = False
    withheld: ClassVar[tuple[str, ...]] = ("answer", "start", "end")

    def __init__(self, normalise: Callable[[str, str], list[str]]) -> None:
        def over_all(compare: Callable[[list[str], list[str]], float]) -> Metric:
            def score(gold: Sequence[str], predicted: Sequence[str], language: str) -> float:
                values = [
                    max(
                        compare(normalise(right, language), normalise(answer, language))
                        for right in json.loads(all_right)
                    )
                    for all_right, answer in zip(gold, predicted, strict=True)
                ]
                return float(np.mean(values))

            return score

        self.metrics: Mapping[str, Metric] = {
            "f1": over_all(metrics.overlap_f1), "exact-match": over_all(lambda right, answer: float(right == answer)),
        }  # fmt: skip

    def features(
        self, table: pl.DataFrame, labels: Sequence[str], tokenizer: Any, *, last: bool, longest: int | None
    ) -> Features:
        """One row a question, one unit a token of the passage; trained on the first of several answers."""
        spans = [
            None if starts is None else (starts[0], starts[0] + len(answers[0]))
            for starts, answers in zip(table["starts"].to_list(), table["answers"].to_list(), strict=True)
        ]
        return tokenise_passages(table["question"], table["passage"], spans, tokenizer, longest=longest or LONGEST)

    def texts(self, table: pl.DataFrame, template: Template | None = None) -> tuple[pl.Series, ...]:
        """The questions and their passages."""
        return table["question"], table["passage"]

    def inputs(self, pairs: bool) -> tuple[str, ...]:
        """A question and a passage."""
        return ("question", "passage")

    def unlabelled(
        self, texts: Sequence[Sequence[str]], tokenizer: Any, *, last: bool, longest: int | None
    ) -> Features:
        """Questions and passages."""
        questions, passages = zip(*texts, strict=True)
        return tokenise_passages(questions, passages, [None] * len(texts), tokenizer, longest=longest or LONGEST)

    def gold(self, table: pl.DataFrame) -> list[str]:
        """All right answers of each question, as a JSON list."""
        return [json.dumps(answers, ensure_ascii=False) for answers in table["answers"].to_list()]

    def predicted(self, features: Features, scores: Tensor, names: Sequence[str]) -> tuple[list[str], list[float]]:
        """The best legal span over all windows, and its share of the probability of all legal spans."""
        found = list(_best_spans(features, scores))
        answers = [passage[slice(*place)] for passage, (place, _) in zip(features.texts[1], found, strict=True)]
        return answers, [probability for _, probability in found]

    def count(self, gold: Sequence[str]) -> int:
        """Questions."""
        return len(gold)

    def given(self, parts: Sequence[str]) -> dict[str, Any]:
        """The question; the passage is long, and whoever asks has it."""
        return {"question": parts[0]}

    def answers(
        self,
        features: Features,
        scores: Tensor,
        names: Sequence[str],
        parts: Sequence[Sequence[str]],
        *,
        every: bool,
    ) -> list[dict[str, Any]]:
        """The answer, its score, and where it stands in the passage: it ends in front of the character at `end`."""
        return [
            {"answer": passage[start:end], "score": round(probability, PLACES), "start": start, "end": end}
            for (_, passage), ((start, end), probability) in zip(parts, _best_spans(features, scores), strict=True)
        ]

    def answer_columns(self, names: Sequence[str], *, every: bool) -> dict[str, Any]:
        """A text and numbers."""
        return {"answer": pl.String(), "score": pl.Float64(), "start": pl.Int64(), "end": pl.Int64()}


def _best_spans(features: Features, scores: Tensor) -> Iterator[tuple[tuple[int, int], float]]:
    """Of each question, the characters of the best legal span of its passage and its share of the probability."""
    assert features.offsets is not None
    both = scores.double().numpy()
    for rows in features.of_example:
        best, characters, windows = -np.inf, (0, 0), []
        for row in rows:
            begin, end = features.unit_starts[row] + 1, features.unit_starts[row + 1]  # without the first token
            if begin == end:
                continue
            spans = both[begin:end, :1] + _within(both[begin:end, 1], LONGEST_ANSWER)  # (start, tokens behind it)
            top = spans.max()
            windows.append(top + np.log(np.exp(spans - top).sum()))
            if top > best:
                start, length = np.unravel_index(spans.argmax(), spans.shape)
                first, last = begin + start, begin + start + length
                best, characters = top, (int(features.offsets[first, 0]), int(features.offsets[last, 1]))
        yield characters, float(np.exp(best - np.logaddexp.reduce(windows))) if windows else 0.0


def _within(ends: np.ndarray, length: int) -> np.ndarray:
    """The end scores (T, length) of the tokens from each place on; minus infinity behind the last."""
    padded = np.concatenate([ends, np.full(length - 1, -np.inf)])
    return np.lib.stride_tricks.sliding_window_view(padded, length)


KINDS = {"qa": QuestionAnswering(metrics.squad_words), "qa-mlqa": QuestionAnswering(metrics.mlqa_words)}
