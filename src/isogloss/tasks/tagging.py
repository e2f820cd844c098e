"""Tagging: a word is a unit; a sentence's answer is its tags, with spaces between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import polars as pl

from isogloss import metrics
from isogloss.batching import Features, tokenise_words
from isogloss.tasks.task import Metric


def _of_words(metric: Metric) -> Metric:
    def score(gold: Sequence[str], predicted: Sequence[str]) -> float:
        return metric(*(list(chain.from_iterable(map(str.split, tags))) for tags in (gold, predicted)))

    return score


def _of_spans(gold: Sequence[str], predicted: Sequence[str]) -> float:
    return metrics.span_f1([tags.split() for tags in gold], [tags.split() for tags in predicted])


class Tagging:
    """See `Task`."""

    metrics: ClassVar[Mapping[str, Metric]] = {
        "accuracy": _of_words(metrics.accuracy), "macro-f1": _of_words(metrics.macro_f1), "span-f1": _of_spans,
    }  # fmt: skip

    def features(self, table: pl.DataFrame, labels: Sequence[str], tokenizer: Any) -> Features:
        """One row a sentence, one unit a word."""
        number = {label: i for i, label in enumerate(labels)}
        tags = [number[tag] for tags in table["labels"] for tag in tags]
        return tokenise_words(table["words"].to_list(), tags, tokenizer, last=False)

    def unlabelled(self, texts: Sequence[str], tokenizer: Any) -> Features:
        """Sentences whose words stand between spaces."""
        sentences = [text.split() for text in texts]
        return tokenise_words(sentences, [0] * sum(map(len, sentences)), tokenizer, last=False)

    def gold(self, table: pl.DataFrame) -> list[str]:
        """The tags of each sentence."""
        return [" ".join(tags) for tags in table["labels"]]

    def predicted(
        self, features: Features, classes: np.ndarray, sure: np.ndarray, names: list[str]
    ) -> tuple[list[str], list[float]]:
        """The tags of each sentence, and the mean of their probabilities."""
        bounds = list(zip(features.unit_starts, features.unit_starts[1:], strict=False))
        tags = [" ".join(names[label] for label in classes[begin:end]) for begin, end in bounds]
        return tags, [float(sure[begin:end].mean()) for begin, end in bounds]

    def count(self, gold: Sequence[str]) -> int:
        """Words."""
        return sum(len(tags.split()) for tags in gold)

    def shown(self, text: str, answer: str) -> dict[str, Any]:
        """The words and their tags."""
        return {"words": text.split(), "labels": answer.split()}
