"""A job: one stack of cells to be trained, or one stored cell to be scored in more languages; and who carries it out.

A job is plain data that can be sent: `isogloss.experiment.run_job` needs nothing else.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor

from isogloss.experiment.cells import Cell, stacks
from isogloss.experiment.cost import MonitorPlan
from isogloss.experiment.workspace import Workspace
from isogloss.runtime.checked import Checked
from isogloss.spec import Spec
from isogloss.store import FinishedCell, RunRecord


@dataclass(frozen=True)
class Job:
    """What one worker carries out, and all that it needs for it.

    Args:
        spec: of the experiment, resolved.
        cells: alike enough to train in one stack; or one that is the mean of several trainings.
        facts: what has to decide each cell's result where the job is carried out, in the order of the cells.
        cost: in tokens of a forward pass.
        monitor: how much is looked at in training; None: nothing.
        checkpoints: a file for each cell where a long training may keep how far it is; none: nowhere.
        trained: the record and weights of the one cell, where it is stored and only lacks languages.
        languages: those that it lacks; of cells to be trained, those that are scored, all if there are none.
        until: the share of each training's updates, above 0 and at most 1, at which it pauses: its checkpoint is
            written, and it is handed back as a `PausedCell`; nothing of a test split is encoded. A later job goes on
            from the checkpoint, in whatever company. None: each training goes to its end and is scored.
    """

    spec: Spec
    cells: tuple[Cell, ...]
    facts: tuple[dict[str, Any], ...]
    cost: float
    monitor: MonitorPlan | None = None
    checkpoints: tuple[Path, ...] = ()
    trained: tuple[RunRecord, Mapping[str, Tensor]] | None = None
    languages: tuple[str, ...] = ()
    until: float | None = None

    @property
    def title(self) -> str:
        """The job in words."""
        labels = dict.fromkeys(cell.whole[0] for cell in self.cells)
        seeds = dict.fromkeys(cell.whole[1] for cell in self.cells)
        few = 2  # labels that a line has room for
        name = ", ".join(labels) if len(labels) <= few else f"{next(iter(labels))} and {len(labels) - 1} more"
        title = f"{name} · seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
        if (first := self.cells[0]).member is None:
            return title
        return f"{title}, {first.member_title if len(self.cells) == 1 else f'{len(self.cells)} members'}"

    @property
    def members(self) -> tuple[Job, ...]:
        """Of a job of one cell that is the mean of several trainings, a job for these, to the end of each.

        Whoever likes carries them out before, anywhere; what is not done by then, this job does itself.
        """
        (cell, *others), facts = self.cells, self.facts[0]
        if others or cell.average == 1:
            return ()
        jobs = []
        for stack in stacks(cell.trainings, ""):
            own = tuple({**facts, "settings": one.settings.facts(), "seed": one.seed} for one in stack)
            files = tuple(member_checkpoint(file, one) for file in self.checkpoints for one in stack)
            jobs.append(Job(self.spec, tuple(stack), own, 0.0, self.monitor, files, until=1.0))
        return tuple(jobs)


def member_checkpoint(file: Path, member: Cell) -> Path:
    """Where one of the trainings of an averaged cell keeps how far it is: below the cell's own folder.

    Args:
        file: the checkpoint of the cell.
        member: the training.
    """
    assert member.member is not None
    return file.parent / f"member-{member.member[0]}" / file.name


@dataclass(frozen=True)
class PausedCell:
    """A cell whose training pauses, and how good it is so far; its checkpoint is written.

    Args:
        cell: which.
        step: updates done.
        score: the first metric on the source's development data: of the weights as they are, or once the training has
            ended of those that it keeps. To look at it has no part in the training.
        answers: what is said of each development example, in the order of `EncodedData.train_dev`.
        history: of the training so far, in rows without method and seed.
        tokens: of text, learnt from so far.
    """

    cell: Cell
    step: int
    score: float
    answers: list[str]
    history: list[dict[str, Any]]
    tokens: int


@dataclass(frozen=True)
class FailedJob:
    """A job that could not be carried out.

    Args:
        job: which.
        error: why: an `IsoglossError` where a user can mend it, else a fault.
        log: what was said where it failed, if that was elsewhere.
    """

    job: Job
    error: Exception
    log: str = ""


Outcome = FinishedCell | PausedCell | FailedJob


class JobQueue:
    """Jobs of one experiment, none of which depends on another. To ask for the next is to begin it.

    Several processes may work on one run directory: a job that is handed out is this process's own, and holds no cell
    that another one has in training. So an executor asks for as many as it has workers for, and not for all at once.

    Args:
        jobs: each made when it is asked for.
        cost: of all, as far as it is known before; in tokens of a forward pass.
    """

    def __init__(self, jobs: Iterator[Job], cost: float) -> None:
        self._jobs = jobs
        self.cost = cost

    def __iter__(self) -> Iterator[Job]:
        return self._jobs


@runtime_checkable
class Executor(Protocol):
    """Carries out jobs, here or elsewhere. One file in `executors/`, with a class like this in `EXECUTOR`.

    Args:
        settings: what the spec says of it.

    Raises:
        IsoglossError: what it needs is not here.
    """

    name: ClassVar[str]
    Settings: ClassVar[type[Checked]]
    parallel: ClassVar[bool]  # whether jobs are carried out beside one another: then the longest begin

    def __init__(self, settings: Any) -> None: ...

    def carry_out(self, jobs: JobQueue, workspace: Workspace) -> Generator[Outcome, None, None]:
        """Every cell as soon as it is finished or pauses, in any order, and every job that failed.

        It is closed where the run ends before the jobs do: what must be given back stands in a `with` or `finally`.

        Args:
            jobs: what is to be carried out.
            workspace: the experiment's data and backbone in this process, for jobs that are carried out in it.
        """
        ...


class JobObserver:
    """Is told how far a job is, and may ask it to stop. This one does neither."""

    def phase(self, text: str) -> None:
        """What begins now."""

    def advance(self, tokens: int, cost: float) -> None:
        """What was done: tokens of text, and its share of the job's cost."""

    def stopping(self) -> bool:
        """Whether the job is to stop as soon as nothing is half done."""
        return False
