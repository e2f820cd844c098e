"""Jobs as tasks of a Ray cluster: one that runs somewhere, or one that is started on this machine.

The experiment's data and backbone go into Ray's object store, once a node. Workers need no shared disk: finished cells
come back as bytes, as do checkpoints, and this process puts them into the run directory. What a lost worker or node was
at is begun again from its last checkpoint.
"""

from __future__ import annotations

import os
import time
import warnings
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from isogloss.errors import IsoglossError
from isogloss.executors.remote_display import RemoteDisplay
from isogloss.experiment.job import FailedJob, Job, JobQueue, Outcome
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
NOT_NUMPY = {torch.bfloat16: torch.int16}


class RaySettings(Checked):
    """What a job takes of the cluster."""

    address: Literal["auto", "local"] | None = Field(
        None,
        description="auto: the cluster that RAY_ADDRESS names, or that this machine belongs to; local: one that is "
        "started on this machine and ends with this process; left out: auto if RAY_ADDRESS is set, else local",
    )
    cpus: PositiveFloat = Field(1, description="cores of a job, which are its threads too")
    gpus: NonNegativeFloat = Field(0, description="GPUs of a job; a part of one is shared with others")
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
        tries: how often it was.
        done: the keys of cells that it has handed back.
        said: lines that were said, for the log of one that fails.
    """

    job: Job
    tries: int = 1
    done: set[tuple[str, int]] = field(default_factory=set)
    said: deque[str] = field(default_factory=lambda: deque(maxlen=1000))


class Ray:
    """See `isogloss.experiment.job.Executor`.

    Args:
        settings: what a job takes.
    """

    name: ClassVar[str] = "ray"
    Settings: ClassVar[type[Checked]] = RaySettings
    parallel: ClassVar[bool] = True

    def __init__(self, settings: RaySettings) -> None:
        if find_spec("ray") is None:
            raise IsoglossError("executor: ray is not installed; pip install 'isogloss[ray]'")
        self.settings = settings
        self._sent: tuple[Workspace, Any] | None = None

    def carry_out(self, jobs: JobQueue, workspace: Workspace) -> Generator[Outcome, None, None]:
        """As many jobs at once as the cluster has room for.

        Raises:
            IsoglossError: there is no cluster, or none that could ever carry out a job.
        """
        _connect(self.settings)
        with RemoteDisplay(jobs.cost) as display, stop_requests() as stopping:
            yield from _Cluster(self.settings, self._there(workspace), display).carry_out(iter(jobs), stopping)

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

    def __init__(self, settings: RaySettings, workspace: Any, display: RemoteDisplay) -> None:
        self.settings, self.workspace, self.display = settings, workspace, display
        self.tasks: dict[Any, _Task] = {}  # by what Ray hands out for them
        self._room, self._counted = 0, -COUNT_EVERY

    def carry_out(self, jobs: Iterator[Job], stopping: Any) -> Iterator[Outcome]:
        import ray

        try:
            while True:
                while len(self.tasks) < self.room() and (job := next(jobs, None)) is not None:
                    self._begin(_Task(job))
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

    def room(self) -> int:
        """How many jobs the cluster is given at once."""
        if self.settings.workers is not None:
            return self.settings.workers
        if time.monotonic() - self._counted >= COUNT_EVERY:
            there, wanted = _resources(), _wanted(self.settings)
            self._room = int(min(there.get(name, 0) / amount for name, amount in wanted.items()))
            self._counted = time.monotonic()
        return self._room + SPARE

    def _begin(self, task: _Task) -> None:
        import ray

        wanted = _wanted(self.settings)
        remote = ray.remote(_carried_out).options(
            name=task.job.title, num_cpus=wanted.pop("CPU"), num_gpus=wanted.pop("GPU", 0), resources=wanted,
            max_retries=0, num_returns="streaming", scheduling_strategy="SPREAD",
        )  # fmt: skip
        self.tasks[
            remote.remote([self.workspace], RemoteJob.of(task.job, self.settings.storage), self.settings.cpus)
        ] = task

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
        self.display.end(self.tasks.pop(one).job)

    def _again(self, task: _Task, error: Exception) -> Iterator[Outcome]:
        why = str(error).split("\n", 1)[0]
        if (left := left_of(task.job, task.done)) is None:
            return
        if task.tries > self.settings.retries:
            lost = RemoteError(f"{left.title}: its worker was lost {task.tries} times, at last so: {why}")
            yield FailedJob(left, lost, "\n".join([*task.said, str(error)]))
            return
        self.display.say(f"{left.title}: its worker was lost ({why}); it begins again where its checkpoint left it")
        self._begin(_Task(left, task.tries + 1, said=task.said))


def _wanted(settings: RaySettings) -> dict[str, float]:
    """What a job takes, by Ray's names."""
    gpus = {"GPU": settings.gpus} if settings.gpus else {}
    return {"CPU": settings.cpus, **gpus, **settings.resources}


def _resources() -> dict[str, float]:
    """All that the cluster has."""
    import ray

    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return there


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
    _register()
    there, wanted = _resources(), _wanted(settings)
    if settings.workers is None and (lacking := [name for name in wanted if there.get(name, 0) < wanted[name]]):
        known = ", ".join(
            f"{name} {amount:g}" for name, amount in sorted(there.items()) if not name.startswith("node:")
        )
        raise IsoglossError(
            f"executor: the cluster has not {lacking[0]} {wanted[lacking[0]]:g}, which a job is to take, but {known}. "
            "Of a cluster that grows say with `workers` how many jobs it is to be given"
        )


_open: dict[str, Workspace] = {}  # in a worker: the experiment that it was last at, by its reference


def _carried_out(workspace: list[Any], remote: RemoteJob, cpus: float) -> Iterator[Any]:
    """A job in a worker, which goes on to the next one of the same experiment with what it has."""
    import ray

    _register()
    torch.set_num_threads(max(1, int(cpus)))
    (reference,) = workspace
    if reference.hex() not in _open:
        _open.clear()
        _open[reference.hex()] = ray.get(reference).arrived()
    yield from remote.events(_open[reference.hex()])


def _register() -> None:
    """Tensors go as arrays: all processes of a node read the same memory."""
    import ray

    for kind in (torch.Tensor, torch.nn.Parameter):
        ray.util.register_serializer(kind, serializer=_array, deserializer=_tensor)


def _array(tensor: torch.Tensor) -> tuple[np.ndarray, torch.dtype, bool | None]:
    host = tensor.detach().cpu().contiguous()
    grad = tensor.requires_grad if isinstance(tensor, torch.nn.Parameter) else None
    return host.view(NOT_NUMPY.get(host.dtype, host.dtype)).numpy(), host.dtype, grad


def _tensor(sent: tuple[np.ndarray, torch.dtype, bool | None]) -> torch.Tensor:
    array, dtype, grad = sent
    with warnings.catch_warnings(action="ignore"):  # nobody writes to a backbone that is shared
        tensor = torch.from_numpy(array).view(dtype)
    return tensor if grad is None else torch.nn.Parameter(tensor, requires_grad=grad)


EXECUTOR = Ray
