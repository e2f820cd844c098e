"""What a job may take of memory, and how it is made to fit: smaller passes first, then narrower stacks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from isogloss.backbones.device import device_of
from isogloss.errors import IsoglossError
from isogloss.experiment.cells import Cell
from isogloss.experiment.workspace import Workspace
from isogloss.preprocessing.batching import budgets
from isogloss.preprocessing.features import Features
from isogloss.runtime.console import err
from isogloss.runtime.device_memory import SHARE, free_memory, in_words
from isogloss.runtime.process_group import current
from isogloss.training.memory_estimate import Bytes, MemoryEstimate

PLENTY = 4  # where so many times what a job can take is free, nothing is reckoned exactly
A_NUMBER = 256  # bytes that a layer keeps for each of a token's numbers, at the very most
A_WEIGHT = 32  # bytes for each weight that learns: its copy, master, gradient and states, and what is selected
PASSES = 4  # a stack may make a pass so many times smaller before it is better made narrower
TRIES = 6
TOLD_BY = 16  # cells of a stack that say what all take
SPARE = 0.9  # of what is left, that a smaller pass aims at


@dataclass(frozen=True)
class Room:
    """Where jobs are carried out, if that is elsewhere.

    Args:
        device: its kind.
        limit: bytes of its memory that a job may take, the backbone included.
    """

    device: torch.device
    limit: int


@dataclass(frozen=True)
class MemoryPlan:
    """How a job goes through the device.

    Args:
        budget: most tokens of one training pass.
        eval_budget: most tokens of one pass of evaluation.
        peak: bytes that it is expected to take at most, beside the backbone; None: not reckoned, as there is plenty.
    """

    budget: int
    eval_budget: int
    peak: int | None = None


def allowed(workspace: Workspace) -> int | None:
    """Bytes that a job may take beside the backbone; None: as many as it likes.

    Where the same bits are promised, what happens to be free decides nothing; what the spec allows does.
    """
    spec = workspace.spec
    if spec.memory is not None:
        return int(spec.memory * 1e9)
    if spec.deterministic:
        return None
    device = workspace.backbone.device
    free, sharing = free_memory(device), 1 if device.type == "cuda" else current().local
    return None if free is None else int(SHARE * free / sharing)


def plan(workspace: Workspace, cells: Sequence[Cell], title: str, *, tests: bool = True) -> MemoryPlan:
    """How a job's cells fit, trained together. All processes that carry it out make the same passes.

    These are as large as pays, and smaller only where they would not fit.

    Args:
        workspace: of the experiment.
        cells: of the job.
        title: of the job.
        tests: whether the test splits are scored too, or nothing of them is read.

    Raises:
        IsoglossError: they do not, even row by row.
    """
    if current().shards:  # what a part of the weights takes is not reckoned
        return MemoryPlan(*budgets(device_of(workspace.spec.device)))
    # Of each process by what is free there, and what it reckons itself: the first one's would not fit all.
    own = _plan(workspace, cells, title, current().least(allowed(workspace)), tests=tests)
    budget, eval_budget = (current().least(part) or part for part in (own.budget, own.eval_budget))
    return MemoryPlan(budget, eval_budget, own.peak)


def _plan(workspace: Workspace, cells: Sequence[Cell], title: str, limit: int | None, *, tests: bool) -> MemoryPlan:
    """How a job's cells fit into so many bytes; None: they do."""
    budget, eval_budget = budgets(workspace.backbone.device)
    if not cells[0].settings.epochs or limit is None or PLENTY * _bound(workspace, cells, tests=tests) <= limit:
        return MemoryPlan(budget, eval_budget)
    job = _Job(workspace, cells, workspace.backbone.device, tests=tests)
    if (taken := job.bytes(budget, eval_budget)) is None:
        return MemoryPlan(budget, eval_budget)
    if taken.peak <= limit:
        return MemoryPlan(budget, eval_budget, taken.peak)
    least = job.bytes(job.longest, job.longest)
    if least is None or least.peak > limit:
        raise _refusal(workspace, title, least or taken, limit)
    budget, eval_budget = min(budget, job.an_update), min(eval_budget, job.all_read)
    for _ in range(TRIES):
        left = limit - taken.weights - taken.kept
        budget = max(job.longest, _smaller(budget, taken.training, left))
        eval_budget = max(job.longest, _smaller(eval_budget, taken.evaluation, left))
        taken = job.bytes(budget, eval_budget) or least
        if taken.peak <= limit:
            return MemoryPlan(budget, eval_budget, taken.peak)
    return MemoryPlan(job.longest, job.longest, least.peak)


def reckoned(workspace: Workspace, cells: Sequence[Cell], device: torch.device, *, tests: bool = True) -> int | None:
    """Bytes that a job takes at most, the backbone included, with passes as large as pays; None: nobody knows.

    Args:
        workspace: of the experiment.
        cells: of the job.
        device: the kind of that where it is carried out.
        tests: whether the test splits are scored too, or nothing of them is read.
    """
    taken = _Job(workspace, cells, device, tests=tests).bytes(*budgets(device))
    return None if taken is None else taken.peak + _backbone(workspace)


def narrower(
    workspace: Workspace, cells: Sequence[Cell], *, tests: bool = True, room: Room | None = None
) -> tuple[list[list[Cell]], str]:
    """The stacks that cells train in which could all train together, and a line if they are several.

    Args:
        workspace: of the experiment.
        cells: alike enough for one stack.
        tests: whether the test splits are scored too, or nothing of them is read.
        room: where they are carried out; None: in this process.
    """
    whole, count = list(cells), len(cells)
    device = workspace.backbone.device if room is None else room.device
    limit = allowed(workspace)
    if room is not None and workspace.spec.memory is None:
        limit = max(0, int(SHARE * (room.limit - _backbone(workspace))))
    if count == 1 or limit is None or PLENTY * _bound(workspace, cells, tests=tests, device=device) <= limit:
        return [whole], ""
    budget, eval_budget = (part // PASSES for part in budgets(device))
    # The largest tell, and few of them: what many take grows with their number.
    largest = sorted(whole, key=lambda cell: -cell.method.positions(cell.settings))[:TOLD_BY]
    few = _Job(workspace, largest, device, tests=tests).bytes(budget, eval_budget)
    if few is None or (len(largest) == count and few.peak <= limit):
        return [whole], ""
    alone = _Job(workspace, largest[:1], device, tests=tests).bytes(budget, eval_budget)
    if alone is None or alone.peak >= few.peak:
        return [whole], ""
    a_run = (few.peak - alone.peak) / (len(largest) - 1)
    together = int(alone.peak + (count - 1) * a_run)
    if together <= limit:
        return [whole], ""
    width = max(1, 1 + math.floor((limit - alone.peak) / a_run))
    width = math.ceil(count / math.ceil(count / width))
    stacks = [whole[begin : begin + width] for begin in range(0, count, width)]
    return stacks, (
        f"{whole[0].name}: {len(stacks)} stacks of at most {width}: {count} runs together would take "
        f"{in_words(together)}, {_there(workspace, limit, room)}"
    )


class _Job:
    """Cells that train together, and all that they read."""

    def __init__(self, workspace: Workspace, cells: Sequence[Cell], device: torch.device, *, tests: bool) -> None:
        self.workspace, self.cells = workspace, cells
        # Where there is no GPU none can be stood in for: what a CPU's kernels keep tells about as much, and the worker
        # makes its passes smaller if it was too little.
        self.device = device if device.type != "cuda" or torch.cuda.is_available() else torch.device("cpu")
        encoded = workspace.encoded(cells[0])
        self.train = [workspace.fitted(cell, encoded.train_dev(cell.seed).train) for cell in cells]
        self.read = _read(workspace, cells[0], tests=tests)
        positions = max(cell.method.positions(cell.settings) for cell in cells)
        self.longest = positions + max(int(one.lengths.max()) for one in [*self.train, *self.read] if len(one))
        self.an_update = sum(  # tokens, at most
            cell.settings.batch_size * (positions + int(one.lengths.max(initial=0)))
            for cell, one in zip(cells, self.train, strict=True)
        )
        self.all_read = max(int(one.lengths.sum()) + positions * len(one) for one in [*self.train, *self.read])
        self._estimate: MemoryEstimate | None = None

    def bytes(self, budget: int, eval_budget: int) -> Bytes | None:
        """What they take; None where a training cannot be estimated."""
        try:
            with torch.random.fork_rng(devices=[]):
                if self._estimate is None:
                    self._estimate = self._estimated()
                return self._estimate.bytes(self.train, self.read, budget=budget, eval_budget=eval_budget)
        except Exception as error:  # noqa: BLE001 - what knows no tensors without memory must not stop what would run
            self._say_not_reckoned(error)
            return None

    def _say_not_reckoned(self, error: Exception) -> None:
        line = f"{self.cells[0].name}: {not_reckoned(error)}"
        if line not in self.workspace.said:
            err.print(line, soft_wrap=True, markup=False)
            self.workspace.said.add(line)

    def _estimated(self) -> MemoryEstimate:
        workspace, first = self.workspace, self.cells[0]
        return MemoryEstimate(
            workspace.meta_copy, self.device, first.method, [cell.settings for cell in self.cells],
            classes=len(workspace.data.labels), verbalizer=workspace.verbalizer, seen=workspace.seen(first),
        )  # fmt: skip


def not_reckoned(error: Exception) -> str:
    """Why it is not known what a training takes."""
    why = " ".join(str(error).split()) or type(error).__name__
    return f"what it takes of memory is not reckoned, as it cannot be estimated ({why:.200})"


def _backbone(workspace: Workspace) -> int:
    """Bytes of the backbone that all jobs of a process share."""
    return sum(weight.numel() * weight.element_size() for weight in workspace.backbone.weights().values())


def _read(workspace: Workspace, cell: Cell, *, tests: bool) -> list[Features]:
    """All that is scored of a cell."""
    encoded = workspace.encoded(cell)
    parts = [encoded.train_dev(cell.seed).dev, *([encoded.test.features] if tests else [])]
    return [workspace.fitted(cell, part) for part in parts]


def _bound(workspace: Workspace, cells: Sequence[Cell], *, tests: bool, device: torch.device | None = None) -> int:
    """More than any job of these cells takes."""
    backbone, first = workspace.backbone, cells[0]
    shape = backbone.shape
    budget, eval_budget = budgets(device or backbone.device)
    an_update = 0
    for cell in cells:
        positions = cell.method.positions(cell.settings)
        train = workspace.encoded(cell).train_dev(cell.seed).train
        longest = int(train.lengths.max(initial=0)) if len(train) else 0
        an_update += cell.settings.batch_size * (min(longest, workspace.room(cell)) + positions)
    tokens = max(min(budget, an_update) * shape.layers, eval_budget)  # where nothing learns, one layer's at a time
    weights = sum(weight.numel() for weight in backbone.weights().values()) if not first.method.frozen else 0
    prompts = sum(cell.method.positions(cell.settings) for cell in cells) * shape.width * shape.layers * 2
    classes = len(workspace.data.labels)
    scores = (
        sum(len(one.labels) for one in _read(workspace, first, tests=tests)) * (shape.width + classes * len(cells)) * 4
    )
    return A_NUMBER * tokens * shape.width + A_WEIGHT * (weights + prompts) + scores


def _smaller(budget: int, taken: int, left: int) -> int:
    """The budget of passes that fit."""
    return budget if taken <= left else min(budget - 1, int(budget * SPARE * left / taken))


def _there(workspace: Workspace, limit: int, room: Room | None = None) -> str:
    if workspace.spec.memory is not None:
        return f"`memory` allows {in_words(limit)}"
    if room is not None:
        return f"a worker has {in_words(room.limit)}, of which {in_words(limit)} may be taken beside the backbone"
    return f"{in_words(round(limit / SHARE))} are free, of which {SHARE:.0%} may be taken"


def _refusal(workspace: Workspace, title: str, taken: Bytes, limit: int) -> IsoglossError:
    """What would help, most of all where most is taken."""
    spec, ways = workspace.spec, []
    if max(taken.training, taken.evaluation) >= taken.weights:
        if not spec.gradient_checkpointing:
            ways.append("`gradient_checkpointing: true`")
        ways.append("shorter texts (`data.longest`)")
    else:
        ways.append("a method that trains less, such as lora")
    if workspace.backbone.dtype == torch.float32:
        ways.append("`dtype: bfloat16`")
    ways.append("a smaller backbone")
    return IsoglossError(
        f"{title} would take {in_words(taken.peak)} of memory beside the backbone even row by row, and "
        f"{_there(workspace, limit)}; expected {', '.join(ways[:-1])} or {ways[-1]}"
    )
