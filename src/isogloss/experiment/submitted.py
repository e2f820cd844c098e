"""What a run directory says of jobs that were submitted to a cluster and are not gathered yet.

It is for everybody else to know: another process does not train the same cells, and `isogloss status` shows them.
Whoever has submitted them keeps what is to be believed elsewhere: a run directory may have been sent by somebody.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isogloss.errors import IsoglossError
from isogloss.runtime.files import atomic_file
from isogloss.runtime.json import load_mapping

if TYPE_CHECKING:  # with torch, which a look at a directory needs not
    from isogloss.experiment.job import Executor

FOLDER = ".submitted"  # of a run directory
Name = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
JobId = Annotated[str, Field(pattern=r"^[0-9]{1,20}(_[0-9]{1,10})?$")]


class SubmittedJob(BaseModel):
    """A job that was submitted.

    Args:
        name: of its files.
        executor: that submitted it.
        job: its number on the cluster.
        user: who has submitted it.
        host: from where.
        title: the job in words.
        cells: label and seed of each.
    """

    model_config = ConfigDict(frozen=True)

    name: Name
    executor: str = Field(max_length=100)
    job: JobId
    user: str = Field(max_length=100)
    host: str = Field(max_length=300)
    title: str = Field(max_length=2000)
    cells: list[tuple[str, int]] = Field(max_length=100_000)


@dataclass(frozen=True)
class ClusterJob:
    """A job of a cluster, as far as this process may know of it.

    Args:
        job: its number there.
        title: the job in words.
        cells: label and seed of each.
        state: `running`, `queued` with a reason, `over` where nobody has gathered it yet, and what is missing behind,
            `failed` with the reason; or who knows.
        log: what it has said, a file; None: it is not known where.
        checkpoints: by cell, the folder where it keeps how far it is.
        share: of its work that is done; None: it does not say.
    """

    job: str
    title: str
    cells: Sequence[tuple[str, int]]
    state: str
    log: Path | None = None
    checkpoints: Mapping[tuple[str, int], Path] = field(default_factory=dict)
    share: float | None = None


def submitted(out: Path) -> list[SubmittedJob]:
    """All that a run directory has of them; what is no such record is left out."""
    jobs = []
    for file in sorted((out / FOLDER).glob("*.json")):
        with suppress(ValidationError):
            job = SubmittedJob.model_validate(load_mapping(file))
            if file.name == f"{job.name}.json":
                jobs.append(job)
    return jobs


def note(out: Path, job: SubmittedJob) -> None:
    """Say that a job was submitted."""
    with atomic_file(out / FOLDER / f"{job.name}.json") as file:
        file.write_text(job.model_dump_json(), encoding="utf-8")


def forget(out: Path, name: str) -> None:
    """It is gathered, or given up."""
    (out / FOLDER / f"{name}.json").unlink(missing_ok=True)
    with suppress(OSError):  # there are others
        (out / FOLDER).rmdir()


def refuse_submitted(out: Path, keys: Iterable[tuple[str, int]], executor: Executor) -> None:
    """Refuse to train what a cluster has in its queue.

    Args:
        out: the run directory.
        keys: label and seed of each cell.
        executor: that would train them; one that detaches attaches to its own jobs, and sees to the others itself.

    Raises:
        IsoglossError: another executor has submitted one of them.
    """
    if not (out / FOLDER).is_dir() or hasattr(executor, "detach"):
        return
    wanted = set(keys)
    for job in submitted(out):
        if wanted & set(job.cells):
            raise strange(out, job)


def strange(out: Path, job: SubmittedJob) -> IsoglossError:
    """What is said of a job that this process cannot gather."""
    return IsoglossError(
        f"{json.dumps(job.title, ensure_ascii=False)} is submitted to {job.executor} as job {job.job} by {job.user} on "
        f"{job.host}; gather it there by the same command with --executor {job.executor}, with ISOGLOSS_CACHE and this "
        f"directory as they were then, or end it there and delete {out / FOLDER / job.name}.json"
    )
