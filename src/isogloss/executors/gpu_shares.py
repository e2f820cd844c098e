"""What part of a GPU a job gets, so that several small ones share it."""

from __future__ import annotations

import math
from typing import Any

from isogloss.experiment.job import Job
from isogloss.experiment.memory import Room, reckoned
from isogloss.experiment.workspace import Workspace

LEAST = 0.05  # of a GPU: each job is a process, and has its context and its own copy of the backbone there
STEP = 0.05
CONTEXT = 10**9  # bytes that a process takes of a GPU before it has put anything there
SPARE = 1.15  # times what is reckoned
# Settings by which no shape changes.
OF_NO_SIZE = {
    "lr", "head_lr", "backbone_lr", "epochs", "warmup", "decay", "weight_decay", "clip", "select", "alpha", "l2_sp",
}  # fmt: skip


class GPUShares:
    """Shares of one GPU.

    Args:
        workspace: of the experiment.
        room: what a job has at most; None: it takes no GPU.
        gpus: that a job takes at most; of several, it gets all.
        pack: whether jobs share a GPU at all.
    """

    def __init__(self, workspace: Workspace, room: Room | None, gpus: float, *, pack: bool = True) -> None:
        self.workspace, self.room, self.gpus, self.pack = workspace, room, gpus, pack
        self._known: dict[tuple[Any, ...], float] = {}

    def of(self, job: Job) -> float:
        """What a job gets: as much of a GPU as its memory takes, in steps; all where nobody can reckon it."""
        if self.room is None or not self.pack or self.gpus > 1:
            return self.gpus
        if (key := _alike(job)) not in self._known:
            self._known[key] = self._share(job, self.room)
        return self._known[key]

    def _share(self, job: Job, room: Room) -> float:
        taken = reckoned(self.workspace, job.cells, room.device, tests=job.until is None)
        if taken is None:
            return self.gpus
        part = (SPARE * taken + CONTEXT) / room.limit * self.gpus
        return min(self.gpus, max(LEAST, round(math.ceil(part / STEP - 1e-9) * STEP, 4)))


def _alike(job: Job) -> tuple[Any, ...]:
    """What jobs have in common that take as much."""
    cells = [
        (
            cell.method_name,
            *(f"{name}={value}" for name, value in cell.settings.facts().items() if name not in OF_NO_SIZE),
        )
        for cell in job.cells
    ]
    return (job.until is None, *sorted(map(str, cells)))
