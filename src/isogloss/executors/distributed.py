"""One training over several processes: each job is carried out by all of them in step, by torch.distributed.

A launcher starts as many processes as there are GPUs: `torchrun --nproc-per-node 4 -m isogloss run SPEC`. The first one
leads: it alone reads and writes the run directory, prints, and hands each job to the others, which follow until it says
that the run is over. In an update each process learns from its share of the examples, and gradients are summed before
they are clipped, so that several processes do what one would.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from typing import Any, ClassVar

import torch
from pydantic import Field

from isogloss.errors import IsoglossError
from isogloss.executors.serial import OF_ALL
from isogloss.experiment.job import FailedJob, Job, JobObserver, JobQueue, Outcome
from isogloss.experiment.provenance import difference
from isogloss.experiment.run_job import run_job
from isogloss.experiment.workspace import Workspace
from isogloss.runtime import console
from isogloss.runtime.checked import Checked
from isogloss.runtime.console import ProgressDisplay, watching
from isogloss.runtime.interrupts import stop_requests
from isogloss.runtime.launch import host, launch
from isogloss.runtime.lost_process import LostError, lost_by
from isogloss.runtime.meeting import meeting_place, part_of
from isogloss.runtime.process_group import Processes, computing, joined
from isogloss.runtime.process_messages import DONE, JOB, STOPPED, Messages

_runs = count()  # of this process: what is said in one is not heard in the next
_meeting: list[Any] = []  # where the processes meet, once they have


class DistributedSettings(Checked):
    """How processes share a training."""

    shard: bool = Field(
        False,
        description="spread the backbone's weights, their gradients and the optimiser's states over the processes "
        "(FSDP2), for a backbone that a GPU has no room for: slower, and the host holds a copy for each process",
    )


class Distributed:
    """See `isogloss.experiment.job.Executor`.

    Args:
        settings: how they share a training.

    Raises:
        IsoglossError: this process is not one of several.
    """

    name: ClassVar[str] = "distributed"
    Settings: ClassVar[type[Checked]] = DistributedSettings
    parallel: ClassVar[bool] = False

    def __init__(self, settings: DistributedSettings | None = None) -> None:
        self.settings = settings or DistributedSettings()
        place = launch()
        if place is None:
            raise IsoglossError(
                "executor: distributed is for processes that a launcher starts; start them by `torchrun "
                "--nproc-per-node 4 -m isogloss run SPEC`, or leave the executor out"
            )
        if not torch.distributed.is_available():
            raise IsoglossError("executor: this torch has been built without torch.distributed; start one process")
        self.launch = place
        self._group: Messages | None = None

    @contextmanager
    def led(self, device: str) -> Iterator[bool]:
        """Come together with the other processes; in the block the first one runs the experiment.

        The others have followed when the block begins for them: there is nothing left to do.

        Args:
            device: of the spec.

        Yields:
            Whether this process is the first.

        Raises:
            IsoglossError: a process has not come, or has failed.
            KeyboardInterrupt: the first process was asked to stop.
        """
        if self.launch.rank != 0:
            console.out.quiet = console.err.quiet = True
        try:
            if not _meeting:
                _meeting.append(meeting_place(self.launch))
            number, shards = next(_runs), self.settings.shard
            calls, words = (part_of(_meeting[0], f"isogloss/{number}/{part}") for part in ("calls", "words"))
            with ExitStack() as stack:
                processes = stack.enter_context(joined(self.launch, calls, device, shards=shards))
                group = self._group = Messages(processes, words)
                if processes.leads:
                    stack.push(group.end)
                    yield True
                else:
                    _Following(group).follow()
                    yield False
        except LostError as error:
            raise IsoglossError(
                f"the {self.launch.count} processes have not come together ({error}); expected as many as torchrun was "
                "told, on machines that reach MASTER_ADDR"
            ) from error
        finally:
            if self._group is not None:  # nothing binds the others any more: they hear why, wherever they were
                self._group.leave()
            self._group = None

    def carry_out(self, jobs: JobQueue, workspace: Workspace) -> Generator[Outcome, None, None]:
        """Each job to its end before the next begins, by all processes in step.

        Raises:
            IsoglossError: another process is gone, or failed where this one did not.
            OSError: nothing can be written.
        """
        group = self._group
        if group is None:
            raise RuntimeError("the processes have not come together; see `led`")
        with (
            computing(group.processes), watching(jobs.cost) as display, stop_requests(again=False) as stopping
        ):  # fmt: skip
            observer = _Observer(group.processes, stopping, display)
            for job in jobs:
                try:
                    sent = _sent(job)
                except IsoglossError as error:  # its weights are damaged
                    yield FailedJob(job, error)
                    continue
                try:
                    group.say(JOB)
                    group.number += 1
                    group.processes.told((sent, workspace.data.test_data))
                    _agree(group.processes, None)
                    yield from run_job(job, workspace, observer)
                except Exception as error:
                    if (gone := lost_by(error)) is not None:
                        raise group.lost(gone) from error
                    if isinstance(error, OSError) and error.errno in OF_ALL:
                        raise
                    if not group.failed(error):
                        raise group.alone(error) from error
                    yield FailedJob(job, error)


class _Following:
    """A process that does what the first one says.

    Args:
        group: with whom.
    """

    def __init__(self, group: Messages) -> None:
        self.group, self.opened = group, dict[str, Workspace]()

    def follow(self) -> None:
        """Carry out one job after the other, until there are no more."""
        group = self.group
        with computing(group.processes), stop_requests(again=False) as stopping:
            while True:
                try:
                    word = group.heard(stopping)
                    if word == JOB:
                        group.number += 1
                        self._carry_out(_Observer(group.processes, stopping, None))
                        continue
                except LostError as error:
                    if (last := group.last_word()) is None:
                        raise group.lost(error) from error
                    word = last
                except KeyboardInterrupt:  # on which all have agreed
                    word = group.heard(stopping)
                group.leave()
                if word == STOPPED:
                    raise KeyboardInterrupt
                if word != DONE:
                    raise IsoglossError("the first of the processes has ended; what it said last tells why")
                return

    def _carry_out(self, observer: JobObserver) -> None:
        group = self.group
        try:
            job, test_data = group.processes.told(None)
            workspace = self._ready(job, test_data)
            for _ in run_job(job, workspace, observer):
                pass
        except Exception as error:
            if (gone := lost_by(error)) is not None:
                raise gone from error
            if not group.failed(error):
                if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # the first may wait for its GPU for good
                    sys.stderr.write(f"isogloss: process {group.processes.rank}: {' '.join(str(error).split())}\n")
                raise

    def _ready(self, job: Job, test_data: Any) -> Workspace:
        """The experiment as it is on this machine, once all have found it to be the same."""
        found, why = None, None
        try:
            key = job.spec.model_dump_json()
            if key not in self.opened:
                self.opened.clear()  # memory for the next one
                self.opened[key] = Workspace.open(job.spec)
            found = self.opened[key]
            why = _otherwise(job, found, test_data)
        except Exception as error:  # noqa: BLE001 - whatever it is, all have to hear of it
            why = " ".join(str(error).split()) or type(error).__name__
        _agree(self.group.processes, why)
        assert found is not None
        return found


class _Observer(JobObserver):
    """Shows the progress of a job on the first process, and lets all processes stop at the same update."""

    def __init__(
        self, processes: Processes, stop_requested: Callable[[], bool], display: ProgressDisplay | None
    ) -> None:
        self._processes, self._stop_requested, self._display = processes, stop_requested, display

    def phase(self, text: str) -> None:
        if self._display is not None:
            self._display.phase(text)

    def advance(self, tokens: int, cost: float) -> None:
        if self._display is not None:
            self._display.advance(tokens, cost)

    def stopping(self) -> bool:
        return self._processes.any(self._stop_requested())


def _sent(job: Job) -> Job:
    """A job as the others carry it out: nothing of it is read from the run directory, and no tracker is told."""
    trained = None if job.trained is None else (job.trained[0], dict(job.trained[1]))
    return replace(job, spec=job.spec.model_copy(update={"track": {}}), trained=trained)


def _agree(processes: Processes, why: str | None) -> None:
    """Go on together, where no process says why not.

    Raises:
        IsoglossError: one does.
    """
    for rank, (said, where) in enumerate(processes.gathered((why, host()))):
        if said is not None:
            raise IsoglossError(f"process {rank} of {processes.count}, on {where}: {said}")


def _otherwise(job: Job, workspace: Workspace, test_data: Any) -> str | None:
    """How the experiment is another one on this machine; None where it is not."""
    for cell, facts in zip(job.cells, job.facts, strict=True):
        if changes := difference(facts, cell.facts(workspace.facts)):
            return f"{job.title} would be made differently here: {'; '.join(changes)}"
    if changes := difference(dict(test_data), dict(workspace.data.test_data)):
        return f"other test data lie here: {'; '.join(changes)[:300]}"
    return None


EXECUTOR = Distributed
