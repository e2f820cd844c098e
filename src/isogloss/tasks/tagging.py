"""Tagging: a word is a unit; a sentence's answer is its tags, with spaces between."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any, ClassVar

import numpy as np
import polars as pl
from jaxtyping import Float
from torch import Tensor

from isogloss.data.tag_schemes import mark_spans
from isogloss.preprocessing.features import Features
from isogloss.preprocessing.templates import Template
from isogloss.preprocessing.tokenize import tokenise_words
from isogloss.tasks import metrics
from isogloss.tasks.task import PLACES, Metric, class_probabilities, most_probable, numbered

WORD = re.compile(r"\S+")  # as `str.split` parts words


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

    classes: ClassVar[bool] = True
    withheld: ClassVar[tuple[str, ...]] = ("labels", "spans")
    metrics: ClassVar[Mapping[str, Metric]] = {
        "accuracy": _word_metric(metrics.accuracy), "macro-f1": _word_metric(metrics.macro_f1), "span-f1": _span_f1,
    }  # fmt: skip

    def features(
        self, table: pl.DataFrame, labels: Sequence[str], tokenizer: Any, *, last: bool, longest: int | None
    ) -> Features:
        """One row a sentence, one unit a word."""
        given = table["labels"]
        count = int(table["words"].list.len().sum())
        tags = np.zeros(count, dtype=np.int64) if given.null_count() else numbered(given.explode(), labels)
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

    def given(self, parts: Sequence[str]) -> dict[str, Any]:
        """Nothing: the words stand in the answer."""
        return {}

    def answers(
        self,
        features: Features,
        scores: Tensor,
        names: Sequence[str],
        parts: Sequence[Sequence[str]],
        *,
        every: bool,
    ) -> list[dict[str, Any]]:
        """Words and their labels, where each word stands, and the spans that the labels mark, where they are such."""
        tags, sure = self.predicted(features, scores, names)
        _, of_words = most_probable(scores)
        probabilities = class_probabilities(scores, names) if every else []
        answers: list[dict[str, Any]] = []
        begin, marked = 0, mark_spans(names)
        for (text,), sentence, score in zip(parts, tags, sure, strict=True):
            labels, offsets = sentence.split(), [list(word.span()) for word in WORD.finditer(text)]
            words = slice(begin, begin := begin + len(labels))
            answer: dict[str, Any] = {"words": [text[slice(*place)] for place in offsets], "labels": labels}
            answer |= {"score": round(score, PLACES), "offsets": offsets}
            if marked:
                answer["spans"] = [_span(text, offsets, of_words[words], *span) for span in metrics.spans(labels)]
            if every:
                answer["scores"] = probabilities[words]
            answers.append(answer)
        return answers

    def answer_columns(self, names: Sequence[str], *, every: bool) -> dict[str, Any]:
        """Lists with something for each word, or for each span."""
        span = {
            "label": pl.String(),
            "text": pl.String(),
            "start": pl.Int64(),
            "end": pl.Int64(),
            "score": pl.Float64(),
        }
        columns: dict[str, Any] = {
            "words": pl.List(pl.String()), "labels": pl.List(pl.String()), "score": pl.Float64(),
            "offsets": pl.List(pl.List(pl.Int64())),
        }  # fmt: skip
        columns |= {"spans": pl.List(pl.Struct(span))} if mark_spans(names) else {}
        of_word = pl.Struct(dict.fromkeys(names, pl.Float64()))
        return {**columns, "scores": pl.List(of_word)} if every else columns


def _span(
    text: str, offsets: Sequence[Sequence[int]], sure: Float[np.ndarray, "words"], first: int, last: int, kind: str
) -> dict[str, Any]:
    """A span from its first word to its last one, for people; it ends in front of the character at `end`."""
    start, end = offsets[first][0], offsets[last][1]
    score = round(float(sure[first : last + 1].mean()), PLACES)
    return {"label": kind, "text": text[start:end], "start": start, "end": end, "score": score}


KINDS = {"tagging": Tagging()}
