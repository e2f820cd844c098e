"""How much work a cell is, in tokens of a forward pass: progress and what may be looked at are reckoned by it."""

from __future__ import annotations

from isogloss.experiment.cells import Cell
from isogloss.experiment.encoded import TrainDev
from isogloss.preprocessing.features import Features


def updates(train_dev: TrainDev, cell: Cell) -> int:
    """Updates of a training."""
    return cell.settings.epochs * -(-len(train_dev.train.of_example) // cell.settings.batch_size)


def one_pass(part: Features, cell: Cell) -> float:
    """One forward pass over a split."""
    return float(part.lengths.sum() + cell.method.positions(cell.settings) * len(part))


def training(train_dev: TrainDev, cell: Cell) -> float:
    """All of a training."""
    epochs, passes = cell.settings.epochs, cell.method.passes
    if passes == 0:  # states are computed once
        return one_pass(train_dev.train, cell) + one_pass(train_dev.dev, cell)
    return epochs * (passes * one_pass(train_dev.train, cell) + one_pass(train_dev.dev, cell))
