"""What every kind of task has to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from isogloss.preprocessing.features import Features
from isogloss.preprocessing.templates import Template

BLOCK = 1 << 16  # units
PLACES = 4  # of a probability that people read
Metric = Callable[[Sequence[str], Sequence[str], str], float]  # of gold and predicted answers in a language


@runtime_checkable
class Task(Protocol):
    """A kind of task: units, answers and metrics.

    An answer is a text: what stands in the columns `gold` and `predicted` of the predictions. Scores are computed from
    these columns alone.
    """

    @property
    def classes(self) -> bool:
        """Whether each unit is of one of the classes, so that each class has a probability that can be right."""
        ...

    @property
    def withheld(self) -> tuple[str, ...]:
        """What `answers` leaves open, where it is asked to be surer than it is; `score` always stays."""
        ...

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Scores by name."""
        ...

    def features(
        self, table: pl.DataFrame, labels: Sequence[str], tokenizer: Any, *, last: bool, longest: int | None
    ) -> Features:
        """A split's examples, tokenised, each unit with its class.

        Args:
            table: in the columns of this kind of task; where what is right is null, the classes mean nothing.
            labels: in the order of the head's classes.
            tokenizer: a fast tokenizer.
            last: whether a word's last sub-word stands for it, not its first.
            longest: most tokens of a row.
        """
        ...

    def texts(self, table: pl.DataFrame, template: Template | None = None) -> tuple[pl.Series, ...]:
        """The columns that a split's features keep (`Features.texts`).

        Args:
            table: in the columns of this kind of task.
            template: that they are filled into, if any.
        """
        ...

    def inputs(self, pairs: bool) -> tuple[str, ...]:
        """What a new example consists of, for people: a text, a question and a passage.

        Args:
            pairs: whether the data set's texts come in twos.
        """
        ...

    def unlabelled(
        self, texts: Sequence[Sequence[str]], tokenizer: Any, *, last: bool, longest: int | None
    ) -> Features:
        """New examples, each as `inputs` says, tokenised; their classes mean nothing."""
        ...

    def gold(self, table: pl.DataFrame) -> list[str]:
        """The right answer of each example."""
        ...

    def predicted(
        self, features: Features, scores: Float[Tensor, "units C"], names: Sequence[str]
    ) -> tuple[list[str], list[float]]:
        """The answer of each example and how sure it is.

        Args:
            features: cut to fit the model.
            scores: of every unit, by `isogloss.tasks.heads.logits`.
            names: of the classes.
        """
        ...

    def count(self, gold: Sequence[str]) -> int:
        """How many things a score is over: texts, or words."""
        ...

    def given(self, parts: Sequence[str]) -> dict[str, Any]:
        """What is shown of a new example beside its answer, where nothing else shows it."""
        ...

    def answers(
        self,
        features: Features,
        scores: Float[Tensor, "units C"],
        names: Sequence[str],
        parts: Sequence[Sequence[str]],
        *,
        every: bool,
    ) -> list[dict[str, Any]]:
        """The answers to new examples, for people: the columns of `answer_columns`, with probabilities rounded.

        Args:
            features: of `unlabelled`, or filled into a template, cut to fit the model.
            scores: of every unit.
            names: of the classes.
            parts: of each example, what the features were made of; places are counted in them, in characters.
            every: whether the probability of every class is asked for, where there are classes.
        """
        ...

    def answer_columns(self, names: Sequence[str], *, every: bool) -> dict[str, Any]:
        """What an answer consists of, by name the type in polars; `score`, how sure it is, is always there.

        Args:
            names: of the classes.
            every: as for `answers`.
        """
        ...


def numbered(names: pl.Series, labels: Sequence[str]) -> Int[np.ndarray, "names"]:
    """Labels by their numbers among the classes; of examples without labels the first, which then means nothing.

    Args:
        names: all of them classes, or null.
        labels: in the order of the head's classes.
    """
    return names.cast(pl.Enum(labels)).to_physical().fill_null(0).to_numpy().astype(np.int64)


def class_probabilities(scores: Float[Tensor, "units C"], names: Sequence[str]) -> list[dict[str, float]]:
    """The probability of every class of each unit, by its name, rounded for people."""
    rows: list[list[float]] = scores.softmax(dim=-1).tolist()
    return [{name: round(value, PLACES) for name, value in zip(names, row, strict=True)} for row in rows]


def most_probable(
    scores: Float[Tensor, "units C"],
) -> tuple[Int[np.ndarray, "units"], Float[np.ndarray, "units"]]:
    """The most probable class of each unit, and its probability; the probabilities of all are never there at once."""
    best = [block.softmax(dim=-1).max(dim=-1) for block in torch.split(scores, BLOCK)]
    return np.concatenate([one.indices for one in best]), np.concatenate([one.values for one in best])
