"""What an experiment would cost, before it is spent: jobs, hours, and bytes that are kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch

from isogloss.experiment import cost
from isogloss.experiment.cells import Cell, stacks
from isogloss.experiment.memory import Room, narrower
from isogloss.experiment.restore import weights
from isogloss.experiment.search.plan import PlannedSearch
from isogloss.experiment.workspace import Workspace
from isogloss.methods.registry import find
from isogloss.preprocessing.batching import budgets
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
        yield "jobs", f"{self.jobs:,}, the longest {name}: {_hours(most / self.speed)}"
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
    workspace: Workspace, stored: Sequence[StoredCell], plans: Sequence[PlannedSearch], *, room: Room | None = None
) -> Price:
    """What is left to be done.

    Args:
        workspace: of the experiment, with the first candidate of searches that have not chosen yet.
        stored: what is finished.
        plans: of its searches.
        room: where jobs are carried out, if that is elsewhere.
    """
    finished = {cell.key: cell for cell in stored}
    missing = [cell for cell in workspace.cells if cell.key not in finished]
    jobs = [*_trainings(workspace, missing, room), *_scorings(workspace, finished)]
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
        _speed(workspace), sum(_kept(workspace, cell) for cell in missing),
    )  # fmt: skip


def _average(plan: PlannedSearch) -> int:
    return int(plan.space.fixed.get("average", 1))


def _trainings(workspace: Workspace, missing: Sequence[Cell], room: Room | None) -> Iterator[tuple[str, float]]:
    trainings = [one for cell in missing for one in cell.trainings]
    for stack in stacks(trainings, workspace.backbone.pooling):
        for part in narrower(workspace, stack, tests=stack[0].member is None, room=room)[0]:
            work = sum(cost.training(workspace, cell) for cell in part)
            scored = sum(cost.scoring(workspace, cell) for cell in part if cell.member is None)
            yield part[0].label + (f" and {len(part) - 1} more" if len(part) > 1 else ""), work + scored
    for cell in missing:
        if cell.average > 1:
            yield f"{cell.label}, the mean of {cell.average}", cost.scoring(workspace, cell)


def _scorings(workspace: Workspace, finished: dict[tuple[str, int], StoredCell]) -> Iterator[tuple[str, float]]:
    for cell in workspace.cells:
        if (stored := finished.get(cell.key)) is None:
            continue
        if lacking := [code for code in workspace.data.test_data if code not in stored.record.test_data]:
            yield (
                f"{cell.label} in {len(lacking)} more languages",
                cost.one_pass(workspace.encoded(cell).languages(lacking).features, cell),
            )


def _speed(workspace: Workspace) -> float:
    """Tokens of a forward pass a second, over texts of the training set."""
    method, backbone = find("linear-probe"), workspace.backbone
    run = new_run(method, backbone, check(method.settings, {}, where=method.name), seed=0, classes=2)
    stack = Stack(backbone, method, [run])
    train = workspace.encoded(workspace.cells[0]).train_dev(workspace.cells[0].seed).train
    texts = train.taken(np.arange(min(TEXTS, len(train.of_example))))
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


def _kept(workspace: Workspace, cell: Cell) -> int:
    """Bytes of a cell in the run directory."""
    backbone, method = workspace.meta_copy, cell.method
    own = backbone if method.frozen else backbone.copy(workspace.seen(cell))
    run: Run = new_run(
        method, own, cell.settings, seed=0, classes=len(workspace.data.labels), verbalizer=workspace.verbalizer
    )
    tensors = weights(cell, run).values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) + A_ROW * sum(
        map(len, workspace.data.tests)
    )


def _hours(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
