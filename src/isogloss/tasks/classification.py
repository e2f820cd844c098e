"""Classification of texts and of pairs of texts: a text is a unit, its class is the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import polars as pl

from isogloss import metrics
from isogloss.batching import Features, tokenise
from isogloss.tasks.task import Metric


class Classification:
    """See `Task`."""

    metrics: ClassVar[Mapping[str, Metric]] = {"accuracy": metrics.accuracy, "macro-f1": metrics.macro_f1}

    def features(self, table: pl.DataFrame, labels: Sequence[str], tokenizer: Any) -> Features:
        """One row and one unit an example."""
        number = {label: i for i, label in enumerate(labels)}
        texts = tuple(table[name].to_list() for name in ("text", "second") if name in table.columns)
        return tokenise(texts, [number[label] for label in table["label"]], tokenizer)

    def unlabelled(self, texts: Sequence[str], tokenizer: Any) -> Features:
        """Single texts."""
        return tokenise((texts,), [0] * len(texts), tokenizer)

    def gold(self, table: pl.DataFrame) -> list[str]:
        """The labels."""
        return table["label"].to_list()

    def predicted(
        self, features: Features, classes: np.ndarray, sure: np.ndarray, names: list[str]
    ) -> tuple[list[str], list[float]]:
        """The name of each class."""
        return [names[label] for label in classes], sure.tolist()

    def count(self, gold: Sequence[str]) -> int:
        """Texts."""
        return len(gold)

    def shown(self, text: str, answer: str) -> dict[str, Any]:
        """The text and its label."""
        return {"text": text, "label": answer}
