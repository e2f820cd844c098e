"""Evaluation: every language of a task in one stream sorted by length; predictions first, scores from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from jaxtyping import Float
from torch import Tensor

from isogloss import store
from isogloss.data.dataset import Examples
from isogloss.preprocessing.features import Features
from isogloss.tasks.task import Task
from isogloss.training.stack import Run, Stack


@dataclass(frozen=True, eq=False)
class TestSet:
    """The test splits of several languages, end to end and tokenised once for all methods and seeds."""

    __test__ = False  # not a test class of pytest's

    examples: Sequence[Examples]
    features: Features


@dataclass(frozen=True, eq=False)
class Predicted:
    """One run's scores of every unit."""

    features: Features  # cut to fit
    scores: Float[Tensor, "units C"]


def predict(
    stack: Stack,
    runs: Sequence[Run],
    features: Features,
    *,
    budget: int,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Predicted]:
    """Each run's scores of every unit.

    Args:
        stack: the runs' backbone and method.
        runs: those to predict with.
        features: cut to fit (`isogloss.preprocessing.truncate.fit`).
        budget: most tokens of one forward pass.
        advance: called with the tokens done.
    """
    for run in runs:
        run.part.eval()
    return [Predicted(features, scores) for scores in stack.logits(features, runs, budget=budget, advance=advance)]


def predictions_table(
    test: TestSet, task: Task, predicted: Predicted, labels: Sequence[str], *, method: str, seed: int
) -> pl.DataFrame:
    """One row an example: what was right, what was said, and how sure the model was."""
    answers, sure = task.predicted(predicted.features, predicted.scores, labels)
    return pl.DataFrame(
        {
            "method": [method] * len(answers),
            "seed": [seed] * len(answers),
            "language": [str(part.language) for part in test.examples for _ in range(len(part))],
            "split": ["test"] * len(answers),
            "example": pl.concat([part.table["id"] for part in test.examples]),
            "gold": [answer for part in test.examples for answer in task.gold(part.table)],
            "predicted": answers,
            "score": sure,
        },
        schema=store.PREDICTIONS,
    )


def scores_table(
    predictions: pl.DataFrame, task: Task, names: Sequence[str], common: Mapping[str, object]
) -> pl.DataFrame:
    """Scores of each language and metric, from predictions alone."""
    rows = []
    for (language,), part in predictions.group_by(["language"], maintain_order=True):
        gold, predicted = part["gold"].to_list(), part["predicted"].to_list()
        rows += [
            {
                **common, "language": language, "split": "test", "metric": name,
                "value": task.metrics[name](gold, predicted, str(language)), "n": task.count(gold),
            }
            for name in names
        ]  # fmt: skip
    return store.rows(store.SCORES, rows)
