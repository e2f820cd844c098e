"""What every kind of task has to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from isogloss.batching import Features

Metric = Callable[[Sequence[str], Sequence[str]], float]


@runtime_checkable
class Task(Protocol):
    """A kind of task: units, answers and metrics.

    An answer is a text: what stands in the columns `gold` and `predicted` of the predictions. Scores are computed from
    these columns alone.
    """

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Scores by name, each of gold and predicted answers."""
        ...

    def features(self, table: pl.DataFrame, labels: Sequence[str], tokenizer: Any) -> Features:
        """A split's examples, tokenised, each unit with its class."""
        ...

    def unlabelled(self, texts: Sequence[str], tokenizer: Any) -> Features:
        """New texts, tokenised; their classes mean nothing."""
        ...

    def gold(self, table: pl.DataFrame) -> list[str]:
        """The right answer of each example."""
        ...

    def predicted(
        self, features: Features, classes: Int[np.ndarray, "units"], sure: Float[np.ndarray, "units"], names: list[str]
    ) -> tuple[list[str], list[float]]:
        """The answer of each example and how sure it is.

        Args:
            features: as they came from the tokenizer, not truncated.
            classes: the class of each unit.
            sure: its probability.
            names: of the classes.
        """
        ...

    def count(self, gold: Sequence[str]) -> int:
        """How many things a score is over: texts, or words."""
        ...

    def shown(self, text: str, answer: str) -> dict[str, Any]:
        """A new text and its answer, for people."""
        ...
