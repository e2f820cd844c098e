"""How much work a cell is, in tokens of a forward pass: progress and what may be looked at are reckoned by it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from isogloss.experiment.cells import Cell
from isogloss.experiment.workspace import Workspace
from isogloss.preprocessing.features import Features
from isogloss.training.monitor import interval
from isogloss.training.train_state import updates_an_epoch, updates_until


@dataclass(frozen=True)
class MonitorPlan:
    """How much is looked at in training.

    Args:
        examples: of each target; as many in all cells of an experiment, so that their curves compare.
        every: updates between two observations, for each cell by label and seed.
    """

    examples: int
    every: Mapping[tuple[str, int], int]


def updates(workspace: Workspace, cell: Cell) -> int:
    """Updates of a training; of an averaged cell, of each of its trainings."""
    cell = cell.trainings[0]
    train = workspace.encoded(cell).train_dev(cell.seed).train
    return cell.settings.epochs * updates_an_epoch(train, cell.settings.batch_size)


def one_pass(features: Features, cell: Cell) -> float:
    """Tokens of one forward pass over a split."""
    return float(features.lengths.sum() + cell.method.positions(cell.settings) * len(features))


def training(workspace: Workspace, cell: Cell) -> float:
    """Tokens of all forward passes that a training is worth; of an averaged cell all of its trainings."""
    if len(cell.trainings) > 1:
        return sum(training(workspace, member) for member in cell.trainings)
    train_dev = workspace.encoded(cell).train_dev(cell.seed)
    epochs, passes, held = cell.settings.epochs, cell.method.passes, 0.0
    if (
        drift := cell.settings.holds
    ) is not None:  # the pre-trained states, in every update and once for their variance
        layers = workspace.backbone.shape.layers
        held = drift.depth(layers) / layers
    if not epochs:  # it was trained elsewhere
        return one_pass(train_dev.dev, cell)
    if passes == 0:  # states are computed once
        return one_pass(train_dev.train, cell) + one_pass(train_dev.dev, cell)
    train, dev = one_pass(train_dev.train, cell), one_pass(train_dev.dev, cell)
    return epochs * ((passes + held) * train + dev) + held * train


def part(workspace: Workspace, cell: Cell, begin: float, until: float) -> float:
    """Tokens of all forward passes that a part of a training is worth, the look at the pause included.

    Args:
        workspace: of the experiment.
        cell: in training.
        begin: the share of its updates that are done before; 0: none.
        until: the share at which it pauses, see `Job.until`.
    """
    if cell.method.passes == 0:  # states are computed once a part
        return training(workspace, cell)
    total = updates(workspace, cell)
    before, after = updates_until(total, begin) if begin else 0, updates_until(total, until)
    at_pause = look(workspace, cell) if after < total else 0.0  # at the end it is looked at as in any training
    return (after - before) / total * training(workspace, cell) + at_pause


def look(workspace: Workspace, cell: Cell) -> float:
    """Tokens of one forward pass over the source's development data."""
    return one_pass(workspace.encoded(cell).train_dev(cell.seed).dev, cell) if cell.method.passes else 0.0


def scoring(workspace: Workspace, cell: Cell) -> float:
    """Tokens of one forward pass over all test splits."""
    return one_pass(workspace.encoded(cell).test.features, cell)


def monitor_plan(workspace: Workspace) -> MonitorPlan | None:
    """How much the cells of an experiment may be looked at in training; None where nothing is to be."""
    data = workspace.data
    if not data.watched:
        return None
    trainings = [one for cell in workspace.cells for one in cell.trainings]
    every = {one.key: _every(workspace, one) for one in trainings}
    wanted = max(len(part) for part in data.watched[1:] or data.watched)
    affordable = [wanted]
    for cell in trainings:
        if data.cost is not None and cell.method.passes:
            looks = updates(workspace, cell) // every[cell.key] + cell.settings.epochs
            whole = looks * one_pass(workspace.encoded(cell).watched.features, cell)  # of all that may be looked at
            affordable.append(int(wanted * data.cost * training(workspace, cell) / whole))
    return MonitorPlan(max(1, min(affordable)), every)


def _every(workspace: Workspace, cell: Cell) -> int:
    """Updates between two looks: more than usual where the least that can be looked at costs too much as often."""
    data, total = workspace.data, updates(workspace, cell)
    every = interval(total, data.every)
    if data.every is not None or data.cost is None or not cell.method.passes:
        return every  # as the user says; or a head alone, which costs next to nothing, the states being kept
    least = one_pass(workspace.encoded(cell).fewer(1).features, cell)
    looks = int(data.cost * training(workspace, cell) / least) - cell.settings.epochs  # each epoch ends in one
    return max(every, math.ceil(total / looks)) if looks > 0 else total
