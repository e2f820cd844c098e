"""Jobs as tasks of a Ray cluster: one that runs somewhere, or one that is started on this machine.

The experiment's data and backbone go into Ray's object store, once a node. Workers need no shared disk: finished cells
come back as bytes, as do checkpoints, and this process puts them into the run directory. What a lost worker or node was
at is begun again from its last checkpoint.
"""

from __future__ import annotations

import os
import time
import warnings
from collections import Counter, deque
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from isogloss.errors import IsoglossError
from isogloss.executors.gpu_shares import LEAST, GPUShares
from isogloss.executors.ray_worker import carried_out, memory, register
from isogloss.executors.remote_display import RemoteDisplay
from isogloss.experiment.job import FailedJob, Job, JobQueue, Outcome
from isogloss.experiment.memory import Room
from isogloss.experiment.remote_job import (
    Failure,
    Progress,
    RemoteError,
    RemoteJob,
    Said,
    Saved,
    error_of,
    key_of,
    left_of,
    write_files,
)
from isogloss.experiment.workspace import Workspace
from isogloss.runtime.checked import Checked
from isogloss.runtime.interrupts import stop_requests

SPARE = 2  # jobs that wait for a worker, so that none of them waits for a job; a cluster that grows sees them
LOOK_EVERY = 1.0  # seconds, at whether to stop
COUNT_EVERY = 10.0  # seconds, at what the cluster has


class RaySettings(Checked):
    """What a job takes of the cluster."""

    address: Literal["auto", "local"] | None = Field(
        None,
        description="auto: the cluster that RAY_ADDRESS names, or that this machine belongs to; local: one that is "
        "started on this machine and ends with this process; left out: auto if RAY_ADDRESS is set, else local",
    )
    cpus: PositiveFloat = Field(1, description="cores of a job, which are its threads too")
    gpus: NonNegativeFloat = Field(
        0, description="GPUs of a job at most: it gets the part of one that its memory takes, and shares it with others"
    )
    pack: bool = Field(True, description="false: each job gets all of `gpus`, however little it takes")
    retries: NonNegativeInt = Field(3, description="times that a job begins again after its worker or node was lost")
    storage: str | None = Field(
        None,
        min_length=1,
        description="where checkpoints of trainings that go on are kept, any path that fsspec knows (s3://bucket, "
        "a shared disk); left out: the run directory",
    )
    workers: PositiveInt | None = Field(
        None, description="jobs that are handed to the cluster at once; left out: as many as it has room for, and two"
    )
    resources: dict[Annotated[str, Field(pattern=r"^[\w:.-]+$")], PositiveFloat] = Field(
        {}, description="of Ray's own names, that a job takes: {accelerator_type:A100: 0.001}"
    )


@dataclass
class _Task:
    """A job on its way.

    Args:
        job: what of it was handed to the cluster.
        share: of a GPU that it gets.
        tries: how often it was.
        done: the keys of cells that it has handed back.
        said: lines that were said, for the log of one that fails.
    """

    job: Job
    share: float
    tries: int = 1
    done: set[tuple[str, int]] = field(default_factory=set)
    said: deque[str] = field(default_factory=lambda: deque(maxlen=1000))


class Ray:
    """See `isogloss.experiment.job.Executor`.

    Args:
        settings: what a job takes.

    Raises:
        IsoglossError: Ray is not installed.
    """

    name: ClassVar[str] = "ray"
    Settings: ClassVar[type[Checked]] = RaySettings
    parallel: ClassVar[bool] = True

    def __init__(self, settings: RaySettings) -> None:
        if find_spec("ray") is None:
            raise IsoglossError("executor: ray is not installed; pip install 'isogloss[ray]'")
        self.settings = settings
        self._sent: tuple[Workspace, Any] | None = None
        self._room: Room | None = None

    def room(self, workspace: Workspace) -> Room | None:
        """What a job has of a GPU of the cluster; None, as in this process, where it takes none.

        Raises:
            IsoglossError: there is no cluster, or none that could ever carry out a job.
        """
        if self.settings.gpus and self._room is None:
            _connect(self.settings)
            import ray

            ask = ray.remote(memory).options(**_options(self.settings), max_retries=self.settings.retries)
            kind, total = ray.get(ask.remote(workspace.spec.device))
            self._room = Room(torch.device(kind), int(total * min(1, self.settings.gpus)))
        return self._room

    def carry_out(self, jobs: JobQueue, workspace: Workspace) -> Generator[Outcome, None, None]:
        """As many jobs at once as the cluster has room for.

        Raises:
            IsoglossError: there is no cluster, or none that could ever carry out a job.
        """
        _connect(self.settings)
        with RemoteDisplay(jobs.cost) as display, stop_requests() as stopping:
            shares = GPUShares(workspace, self.room(workspace), self.settings.gpus, pack=self.settings.pack)
            cluster = _Cluster(self.settings, self._there(workspace), shares, display)
            yield from cluster.carry_out(iter(jobs), stopping)

    def _there(self, workspace: Workspace) -> Any:
        """The experiment in the object store; the same of all that is carried out with it."""
        import ray

        if self._sent is None or self._sent[0] is not workspace:
            for cell in workspace.cells:  # so that nobody else has to
                encoded = workspace.encoded(cell)
                encoded.train_dev(cell.seed)
            self._sent = workspace, ray.put(workspace)
        return self._sent[1]


class _Cluster:
    """The jobs that are on the cluster."""

    def __init__(self, settings: RaySettings, workspace: Any, shares: GPUShares, display: RemoteDisplay) -> None:
        self.settings, self.workspace, self.shares, self.display = settings, workspace, shares, display
        self.tasks: dict[Any, _Task] = {}  # by what Ray hands out for them
        self._there, self._counted = dict[str, float](), -COUNT_EVERY
        self._taken: Counter[str] = Counter()  # of the cluster, by what is on it

    def carry_out(self, jobs: Iterator[Job], stopping: Any) -> Iterator[Outcome]:
        import ray

        try:
            while True:
                while self.has_room() and (job := next(jobs, None)) is not None:
                    self._begin(_Task(job, self.shares.of(job)))
                if not self.tasks:
                    return
                ready, _ = ray.wait(list(self.tasks), num_returns=1, timeout=LOOK_EVERY)
                if stopping():
                    raise KeyboardInterrupt
                for one in ready:
                    yield from self._next(one)
        finally:
            for one in self.tasks:
                with suppress(Exception):  # whatever is left is over
                    ray.cancel(one, force=True)

    def has_room(self) -> bool:
        """Whether the cluster is to be given one more job: as many as there is room for, and a few that wait."""
        if self.settings.workers is not None:
            return len(self.tasks) < self.settings.workers
        if time.monotonic() - self._counted >= COUNT_EVERY:
            self._there, self._counted = _resources(), time.monotonic()
        taken = self._taken
        waiting = {name: SPARE * amount for name, amount in _wanted(self.settings).items()}
        return all(
            taken[name] - waiting[name] + amount <= self._there.get(name, 0)
            for name, amount in _least(self.settings).items()
        )

    def _begin(self, task: _Task) -> None:
        import ray

        remote = ray.remote(carried_out).options(
            **_options(self.settings, task.share), name=task.job.title, max_retries=0, num_returns="streaming"
        )
        job = RemoteJob.of(task.job, self.settings.storage)
        self.tasks[remote.remote([self.workspace], job, self.settings.cpus, task.share)] = task
        self._taken.update(self._of(task))

    def _of(self, task: _Task) -> dict[str, float]:
        return {**_wanted(self.settings), "GPU": task.share}

    def _next(self, one: Any) -> Iterator[Outcome]:
        """What a task has told; what it was lost with is begun again."""
        import ray
        from ray.exceptions import RayError

        task = self.tasks[one]
        try:
            event = ray.get(next(one))
        except StopIteration:
            self._end(one)
            return
        except RayError as error:
            self._end(one)
            yield from self._again(task, error)
            return
        match event:
            case Progress():
                self.display.progress(task.job, event)
            case Said(line):
                task.said.append(line)
                self.display.say(line)
            case Saved(files):
                write_files(task.job, files)
            case Failure():
                yield FailedJob(task.job, error_of(event, task.job), "\n".join([*task.said, event.trace]))
            case _:
                task.done.add(key_of(event))
                yield event

    def _end(self, one: Any) -> None:
        task = self.tasks.pop(one)
        self._taken.subtract(self._of(task))
        self.display.end(task.job)

    def _again(self, task: _Task, error: Exception) -> Iterator[Outcome]:
        why = str(error).split("\n", 1)[0]
        if (left := left_of(task.job, task.done)) is None:
            return
        if task.tries > self.settings.retries:
            lost = RemoteError(f"{left.title}: its worker was lost {task.tries} times, at last so: {why}")
            yield FailedJob(left, lost, "\n".join([*task.said, str(error)]))
            return
        self.display.say(f"{left.title}: its worker was lost ({why}); it begins again where its checkpoint left it")
        self._begin(_Task(left, task.share, task.tries + 1, said=task.said))


def _wanted(settings: RaySettings) -> dict[str, float]:
    """What a job takes, by Ray's names."""
    gpus = {"GPU": settings.gpus} if settings.gpus else {}
    return {"CPU": settings.cpus, **gpus, **settings.resources}


def _options(settings: RaySettings, gpus: float | None = None) -> dict[str, Any]:
    """What Ray is told that a task takes."""
    return {
        "num_cpus": settings.cpus, "num_gpus": settings.gpus if gpus is None else gpus,
        "resources": dict(settings.resources), "scheduling_strategy": "SPREAD",
    }  # fmt: skip


def _resources() -> dict[str, float]:
    """All that the cluster has."""
    import ray

    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return there


def _least(settings: RaySettings) -> dict[str, float]:
    """What the smallest job takes."""
    wanted = _wanted(settings)
    return wanted if "GPU" not in wanted or not settings.pack else {**wanted, "GPU": min(LEAST, settings.gpus)}


def _connect(settings: RaySettings) -> None:
    """Join the cluster, or start one.

    Raises:
        IsoglossError: it is not there, or it could never carry out a job.
    """
    import ray

    if not ray.is_initialized():
        address = settings.address or ("auto" if os.environ.get("RAY_ADDRESS") else "local")
        options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
        if address == "local":
            options |= {"include_dashboard": False}
        try:
            with warnings.catch_warnings(action="ignore"):
                ray.init(address=address, **options)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            why = str(error).split("\n", 1)[0]
            raise IsoglossError(
                f"executor: there is no Ray cluster to join ({why}); start one by `ray start --head`, let RAY_ADDRESS "
                "name one, or set address: local"
            ) from error
    register()
    there, wanted = _resources(), _wanted(settings)
    if settings.workers is None and (lacking := [name for name in wanted if there.get(name, 0) < wanted[name]]):
        known = ", ".join(
            f"{name} {amount:g}" for name, amount in sorted(there.items()) if not name.startswith("node:")
        )
        raise IsoglossError(
            f"executor: the cluster has not {lacking[0]} {wanted[lacking[0]]:g}, which a job is to take, but {known}. "
            "Of a cluster that grows say with `workers` how many jobs it is to be given"
        )


EXECUTOR = Ray
