"""Extractive question answering: the answer is a span of the passage (Rajpurkar et al. 2016, arXiv 1606.05250).

Every token of the passage is a unit with two scores, for beginning and for ending the answer. A window's first token
stands for "the answer is not in this window" in training and is never predicted: SQuAD 1.1 and its kin answer every
question.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from torch import Tensor

from isogloss.preprocessing.features import Features
from isogloss.preprocessing.templates import Template
from isogloss.preprocessing.tokenize import tokenise_passages
from isogloss.tasks import metrics
from isogloss.tasks.task import Metric

LONGEST = 384  # tokens of a window where the user does not say, as in XTREME's SQuAD settings
LONGEST_ANSWER = 30  # tokens, as in XTREME's SQuAD settings


class QuestionAnswering:
    """See `Task`.

    Args:
        normalise: what makes an answer in a language comparable.
    """

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
            (starts[0], starts[0] + len(answers[0]))
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
        assert features.offsets is not None
        both = scores.double().numpy()
        answers, probabilities = [], []
        for passage, rows in zip(features.texts[1], features.of_example, strict=True):
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
                    best, characters = top, (features.offsets[first, 0], features.offsets[last, 1])
            answers.append(passage[slice(*characters)])
            probabilities.append(float(np.exp(best - np.logaddexp.reduce(windows))) if windows else 0.0)
        return answers, probabilities

    def count(self, gold: Sequence[str]) -> int:
        """Questions."""
        return len(gold)

    def shown(self, text: Sequence[str], answer: str) -> dict[str, Any]:
        """The question and its answer."""
        return {"question": text[0], "answer": answer}


def _within(ends: np.ndarray, length: int) -> np.ndarray:
    """The end scores (T, length) of the tokens from each place on; minus infinity behind the last."""
    padded = np.concatenate([ends, np.full(length - 1, -np.inf)])
    return np.lib.stride_tricks.sliding_window_view(padded, length)


KINDS = {"qa": QuestionAnswering(metrics.squad_words), "qa-mlqa": QuestionAnswering(metrics.mlqa_words)}
