"""Jobs as tasks of a Ray cluster: one that runs somewhere, or one that is started on this machine.

The experiment's data and backbone go into Ray's object store, once a node. Workers need no shared disk: finished cells
come back as bytes, as do checkpoints, and this process puts them into the run directory. What a lost worker or node was
at is begun again from its last checkpoint.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any, ClassVar

import torch

from isogloss import __version__
from isogloss.errors import IsoglossError, install
from isogloss.executors.gpu_shares import GPUShares
from isogloss.executors.ray_cluster import answer, cause_of, connect, is_loss, not_begun, one_line, resources
from isogloss.executors.ray_settings import RaySettings
from isogloss.executors.ray_worker import carried_out, try_out
from isogloss.executors.remote_display import RemoteDisplay
from isogloss.experiment.checkpoint_storage import CheckpointStorage
from isogloss.experiment.job import FailedJob, Job, JobQueue, Outcome
from isogloss.experiment.memory import Room
from isogloss.experiment.remote_job import (
    Failure,
    Progress,
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
from isogloss.runtime.reasons import LACKS_MEMORY

SPARE = 2  # jobs that wait for a worker, so that none of them waits for a job; a cluster that grows sees them
LOOK_EVERY = 1.0  # seconds, at whether to stop
COUNT_EVERY = 10.0  # seconds, at what the cluster has
SILENCE = 60.0  # seconds without a word of any job, after which something is said
CLEARING = 4  # cells whose checkpoints are removed from storage at once


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
            raise IsoglossError(f"executor: ray is not installed; {install('ray')}")
        self.settings = settings
        self._sent: tuple[Workspace, Any] | None = None
        self._room: Room | None = None
        self._tried = False

    def room(self, workspace: Workspace) -> Room | None:
        """What a job has of a GPU of the cluster; None, as in this process, where it takes none.

        Raises:
            IsoglossError: there is no cluster, or none that could ever carry out a job.
        """
        if self.settings.gpus:
            self._try_out(workspace)
        return self._room

    def _try_out(self, workspace: Workspace) -> None:
        """Once, whether there is a cluster, its workers reach the storage, and what they have of a GPU."""
        settings = self.settings
        if self._tried:  # what is lost later may come back
            return
        connect(settings)
        if settings.gpus or settings.storage:
            import ray

            # Where the smallest job could run: it may be that others are at work on all that there is.
            options = settings.options(settings.least.get("GPU"))
            ask = ray.remote(try_out).options(**options, max_retries=settings.retries)
            device = workspace.spec.device if settings.gpus else None
            if (found := answer(ask.remote(__version__, settings.storage, device))) is not None:
                kind, total = found
                self._room = Room(torch.device(kind), int(total * min(1, settings.gpus)))
        self._tried = True

    def carry_out(self, jobs: JobQueue, workspace: Workspace) -> Generator[Outcome, None, None]:
        """As many jobs at once as the cluster has room for.

        Raises:
            IsoglossError: there is no cluster, or none that could ever carry out a job.
        """
        self._try_out(workspace)
        there = self._there(workspace)  # a request to stop is obeyed at once meanwhile
        with RemoteDisplay(jobs.cost) as display, stop_requests() as stopping:
            shares = GPUShares(workspace, self.room(workspace), self.settings.gpus, pack=self.settings.pack)
            cluster = _Cluster(self.settings, there, shares, display)
            yield from cluster.carry_out(iter(jobs), stopping)

    def _there(self, workspace: Workspace) -> Any:
        """The experiment in the object store; the same of all that is carried out with it.

        Raises:
            IsoglossError: it has no room there.
        """
        import ray
        from ray.exceptions import RayError

        if self._sent is None or self._sent[0] is not workspace:
            for cell in workspace.cells:  # so that nobody else has to
                encoded = workspace.encoded(cell)
                encoded.train_dev(cell.seed)
            try:
                self._sent = workspace, ray.put(workspace)
            except RayError as error:
                raise IsoglossError(
                    f"executor: texts and backbone do not get into Ray's object store ({one_line(error)}); expected "
                    "more memory for it (`ray start --object-store-memory`), or room in Ray's temporary folder"
                ) from error
        return self._sent[1]


class _Cluster:
    """The jobs that are on the cluster."""

    def __init__(self, settings: RaySettings, workspace: Any, shares: GPUShares, display: RemoteDisplay) -> None:
        self.settings, self.workspace, self.shares, self.display = settings, workspace, shares, display
        self.tasks: dict[Any, _Task] = {}  # by what Ray hands out for them
        self._there, self._counted = dict[str, float](), -COUNT_EVERY
        self._taken: Counter[str] = Counter()  # of the cluster, by what is on it
        import ray

        self._remote = ray.remote(carried_out)  # sent to the cluster once, not with each job
        self._heard = time.monotonic()
        self._clearing = ThreadPoolExecutor(CLEARING)

    def carry_out(self, jobs: Iterator[Job], stopping: Any) -> Iterator[Outcome]:
        import ray

        try:
            while True:
                self._hand_out(jobs)
                if not self.tasks:
                    return
                every = list(self.tasks)
                ready, _ = ray.wait(every, num_returns=1, timeout=LOOK_EVERY)
                if ready and len(every) > 1:  # all that have something to tell: to look at a thousand takes its time
                    ready, _ = ray.wait(every, num_returns=len(every), timeout=0)
                self._break_silence(told=bool(ready))
                for one in ready:
                    if stopping():
                        break
                    yield from self._next(one)
                    self._hand_out(jobs)
                if stopping():
                    raise KeyboardInterrupt
        finally:
            over = not self.tasks
            for one in self.tasks:
                with suppress(Exception):  # whatever is left is over
                    ray.cancel(one, force=True)
            self._clearing.shutdown(wait=over, cancel_futures=not over)

    def _hand_out(self, jobs: Iterator[Job]) -> None:
        while self.has_room() and (job := next(jobs, None)) is not None:
            self._begin(_Task(job, self.shares.of(job)))

    def _break_silence(self, *, told: bool) -> None:
        """Where nobody says anything, jobs may wait for what the cluster has not, or has no more."""
        if told:
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard >= SILENCE:
            self._heard = float("inf")  # said once, until there is a word
            jobs = "the job that is" if len(self.tasks) == 1 else f"the {len(self.tasks)} jobs that are"
            self.display.say(
                f"nothing is heard of {jobs} with the cluster; `ray status` shows whether it has room for one",
                anew=True,
            )

    def has_room(self) -> bool:
        """Whether the cluster is to be given one more job: as many as there is room for, and a few that wait."""
        if self.settings.workers is not None:
            return len(self.tasks) < self.settings.workers
        if time.monotonic() - self._counted >= COUNT_EVERY:
            self._there, self._counted = resources(), time.monotonic()
        taken = self._taken
        waiting = {name: SPARE * amount for name, amount in self.settings.wanted.items()}
        return all(
            taken[name] - waiting[name] + amount <= self._there.get(name, 0)
            for name, amount in self.settings.least.items()
        )

    def _begin(self, task: _Task) -> None:
        remote = self._remote.options(
            **self.settings.options(task.share), name=task.job.title, max_retries=0, num_returns="streaming"
        )
        job = RemoteJob.of(task.job, self.settings.storage)
        self.tasks[remote.remote(__version__, [self.workspace], job, self.settings.cpus, task.share)] = task
        self._taken.update(self._of(task))

    def _of(self, task: _Task) -> dict[str, float]:
        return {**self.settings.wanted, "GPU": task.share}

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
            if is_loss(cause := cause_of(error)):
                yield from self._again(task, cause)
            else:  # it cannot read what it is sent, and nor will the next one
                yield FailedJob(task.job, not_begun(cause), "\n".join([*task.said, str(error)]))
            return
        match event:
            case Progress():
                self.display.progress(task.job, event)
            case Said(line):
                task.said.append(line)
                self.display.say(line)
            case Saved(files):
                write_files(task.job, files)
            case Failure(why):
                if why == LACKS_MEMORY and 0 < task.share < self.settings.gpus:
                    event = replace(event, why=f"{why}; or `executor.pack: false`, by which it gets a whole GPU")
                yield FailedJob(task.job, error_of(event, task.job), "\n".join([*task.said, event.trace]))
            case _:
                task.done.add(key_of(event))
                yield event  # it is in its place when this goes on
                if self.settings.storage is not None:
                    number = [cell.key for cell in task.job.cells].index(key_of(event))
                    self._clearing.submit(_clear, self.settings.storage, task.job.facts[number])

    def _end(self, one: Any) -> None:
        task = self.tasks.pop(one)
        self._taken.subtract(self._of(task))
        self.display.end(task.job)

    def _again(self, task: _Task, error: Exception) -> Iterator[Outcome]:
        why = str(error).split("\n", 1)[0]
        tries = self.settings.retries + 1
        if (left := left_of(task.job, task.done)) is None:
            return
        if task.tries >= tries:
            times = "once" if tries == 1 else f"{tries} times, at last so"
            lost = IsoglossError(
                f"{left.title}: its worker was lost {times} ({why}); run again to go on where its checkpoint left it, "
                "with more `executor.retries` where nodes come and go"
            )
            yield FailedJob(left, lost, "\n".join([*task.said, str(error)]))
            return
        self.display.say(
            f"{left.title}: its worker was lost ({why}); it begins again where its checkpoint left it, "
            f"try {task.tries + 1} of {tries}"
        )
        self._begin(_Task(left, task.share, task.tries + 1, said=task.said))


def _clear(storage: str, facts: dict[str, Any]) -> None:
    """Of a cell that is in its place nothing need be kept; where this process does not reach it, it stays."""
    with suppress(IsoglossError):
        CheckpointStorage(storage, [facts]).remove(0)


EXECUTOR = Ray
