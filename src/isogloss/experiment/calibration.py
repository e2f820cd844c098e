"""How sure the answers of classes are: each run's temperature from the source's development data, and what it changes.

Nothing of a target language has a part in it. Where languages differ from the source, so may what a score is worth:
`confidence.parquet` of each cell has the scores before and after beside what was right in `predictions.parquet`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from isogloss import store
from isogloss.experiment.encoded import EncodedData
from isogloss.experiment.evaluate import Predicted, predict
from isogloss.stats.temperature import fit_temperature
from isogloss.tasks.task import Task
from isogloss.training.run import Run
from isogloss.training.stack import Stack


def temperatures(
    stack: Stack, encoded: EncodedData, *, budget: int | None = None, advance: Callable[[int], None] = lambda _: None
) -> list[float | None]:
    """Each run's temperature, with the weights that it has now; None where its answers are not of classes.

    Args:
        stack: of runs, trained.
        encoded: the data that they were trained on, which are selected on too.
        budget: most tokens of one forward pass; None: as many as suit the device.
        advance: called with the tokens of each pass.
    """
    if not encoded.task.classes:
        return [None] * len(stack.runs)
    selected_on: dict[int, list[Run]] = {}  # of few shots each seed has its own, else all have the same
    for run in stack.runs:
        selected_on.setdefault(id(encoded.train_dev(run.seed).dev), []).append(run)
    fitted: dict[int, float] = {}
    for runs in selected_on.values():
        dev = encoded.train_dev(runs[0].seed).dev
        scored = predict(stack, runs, dev, fitted=encoded.fit, budget=budget, advance=advance)
        for run, predicted in zip(runs, scored, strict=True):
            fitted[id(run)] = fit_temperature(predicted.scores.numpy(), predicted.features.labels)
    return [fitted[id(run)] for run in stack.runs]


def confidence_table(
    predictions: pl.DataFrame, task: Task, predicted: Predicted, labels: Sequence[str], temperature: float
) -> pl.DataFrame:
    """How sure each answer is by the scores as they are, and by the scores divided by the cell's temperature.

    Args:
        predictions: of `predictions_table`.
        task: of classes.
        predicted: what the predictions are of.
        labels: in the order of the classes.
        temperature: of the cell.
    """
    _, sure = task.predicted(predicted.features, predicted.scores / temperature, labels)
    kept = [name for name in store.CONFIDENCE if name in predictions.columns]
    return predictions.select(kept).with_columns(pl.Series("calibrated", sure, store.CONFIDENCE["calibrated"]))
