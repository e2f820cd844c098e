"""A job that is carried out in another process, without the run directory, and what it tells meanwhile."""

from __future__ import annotations

import io
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, cast

from isogloss.errors import IsoglossError
from isogloss.experiment.checkpoint_storage import CheckpointStorage
from isogloss.experiment.job import Job, JobObserver, PausedCell
from isogloss.experiment.run_job import run_job
from isogloss.experiment.workspace import Workspace
from isogloss.run_directory.cell import FinishedCell
from isogloss.runtime.console import err
from isogloss.runtime.files import atomic_file
from isogloss.runtime.reasons import reason
from isogloss.training.checkpoint import behind

TELL_EVERY = 1.0  # seconds
Files = Mapping[tuple[int, str], bytes]  # by number of the cell and path below the folder of its checkpoint


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Args:
        phase: what it is at, in words.
        tokens: of text, that were learnt from or scored since it was last told.
        cost: what was done since, in units of `Job.cost`.
    """

    phase: str
    tokens: int
    cost: float


@dataclass(frozen=True)
class Said:
    """A line that would have been printed."""

    line: str


@dataclass(frozen=True)
class Saved:
    """Checkpoints that have changed."""

    files: Files


@dataclass(frozen=True)
class Failure:
    """Why a job failed.

    Args:
        why: in a line.
        mendable: whether it is the user's to mend.
        trace: where it failed.
    """

    why: str
    mendable: bool
    trace: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """What is told of an error, where it is handled."""
        mendable = reason(error)
        why = " ".join((mendable or str(error)).split()) or type(error).__name__
        return cls(why, mendable is not None, traceback.format_exc())


Event = Progress | Said | Saved | Failure | FinishedCell | PausedCell


class RemoteError(Exception):
    """A fault in another process."""


@dataclass(frozen=True)
class RemoteJob:
    """A job with all that it needs from the run directory.

    Args:
        job: its checkpoints lie where it comes from.
        files: the checkpoints that there are.
        storage: where those of trainings that go on are kept meanwhile, see `CheckpointStorage`; None: they are sent
            back.
    """

    job: Job
    files: Files
    storage: str | None = None

    @classmethod
    def of(cls, job: Job, storage: str | None = None) -> RemoteJob:
        """The job as it is sent."""
        return cls(job, {key: file.read_bytes() for key, file in checkpoint_files(job).items()}, storage)

    def events(self, workspace: Workspace | None = None) -> Iterator[Event]:
        """Carry it out, and tell of it: before a cell its last checkpoint, so that nothing is known that is not kept.

        It ends by a `Failure`, or as the job does.

        Args:
            workspace: of its experiment, where it is open in this process.
        """
        with TemporaryDirectory(prefix="isogloss-") as folder:
            job = replace(self.job, checkpoints=tuple(
                Path(folder, str(number), file.name) for number, file in enumerate(self.job.checkpoints)
            ))  # fmt: skip
            try:
                storage = None if self.storage is None else CheckpointStorage(self.storage, job.facts)
                write_files(job, self.files)
                if storage is not None:
                    write_files(job, further(job, storage.read()))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told where the job comes from
                yield Failure.of(error)
                return
            yield from Telling(job, workspace, storage).events()


def checkpoint_files(job: Job) -> dict[tuple[int, str], Path]:
    """The checkpoints that there are of a job's cells, and of the trainings that these are the mean of."""
    return {
        (number, str(path.relative_to(file.parent))): path
        for number, file in enumerate(job.checkpoints)
        for path in sorted(file.parent.rglob(file.name))
        if path.is_file()
    }


def write_files(job: Job, files: Files) -> None:
    """Put checkpoints where a job has them."""
    for (number, name), content in files.items():
        path = job.checkpoints[number].parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            temporary.write_bytes(content)


def further(job: Job, files: Files) -> Files:
    """Those of the checkpoints that are not behind the ones that a job has."""
    found = {}
    with TemporaryDirectory(prefix="isogloss-") as folder:
        for (number, name), content in files.items():
            (file := Path(folder, "checkpoint")).write_bytes(content)
            if not behind(file, job.checkpoints[number].parent / name):
                found[number, name] = content
    return found


class Telling(JobObserver):
    """Carries a job out in a thread of its own, and hands on what it tells.

    Args:
        job: its checkpoints lie in a folder of this process.
        workspace: see `RemoteJob.events`.
        storage: of checkpoints, if they are kept elsewhere.
    """

    def __init__(self, job: Job, workspace: Workspace | None, storage: CheckpointStorage | None = None) -> None:
        self.job, self.workspace, self.storage = job, workspace, storage
        self.told: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.given_up = False
        self.hurried = False  # whether checkpoints are wanted now
        self.patience: float | None = None  # seconds to wait for the job at its end; None: any
        self._phase, self._tokens, self._cost, self._last = "", 0, 0.0, time.monotonic()
        self._seen = self._times(checkpoint_files(job))
        self._unkept = False  # whether it was said that checkpoints are not kept
        self._thread: threading.Thread | None = None

    def events(self) -> Iterator[Event]:
        """What is told, until the job ends."""
        self._thread = thread = threading.Thread(target=self._carry_out, name=self.job.title, daemon=True)
        try:
            with err.redirected(cast("IO[str]", _Lines(lambda line: self.told.put(Said(line))))):
                thread.start()
                while (event := self.told.get()) is not None:
                    yield event
        finally:
            self.given_up = True
            thread.join(self.patience)

    def stop(self, patience: float) -> Iterator[Event]:
        """Have the job stop where nothing is half done; from a signal's handler, while `events` waits.

        Args:
            patience: seconds; whoever takes longer is not waited for.

        Yields:
            What was told and is not yet taken.
        """
        self.given_up, self.patience = True, patience
        if (thread := self._thread) is not None:
            thread.join(patience)
            self.patience = 0.0
        while not self.told.empty():
            if (event := self.told.get()) is not None:
                yield event

    def phase(self, text: str) -> None:
        """See `JobObserver`."""
        self._phase = text
        self._tell()

    def advance(self, tokens: int, cost: float) -> None:
        """See `JobObserver`."""
        self._tokens += tokens
        self._cost += cost
        if time.monotonic() - self._last >= TELL_EVERY:
            self._tell()

    def stopping(self) -> bool:
        """See `JobObserver`."""
        return self.given_up

    def saving(self) -> bool:
        """See `JobObserver`."""
        hurried, self.hurried = self.hurried, False
        return hurried

    def _tell(self) -> None:
        self._save()
        self.told.put(Progress(self._phase, self._tokens, self._cost))
        self._tokens, self._cost, self._last = 0, 0.0, time.monotonic()

    def _save(self) -> None:
        """Keep what is not as it was, by the times at which files were written."""
        there, seen = checkpoint_files(self.job), self._seen
        self._seen = self._times(there)
        files = {key: path.read_bytes() for key, path in there.items() if seen.get(key) != self._seen[key]}
        if not files:
            return
        if self.storage is None:
            self.told.put(Saved(files))
            return
        try:
            self.storage.write(files)
        except IsoglossError as error:  # hours of training are worth more than what they could go on from
            if not self._unkept:
                self.told.put(Said(f"{self.job.title}: its checkpoints are not kept: {error}"))
            self._unkept = True

    @staticmethod
    def _times(there: Mapping[tuple[int, str], Path]) -> dict[tuple[int, str], int]:
        return {key: path.stat().st_mtime_ns for key, path in there.items()}

    def _carry_out(self) -> None:
        try:
            keys = [cell.key for cell in self.job.cells]
            for outcome in run_job(self.job, self.workspace, self):
                self._tell()
                number = keys.index(key_of(outcome))
                if self.storage is not None and isinstance(outcome, PausedCell):  # somebody goes on with it, anywhere
                    files = {key: path.read_bytes() for key, path in checkpoint_files(self.job).items()}
                    self.told.put(Saved({key: content for key, content in files.items() if key[0] == number}))
                if isinstance(outcome, FinishedCell):
                    outcome = outcome.encoded()  # noqa: PLW2901 - where there are many to do it, not where one gathers
                self.told.put(outcome)  # in storage they stay until it is put in its place
        except KeyboardInterrupt:
            self._save()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told where the job comes from
            self.told.put(Failure.of(error))
        finally:
            self.told.put(None)


class _Lines(io.TextIOBase):
    """A file that hands on whole lines."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self.say, self.rest = say, ""

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            self.say(line)
        return len(text)


def left_of(job: Job, done: set[tuple[str, int]]) -> Job | None:
    """What is to be done of a job that broke off; None: nothing.

    Args:
        job: whose checkpoints say how far it was.
        done: the keys of its cells that are handed back.
    """
    left = [number for number, cell in enumerate(job.cells) if cell.key not in done]
    if not left:
        return None
    share = len(left) / len(job.cells)
    return replace(
        job, cells=tuple(job.cells[number] for number in left), facts=tuple(job.facts[number] for number in left),
        checkpoints=tuple(job.checkpoints[number] for number in left) if job.checkpoints else (),
        cost=job.cost * share,
    )  # fmt: skip


def key_of(outcome: FinishedCell | PausedCell) -> tuple[str, int]:
    """Of which cell it is."""
    return outcome.cell.key if isinstance(outcome, PausedCell) else (outcome.record.method, outcome.record.seed)


def error_of(failure: Failure, job: Job) -> Exception:
    """A failure as it would have been raised here, with the job's name in front."""
    why = failure.why if failure.why.startswith(job.title) else f"{job.title}: {failure.why}"
    return IsoglossError(why) if failure.mendable else RemoteError(why)
