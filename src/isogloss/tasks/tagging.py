"""Tagging: a word is a unit; a sentence's answer is its tags, with spaces between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any, ClassVar

import numpy as np
import polars as pl
from torch import Tensor

from isogloss.preprocessing.features import Features
from isogloss.preprocessing.templates import Template
from isogloss.preprocessing.tokenize import tokenise_words
from isogloss.tasks import metrics
from isogloss.tasks.task import Metric, most_probable, numbered


def _word_metric(metric: Callable[[Sequence[str], Sequence[str]], float]) -> Metric:
    """A metric over the tags of all words of all sentences."""

    def score(gold: Sequence[str], predicted: Sequence[str], _: str) -> float:
        return metric(*(list(chain.from_iterable(map(str.split, tags))) for tags in (gold, predicted)))

    return score


def _span_f1(gold: Sequence[str], predicted: Sequence[str], _: str) -> float:
    """F1 of whole spans; `B-PER I-PER O` is a sentence's answer."""
    return metrics.span_f1([tags.split() for tags in gold], [tags.split() for tags in predicted])


class Tagging:
    """See `Task`."""

    metrics: ClassVar[Mapping[str, Metric]] = {
        "accuracy": _word_metric(metrics.accuracy), "macro-f1": _word_metric(metrics.macro_f1), "span-f1": _span_f1,
    }  # fmt: skip

    def features(
        self, table: pl.DataFrame, labels: Sequence[str], tokenizer: Any, *, last: bool, longest: int | None
    ) -> Features:
        """One row a sentence, one unit a word."""
        tags = numbered(table["labels"].explode(), labels)
        return tokenise_words(table["words"], tags, tokenizer, last=last, longest=longest)

    def texts(self, table: pl.DataFrame, template: Template | None = None) -> tuple[pl.Series, ...]:
        """Words are not kept: sentences are split between them, never encoded anew."""
        return ()

    def inputs(self, pairs: bool) -> tuple[str, ...]:
        """Words between spaces."""
        return ("text",)

    def unlabelled(
        self, texts: Sequence[Sequence[str]], tokenizer: Any, *, last: bool, longest: int | None
    ) -> Features:
        """Sentences whose words stand between spaces."""
        sentences = [text.split() for (text,) in texts]
        return tokenise_words(sentences, [0] * sum(map(len, sentences)), tokenizer, last=last, longest=longest)

    def gold(self, table: pl.DataFrame) -> list[str]:
        """The tags of each sentence."""
        return [" ".join(tags) for tags in table["labels"]]

    def predicted(self, features: Features, scores: Tensor, names: Sequence[str]) -> tuple[list[str], list[float]]:
        """The most probable tags of each sentence, and the mean of their probabilities."""
        classes, probabilities = most_probable(scores)
        bounds = features.unit_starts[features.of_example.starts]  # of each sentence's words
        tags = [" ".join([names[label] for label in classes[begin:end].tolist()]) for begin, end in pairwise(bounds)]
        sums = np.diff(np.concatenate([[0], np.cumsum(probabilities, dtype=np.float64)])[bounds])
        return tags, (sums / np.diff(bounds)).tolist()

    def count(self, gold: Sequence[str]) -> int:
        """Words."""
        return sum(len(tags.split()) for tags in gold)

    def shown(self, text: Sequence[str], answer: str) -> dict[str, Any]:
        """The words and their tags."""
        return {"words": text[0].split(), "labels": answer.split()}


KINDS = {"tagging": Tagging()}
