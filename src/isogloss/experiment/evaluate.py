"""Evaluation: every language of a task in one stream sorted by length; predictions first, scores from them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from jaxtyping import Float
from torch import Tensor

from isogloss import store
from isogloss.data.dataset import Examples
from isogloss.preprocessing.batching import budgets
from isogloss.preprocessing.features import Features
from isogloss.preprocessing.truncate import fit
from isogloss.tasks.task import Task
from isogloss.training.run import Run
from isogloss.training.stack import Stack


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
    fitted: Callable[[Features, int], Features] | None = None,
    budget: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Iterator[Predicted]:
    """Each run's scores of every unit, one run after the other.

    Args:
        stack: the runs' backbone and method.
        runs: those to predict with.
        features: as tokenised; they are cut here to the room that each run leaves.
        fitted: does the cutting, where what was cut is kept for others too.
        budget: most tokens of one forward pass; None: as many as suit the device.
        advance: called with the tokens done.
    """
    tokenizer, budget = stack.backbone.tokenizer, budget or budgets(stack.backbone.device)[1]
    cut = fitted or (lambda whole, room: fit(whole, room, tokenizer))
    for run in runs:
        run.part.eval()
    # Where nothing is inserted into the backbone, one pass serves all runs.
    for group in [list(runs)] if stack.head_only else [[run] for run in runs]:
        part = cut(features, stack.room(group[0]))
        for scores in stack.logits(part, group, budget=budget, advance=advance):
            yield Predicted(part, scores)


def timed(scored: Iterator[Predicted], *, at_once: bool) -> Iterator[tuple[Predicted, float]]:
    """Scores, and the seconds that it took to compute them.

    Args:
        scored: what `predict` gives.
        at_once: whether those of all runs are computed in one pass: the first waits for it, and each needs all of it.
    """
    whole = None
    while True:
        begin = time.perf_counter()
        if (predicted := next(scored, None)) is None:
            return
        taken = time.perf_counter() - begin
        whole = taken if whole is None or not at_once else whole
        yield predicted, whole


def predictions_table(
    test: TestSet, task: Task, predicted: Predicted, labels: Sequence[str], *, method: str, seed: int
) -> pl.DataFrame:
    """One row an example: what was right (null of languages without labels), what was said, and how sure the model was.

    It holds a hundred bytes or two an example, of all languages of one cell.
    """
    answers, sure = task.predicted(predicted.features, predicted.scores, labels)
    said = pl.DataFrame({"predicted": answers, "score": sure}, schema_overrides={"score": pl.Float32})
    begin, parts = 0, []
    for part in test.examples:
        gold = pl.Series("gold", task.gold(part.table) if part.labelled else [None] * len(part), pl.String)
        constant = {"method": method, "seed": seed, "language": str(part.language), "split": "test"}
        parts.append(
            part.table.select(example="id")
            .hstack([gold, *said.slice(begin, len(part))])
            .select(*(pl.lit(value).alias(name) for name, value in constant.items()), pl.all())
            .cast(pl.Schema(store.PREDICTIONS))
        )
        begin += len(part)
    return pl.concat(parts).select(*store.PREDICTIONS)


def scores_table(
    predictions: pl.DataFrame, task: Task, names: Sequence[str], common: Mapping[str, object]
) -> pl.DataFrame:
    """Scores of each language with labels and each metric, from predictions alone."""
    rows = []
    for (language,), part in predictions.drop_nulls("gold").group_by(["language"], maintain_order=True):
        gold, predicted = part["gold"].to_list(), part["predicted"].to_list()
        rows += [
            {
                **common, "language": language, "split": "test", "metric": name,
                "value": task.metrics[name](gold, predicted, str(language)), "n": task.count(gold),
            }
            for name in names
        ]  # fmt: skip
    return store.rows(store.SCORES, rows)
