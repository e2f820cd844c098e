"""Classification of texts and of pairs of texts: a text is a unit, its class is the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import polars as pl
from torch import Tensor

from isogloss.preprocessing.features import Features
from isogloss.preprocessing.fill_template import tokenise_filled
from isogloss.preprocessing.templates import Template
from isogloss.preprocessing.tokenize import tokenise
from isogloss.tasks import metrics
from isogloss.tasks.task import PLACES, Metric, class_probabilities, most_probable, numbered


class Classification:
    """See `Task`."""

    classes: ClassVar[bool] = True
    withheld: ClassVar[tuple[str, ...]] = ("label",)
    metrics: ClassVar[Mapping[str, Metric]] = {
        "accuracy": lambda gold, predicted, _: metrics.accuracy(gold, predicted),
        "macro-f1": lambda gold, predicted, _: metrics.macro_f1(gold, predicted),
    }

    def features(
        self, table: pl.DataFrame, labels: Sequence[str], tokenizer: Any, *, last: bool, longest: int | None
    ) -> Features:
        """One row and one unit an example."""
        return tokenise(self.texts(table), numbered(table["label"], labels), tokenizer, longest=longest)

    def filled(
        self,
        table: pl.DataFrame,
        labels: Sequence[str],
        tokenizer: Any,
        template: Template,
        *,
        causal: bool,
        wording: int,
        longest: int | None,
    ) -> Features:
        """One row and one unit an example, its texts filled into a template (`preprocessing.fill_template`)."""
        texts, gold = self.texts(table, template), numbered(table["label"], labels)
        return tokenise_filled(template, texts, gold, tokenizer, causal=causal, wording=wording, longest=longest)

    def texts(self, table: pl.DataFrame, template: Template | None = None) -> tuple[pl.Series, ...]:
        """The text, or both; in a template, those that it takes, in its order."""
        names = ("text", "second") if template is None else template.texts
        return tuple(table[name] for name in names if name in table.columns)

    def inputs(self, pairs: bool) -> tuple[str, ...]:
        """A text, or two."""
        return ("text", "second text") if pairs else ("text",)

    def unlabelled(
        self, texts: Sequence[Sequence[str]], tokenizer: Any, *, last: bool, longest: int | None
    ) -> Features:
        """Texts or pairs of them."""
        return tokenise(tuple(zip(*texts, strict=True)), [0] * len(texts), tokenizer, longest=longest)

    def gold(self, table: pl.DataFrame) -> list[str]:
        """The labels."""
        return table["label"].to_list()

    def predicted(self, features: Features, scores: Tensor, names: Sequence[str]) -> tuple[list[str], list[float]]:
        """The most probable class and its probability."""
        classes, probabilities = most_probable(scores)
        return [names[label] for label in classes.tolist()], probabilities.tolist()

    def count(self, gold: Sequence[str]) -> int:
        """Texts."""
        return len(gold)

    def given(self, parts: Sequence[str]) -> dict[str, Any]:
        """The text, or both."""
        return dict(zip(("text", "second"), parts, strict=False))

    def answers(
        self,
        features: Features,
        scores: Tensor,
        names: Sequence[str],
        parts: Sequence[Sequence[str]],
        *,
        every: bool,
    ) -> list[dict[str, Any]]:
        """Label and score; `scores` by label."""
        labels, sure = self.predicted(features, scores, names)
        answers: list[dict[str, Any]] = [
            {"label": label, "score": round(score, PLACES)} for label, score in zip(labels, sure, strict=True)
        ]
        if every:
            for answer, probabilities in zip(answers, class_probabilities(scores, names), strict=True):
                answer["scores"] = probabilities
        return answers

    def answer_columns(self, names: Sequence[str], *, every: bool) -> dict[str, Any]:
        """Texts and numbers, and where all classes are wanted a field for each."""
        columns: dict[str, Any] = {"label": pl.String(), "score": pl.Float64()}
        return {**columns, "scores": pl.Struct(dict.fromkeys(names, pl.Float64()))} if every else columns


KINDS = {"classification": Classification()}
