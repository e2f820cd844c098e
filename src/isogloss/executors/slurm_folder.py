"""Where jobs lie that were submitted: in the user's cache, never in a run directory, for there are pickles among them.

A run directory may have been sent by somebody; what it holds is never unpickled. This folder is only read if it is the
user's own and nobody else can enter it. Each job has a ticket, a JSON file, and beside it a folder of its checkpoints.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from isogloss.errors import IsoglossError
from isogloss.experiment.submitted import JobId, Name
from isogloss.runtime.cache import cache_folder
from isogloss.runtime.files import atomic_file
from isogloss.runtime.json import load_mapping

PRIVATE = 0o700
# Slurm reads `%j` in a path as the job's number, and the path stands in a batch script.
_PLAIN = re.compile(r"[\w/.~+@=,:-][\w/.~+@=,: -]*")
PROGRESS = "progress.json"  # of a job, in its folder
Slot = tuple[str, int, tuple[str, ...]]  # label and seed of a cell, and the languages that are added to it


class TicketCell(BaseModel):
    """A cell of a job.

    Args:
        label: of its method.
        seed: of the cell.
        languages: that are added to it; none: it is trained.
        facts: the fingerprint of all that decides what comes of it.
    """

    model_config = ConfigDict(frozen=True)

    label: str
    seed: int
    languages: tuple[str, ...] = ()
    facts: str

    @property
    def slot(self) -> Slot:
        """What no two jobs are at."""
        return self.label, self.seed, self.languages


class Ticket(BaseModel):
    """A job that was submitted, or is about to be.

    Args:
        name: of its files.
        cluster: whom it was submitted to.
        job: its number there; None: it is about to be submitted.
        title: the job in words.
        cells: of the job.
        cost: of the job, see `Job`.
        place: where its number means something: a cluster's name, or of a process its machine; empty: not known.
        tries: how often it was submitted.
        submitted: when, in seconds since 1970.
        failed: why it failed, once that was told.
    """

    model_config = ConfigDict(frozen=True)

    name: Name
    cluster: Literal["slurm", "local"]
    job: JobId | None = None
    title: str
    cells: list[TicketCell]
    cost: float = 0.0
    place: str = ""
    tries: int = 1
    submitted: float = 0.0
    failed: str | None = None


class SlurmFolder:
    """The folder of a run directory's jobs.

    Args:
        out: the run directory.
    """

    def __init__(self, out: Path) -> None:
        name = hashlib.sha256(os.path.realpath(out).encode("utf-8", "surrogateescape")).hexdigest()[:24]
        self.path = Path(os.path.realpath(cache_folder())) / "slurm" / name

    def open(self) -> None:
        """Make it, if it is not there.

        Raises:
            IsoglossError: its path cannot stand in a batch script, or somebody else can write to it.
        """
        if _PLAIN.fullmatch(str(self.path)) is None:
            raise IsoglossError(
                f"{self.path} cannot stand in a batch script; let ISOGLOSS_CACHE name a folder of letters, digits and "
                "signs such as / . - _"
            )
        self.path.parent.parent.mkdir(parents=True, exist_ok=True)
        for folder in (self.path.parent, self.path):
            with suppress(FileExistsError):
                folder.mkdir(PRIVATE)
        if not self.trusted:
            raise IsoglossError(
                f"{self.path} is not a folder of yours alone, and holds what is unpickled; expected it to be yours, "
                "with the mode 0700"
            )

    @property
    def trusted(self) -> bool:
        """Whether it is there, and the user's own."""
        try:
            about, above = self.path.lstat(), self.path.parent.lstat()
        except OSError:
            return False
        own = about.st_uid == os.getuid() and not stat.S_IMODE(about.st_mode) & 0o077
        return stat.S_ISDIR(about.st_mode) and own and above.st_uid == os.getuid() and not above.st_mode & 0o022

    def refresh(self) -> None:
        """Have a network file system look anew at what is in it: to change something of it, if to what it was, does."""
        with suppress(OSError):
            self.path.chmod(PRIVATE)

    def tickets(self) -> list[Ticket]:
        """All jobs, the oldest first; none where it is not the user's own."""
        found = []
        for file in self.path.glob("*.json") if self.trusted else ():
            with suppress(ValidationError):
                found.append(Ticket.model_validate(load_mapping(file)))
        return sorted(found, key=lambda ticket: (ticket.submitted, ticket.name))

    def ticket(self, name: str) -> Ticket | None:
        """One of them, as it is now."""
        try:
            return Ticket.model_validate(load_mapping(self._file(name)))
        except ValidationError:
            return None

    def file(self, ticket: Ticket) -> Path:
        """Where a ticket lies."""
        return self._file(ticket.name)

    def write(self, ticket: Ticket) -> Ticket:
        """Keep a ticket."""
        with atomic_file(self._file(ticket.name)) as file:
            file.write_text(ticket.model_dump_json(), encoding="utf-8")
        return ticket

    def checkpoint(self, ticket: str, number: int, name: str) -> Path:
        """Where a cell of a job keeps how far it is.

        Args:
            ticket: of the job.
            number: of the cell in it.
            name: of the file.
        """
        return self.path / ticket / str(number) / name

    def result(self, ticket: Ticket) -> Path:
        """What the job hands back, as submitit calls it; it is there once the job is over and was not cut off."""
        return self.path / f"{ticket.job}_0_result.pkl"

    def submission(self, ticket: Ticket) -> Path:
        """What was submitted, as submitit calls it, or is to go on."""
        return self.path / f"{ticket.job}_submitted.pkl"

    def log(self, ticket: Ticket) -> Path:
        """What the job and its batch system have said."""
        return self.path / f"{ticket.job}_0_log.out"

    def progress(self, ticket: Ticket) -> tuple[str, float]:
        """What a job is at, and the cost of what it has done since it last began."""
        said = load_mapping(self.path / ticket.name / PROGRESS)
        phase, cost = said.get("phase"), said.get("cost")
        return str(phase or ticket.title), float(cost) if isinstance(cost, int | float) else 0.0

    def drop_pickles(self, ticket: Ticket) -> None:
        """Whatever was submitted and handed back; the log stays."""
        for file in (self.result(ticket), self.submission(ticket)):
            file.unlink(missing_ok=True)

    def drop_checkpoints(self, ticket: Ticket) -> None:
        """How far its trainings are."""
        shutil.rmtree(self.path / ticket.name, ignore_errors=True)

    def forget(self, ticket: Ticket) -> None:
        """A job that is gathered, or given up."""
        self.drop_pickles(ticket)
        self.drop_checkpoints(ticket)
        self._file(ticket.name).unlink(missing_ok=True)
        self.log(ticket).unlink(missing_ok=True)
        if next(self.path.glob("*.json"), None) is None:  # batch scripts are of many jobs, and jobs were lost
            for pattern in ("*_submission.sh", ".submission_file_*.sh", "*_log.out", "*.pkl"):
                for file in self.path.glob(pattern):
                    file.unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self.path / f"{name}.json"


def waited_for(folder: SlurmFolder, name: str, job: str, seconds: float) -> bool:
    """In a job: whether the process that submitted it has said so; it may just be about to, or was killed before.

    Args:
        folder: of the jobs.
        name: of its ticket.
        job: its number.
        seconds: to wait for that.
    """
    for _ in _every(0.5, seconds):
        ticket = folder.ticket(name)
        if ticket is None or ticket.job == job:
            return ticket is not None
    return False


def _every(pause: float, seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while True:
        yield
        if time.monotonic() > end:
            return
        time.sleep(pause)
