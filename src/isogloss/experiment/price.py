"""What an experiment would cost, before it is spent: jobs, hours, and bytes that are kept."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch

from isogloss.experiment import cost
from isogloss.experiment.cells import Cell, stacks
from isogloss.experiment.leases import Key
from isogloss.experiment.memory import Room, narrower
from isogloss.experiment.restore import weights
from isogloss.experiment.schedule import scoring_parts, shares
from isogloss.experiment.search.plan import PlannedSearch
from isogloss.experiment.workspace import Workspace
from isogloss.methods.registry import find
from isogloss.preprocessing.batching import budgets
from isogloss.preprocessing.features import Features
from isogloss.runtime.checked import check
from isogloss.runtime.device_memory import in_words
from isogloss.store import StoredCell
from isogloss.training.run import Run, new_run
from isogloss.training.stack import Stack

A_ROW = 32  # bytes that a test example's answer takes, in its cell's tables and in those of all
TEXTS = 64  # of the training set, by which it is measured how fast a forward pass is here
AT_LEAST = 1.0  # seconds that are measured


@dataclass(frozen=True)
class Price:
    """What is left to be done of an experiment.

    Args:
        jobs: that would be handed out, those of searches aside.
        longest: the longest of them in words, and its cost.
        cost: of all, in tokens of a forward pass.
        searching: of searches, at most; the same unit.
        speed: tokens of a forward pass a second, on the device of this process.
        stored: bytes that are kept in the end.
    """

    jobs: int
    longest: tuple[str, float]
    cost: float
    searching: float
    speed: float
    stored: int

    def lines(self) -> Iterator[tuple[str, str]]:
        """In words: what, and how much."""
        name, most = self.longest
        longest = f", the longest {name}: {_hours(most / self.speed)}" if self.jobs else ""
        yield "jobs", f"{self.jobs:,}{longest}"
        besides = f", and searches at most {_hours(self.searching / self.speed)}" if self.searching else ""
        yield (
            "time",
            (
                f"{_hours(self.cost / self.speed)} of one device as fast as this one ({self.speed:,.0f} tokens of a "
                f"forward pass a second){besides}"
            ),
        )
        yield "stored", f"about {in_words(self.stored)}"


def price(
    workspace: Workspace,
    stored: Sequence[StoredCell],
    plans: Sequence[PlannedSearch],
    *,
    room: Room | None = None,
    parallel: bool = False,
    whole: bool = False,
) -> Price:
    """What is left to be done.

    Args:
        workspace: of the experiment, with the first candidate of searches that have not chosen yet.
        stored: what is finished.
        plans: of its searches.
        room: where jobs are carried out, if that is elsewhere.
        parallel: whether they are carried out beside one another, and much scoring is shared.
        whole: whether stacks are taken as they are, without the seconds that it takes to know whether they fit.
    """
    finished = {cell.key: cell for cell in stored}
    missing = [cell for cell in workspace.cells if cell.key not in finished]
    parts = {cell.key: scoring_parts(workspace, cell) if parallel else 1 for cell in workspace.cells}
    stacked = _stacked(workspace, missing) if whole else _narrowed(workspace, missing, room)
    jobs = [*_trainings(workspace, missing, stacked, parts), *_scorings(workspace, finished, parts)]
    firsts = {cell.name: cost.training(workspace, cell) / cell.average for cell in workspace.cells}
    searching = sum(
        min(plan.space.budget, plan.count)
        * firsts[plan.space.name]
        * (1 if plan.space.forms is None else _average(plan))
        for plan in plans
        if plan.record is None or plan.record.chosen is None
    )
    return Price(
        len(jobs), max(jobs, key=lambda job: job[1], default=("", 0.0)), sum(work for _, work in jobs), searching,
        _speed(workspace), sum(_kept(workspace, cells[0]) * len(cells) for cells in _by_label(missing)),
    )  # fmt: skip


def _average(plan: PlannedSearch) -> int:
    return int(plan.space.fixed.get("average", 1))


def _by_label(missing: Sequence[Cell]) -> list[list[Cell]]:
    """Cells that differ in nothing but the seed."""
    labels: dict[str, list[Cell]] = {}
    for cell in missing:
        labels.setdefault(cell.label, []).append(cell)
    return [*labels.values()]


def _stacked(workspace: Workspace, missing: Sequence[Cell]) -> Iterator[Sequence[Cell]]:
    """Trainings that go together."""
    yield from stacks([one for cell in missing for one in cell.trainings], workspace.backbone.pooling)


def _narrowed(workspace: Workspace, missing: Sequence[Cell], room: Room | None) -> Iterator[Sequence[Cell]]:
    """The same in parts that fit into memory."""
    for stack in _stacked(workspace, missing):
        yield from narrower(workspace, stack, tests=stack[0].member is None, room=room)[0]


def _trainings(
    workspace: Workspace, missing: Sequence[Cell], stacked: Iterable[Sequence[Cell]], parts: Mapping[Key, int]
) -> Iterator[tuple[str, float]]:
    """Jobs that train, and those that share the scoring of what they train."""
    for part in stacked:
        work = sum(cost.training(workspace, cell) for cell in part)
        title = part[0].label + (f" and {len(part) - 1} more" if len(part) > 1 else "")
        yield from _with_scoring(workspace, part, title, work, parts)
    for cell in missing:
        if cell.average > 1:
            yield from _with_scoring(workspace, [cell], f"{cell.label}, the mean of {cell.average}", 0.0, parts)


def _with_scoring(
    workspace: Workspace, cells: Sequence[Cell], title: str, work: float, parts: Mapping[Key, int]
) -> Iterator[tuple[str, float]]:
    """As the schedule has it: of much to score, all but the first language is left to jobs that share it."""
    if cells[0].member is not None:
        yield title, work
        return
    if max(parts[cell.key] for cell in cells) == 1:
        yield title, work + sum(cost.scoring(workspace, cell) for cell in cells)
        return
    scored = [_by_language(workspace, cell) for cell in cells]
    yield title, work + sum(costs[0] for costs in scored)
    for cell, costs in zip(cells, scored, strict=True):
        others = list(range(1, len(costs)))
        for part in shares(others, parts[cell.key]) if others else ():
            yield _more(cell, part), sum(costs[number] for number in part)


def _more(cell: Cell, languages: Sequence[Any]) -> str:
    return f"{cell.label} in {len(languages)} more language{'s' if len(languages) > 1 else ''}"


def _by_language(workspace: Workspace, cell: Cell) -> list[float]:
    """What it takes to score a cell in each language."""
    test = workspace.encoded(cell).test
    rows = test.features.of_example.starts[np.cumsum([0, *map(len, test.examples)])]
    tokens = np.diff(test.features.starts[rows]) + cell.method.positions(cell.settings) * np.diff(rows)
    return [float(count) for count in tokens]


def _scorings(
    workspace: Workspace, finished: Mapping[Key, StoredCell], parts: Mapping[Key, int]
) -> Iterator[tuple[str, float]]:
    for cell in workspace.cells:
        if (stored := finished.get(cell.key)) is None:
            continue
        if lacking := [code for code in workspace.data.test_data if code not in stored.record.test_data]:
            for part in shares(lacking, parts[cell.key]):
                features = workspace.encoded(cell).languages(part).features
                yield _more(cell, part), cost.one_pass(features, cell)


def _speed(workspace: Workspace) -> float:
    """Tokens of a forward pass a second, over texts of the training set."""
    method, backbone = find("linear-probe"), workspace.backbone
    run = new_run(method, backbone, check(method.settings, {}, where=method.name), seed=0, classes=2)
    stack = Stack(backbone, method, [run])
    texts = _rows(workspace, workspace.cells[0])
    budget, begin, done = budgets(backbone.device)[1], 0.0, 0
    while True:
        stack.states(texts, run, budget=budget)
        if backbone.device.type == "cuda":
            torch.cuda.synchronize(backbone.device)
        now = time.perf_counter()
        if not begin:  # the first pass only warms up
            begin = now
            continue
        done += int(texts.lengths.sum())
        if now - begin >= AT_LEAST:
            return done / (now - begin)


def _rows(workspace: Workspace, cell: Cell) -> Features:
    """Some rows of the training set, each of which is one unit, of whatever kind the task is."""
    train = workspace.fitted(cell, workspace.encoded(cell).train_dev(cell.seed).train)
    count = min(TEXTS, len(train))
    tokens = slice(0, int(train.starts[count]))
    return Features(
        train.tokens[tokens], None if train.types is None else train.types[tokens], train.starts[: count + 1],
        np.zeros(count, dtype=np.int64), longest=train.longest,
    )  # fmt: skip


def _kept(workspace: Workspace, cell: Cell) -> int:
    """Bytes of a cell in the run directory."""
    if cell.key in workspace.imported:
        tensors = workspace.imported[cell.key].tensors
    else:
        backbone, method = workspace.meta_copy, cell.method
        own = backbone if method.frozen else backbone.copy(workspace.seen(cell))
        run: Run = new_run(
            method, own, cell.settings, seed=0, classes=len(workspace.data.labels), verbalizer=workspace.verbalizer
        )
        tensors = weights(cell, run)
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) + A_ROW * sum(
        map(len, workspace.data.predicted)
    )


def _hours(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
