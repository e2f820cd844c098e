"""What a job is on the node that carries it out: it can be stopped there, put back into the queue, and go on."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import torch

from isogloss.executors.slurm_folder import PROGRESS, SlurmFolder, waited_for
from isogloss.experiment.job import Job
from isogloss.experiment.remote_job import (
    Event,
    Failure,
    Progress,
    Said,
    Saved,
    Telling,
    checkpoint_files,
    key_of,
    left_of,
)
from isogloss.runtime.files import atomic_file

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

WAITED_FOR = 120.0  # seconds in which whoever has submitted a job has to say so
TELL_EVERY = 5.0  # seconds between two words on how far it is
IDLE = 10  # times in a row that a job may be stopped without having got any further
GIVEN_UP = "checkpoint function returned None"  # what submitit says then


class SlurmTask:
    """A job that submitit carries out; stopped by its signal, it is submitted again as it is then.

    Args:
        ticket: its name.
        job: its checkpoints lie in the folder of its ticket.
        folder: of the jobs, on a disk that the node shares.
        cpus: cores, which are its threads.
        patience: seconds in which it has to stop.
    """

    def __init__(self, ticket: str, job: Job, folder: SlurmFolder, *, cpus: int, patience: float) -> None:
        self.ticket, self.job, self.folder = ticket, job, folder
        self.cpus, self.patience = cpus, patience
        self.events: list[Event] = []  # cells as they are done, lines, and the failure if there is one
        self.idle = 0
        self._telling: Telling | None = None
        self._before: Any = None

    def __call__(self) -> list[Event]:
        """Carry it out.

        Returns:
            What it has to say, in order: lines, cells, and why it failed if it did.
        """
        from submitit.core.job_environment import JobEnvironment

        number = JobEnvironment().job_id
        with self._warned(ends=JobEnvironment().cluster == "local"):
            return self._carried_out(number)

    def _carried_out(self, number: str) -> list[Event]:
        for file in self.folder.path.glob(f"{number}_*.save_tmp"):  # a node was lost while submitit wrote it
            file.unlink(missing_ok=True)
        if not waited_for(self.folder, self.ticket, number, WAITED_FOR):
            return [Failure("nobody waits for it: whoever submitted it was killed, or has given it up", True, "")]
        left = self._left()
        if left is None:
            return self.events
        torch.set_num_threads(self.cpus)
        self._before = self._where()
        self._cost, self._told = 0.0, -TELL_EVERY
        self._telling = Telling(left, None)
        for event in self._telling.events():
            self._take(event)
        self._telling = None
        return self.events

    def checkpoint(self) -> DelayedSubmission | None:
        """Called within submitit's handler of a signal, while `__call__` waits for a word of the job.

        Returns:
            Itself, to be submitted again; None: it would never come to its end so.
        """
        from submitit.helpers import DelayedSubmission

        self._stop()
        self.idle = self.idle + 1 if self._where() == self._before else 0
        return DelayedSubmission(self) if self.idle < IDLE else None

    def _stop(self) -> None:
        if self._telling is not None:
            for event in self._telling.stop(self.patience):
                self._take(event)

    @contextmanager
    def _warned(self, *, ends: bool) -> Iterator[None]:
        """While the block runs, SIGTERM has checkpoints written.

        Slurm sends it to a job that has to make way, and ends it some seconds later. The signal by which submitit has a
        job stop and go back into the queue comes besides only where the cluster was told so.

        Args:
            ends: whether it ends the job too, as nobody else will.
        """
        before = signal.getsignal(signal.SIGTERM)

        def warned(number: int, frame: Any) -> None:
            if ends:
                self._stop()
                raise SystemExit(128 + number)
            if self._telling is not None:
                self._telling.hurried = True
            if callable(before):
                before(number, frame)

        signal.signal(signal.SIGTERM, warned)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_telling": None}

    def _left(self) -> Job | None:
        if any(isinstance(event, Failure) for event in self.events):
            return None
        done = {key_of(event) for event in self.events if not isinstance(event, Progress | Said | Saved | Failure)}
        return left_of(self.job, done)

    def _take(self, event: Event) -> None:
        match event:
            case Progress():
                self._cost += event.cost
                if time.monotonic() - self._told >= TELL_EVERY:
                    self._told = time.monotonic()
                    self._tell(event.phase)
            case Saved():  # it lies where it is to lie
                pass
            case _:
                if isinstance(event, Said | Failure):  # into the log
                    sys.stdout.write(f"{event.line if isinstance(event, Said) else event.trace}\n")
                    sys.stdout.flush()
                self.events.append(event)

    def _tell(self, phase: str) -> None:
        with suppress(OSError), atomic_file(self.folder.path / self.ticket / PROGRESS) as file:
            file.write_text(json.dumps({"phase": phase, "cost": self._cost}), encoding="utf-8")

    def _where(self) -> tuple[int, dict[Any, int]]:
        """How far it is, in what it has said and kept."""
        times = {key: path.stat().st_mtime_ns for key, path in checkpoint_files(self.job).items()}
        return len([event for event in self.events if not isinstance(event, Said)]), times
