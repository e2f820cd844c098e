"""Jobs as jobs of a Slurm cluster, by submitit: an array with time, memory and a partition, that a node carries out.

Nodes share a disk with this process: data, backbone and the user's cache lie where the spec and the environment say,
and what jobs hand back lies in the cache (`SlurmFolder`), from where this process puts it into the run directory. Jobs
do not end with this process: the same command again attaches to those that it would have submitted.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from importlib.util import find_spec
from io import StringIO
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from isogloss.errors import IsoglossError, install
from isogloss.executors.remote_display import RemoteDisplay
from isogloss.executors.slurm_folder import SlurmFolder
from isogloss.executors.slurm_jobs import SlurmJobs
from isogloss.executors.slurm_states import configured
from isogloss.executors.slurm_task import SlurmTask
from isogloss.experiment.job import JobQueue, Outcome
from isogloss.experiment.workspace import Workspace
from isogloss.runtime.checked import Checked
from isogloss.runtime.interrupts import stop_requests

CHUNK = 1000  # jobs of an array, unless Slurm's own MaxArraySize is smaller
# Slurm believes the environment before a batch script: where the script says it, the environment must not.
OVERRIDING = {
    "partition": ("PARTITION",), "account": ("ACCOUNT",), "qos": ("QOS",), "constraint": ("CONSTRAINT",),
    "memory": ("MEM_PER_NODE", "MEM_PER_CPU", "MEM_PER_GPU"),
    "gpus": ("GPUS", "GPUS_PER_NODE", "GPUS_PER_TASK", "GRES"),
}  # fmt: skip
ALWAYS = (
    "ARRAY_INX", "EXPORT", "JOB_NAME", "NO_REQUEUE", "OPEN_MODE", "OUTPUT", "ERROR", "REQUEUE", "SIGNAL", "TIMELIMIT",
    "WAIT",
)  # fmt: skip
SIGNAL = 120  # seconds before a job's time is over, at which it is told to stop
# A job may run into its time as often as it likes, as long as it gets further: `SlurmTask` sees to that.
TIMEOUTS, LARGEST = 100_000, 10_000.0  # and GB that the jobs of an array take as files
# What stands in a batch script: words of Slurm's, and nothing that a shell knows.
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@+-]*$", max_length=100)]
Words = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@+,-]*$", max_length=200)]
Features = Annotated[str, Field(pattern=r"^[A-Za-z0-9_(\[][A-Za-z0-9_.,&|*()\[\]-]*$", max_length=200)]


class SlurmSettings(Checked):
    """What a job takes of the cluster."""

    MOST_OF: ClassVar[dict[str, int]] = {
        "minutes": 60 * 24 * 366, "cpus": 10_000, "gpus": 1000, "memory": 1_000_000, "at_once": 1_000_000,
        "in_queue": 1_000_000, "retries": 1000,
    }  # fmt: skip

    cluster: Literal["slurm", "local"] = Field(
        "slurm", description="local: processes of this machine in the place of Slurm's jobs, to try it"
    )
    minutes: PositiveInt = Field(
        240, description="time of a job; one that takes longer goes on from its checkpoint, as a job anew"
    )
    cpus: PositiveInt = Field(1, description="cores of a job, which are its threads too")
    gpus: NonNegativeInt = Field(0, description="GPUs of a job")
    memory: PositiveFloat | None = Field(None, description="GB of a job; left out: what the cluster gives")
    partition: Words | None = Field(None, description="one or several with commas; left out: the cluster's own")
    account: Word | None = Field(None, description="that is charged; left out: the user's own")
    qos: Word | None = Field(None, description="quality of service; left out: the user's own")
    constraint: Features | None = Field(None, description="features that a node must have, as in a100|h100")
    at_once: PositiveInt | None = Field(
        None, description="jobs that run at once; left out: as many as the cluster lets, on `local` as it has cores for"
    )
    in_queue: PositiveInt | None = Field(
        None, description="jobs that are submitted at once, where a user may not have more; left out: all of them"
    )
    retries: NonNegativeInt = Field(3, description="times that a job begins again after its node was lost")


class Slurm:
    """See `isogloss.experiment.job.Executor` and `Detachable`.

    Args:
        settings: what a job takes.
    """

    name: ClassVar[str] = "slurm"
    Settings: ClassVar[type[Checked]] = SlurmSettings
    parallel: ClassVar[bool] = True
    detach: bool = False

    def __init__(self, settings: SlurmSettings) -> None:
        if find_spec("submitit") is None:
            raise IsoglossError(f"executor: submitit is not installed; {install('slurm')}")
        if settings.cluster == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
            raise IsoglossError(
                "executor: there is no sbatch here; run this where jobs are submitted from, or say "
                "`executor: {name: slurm, cluster: local}` to try it on this machine"
            )
        self.settings = settings

    def carry_out(self, jobs: JobQueue, workspace: Workspace) -> Generator[Outcome, None, None]:
        """All jobs at once: the cluster has a queue of its own.

        Raises:
            IsoglossError: the cluster does not take them, or somebody else has submitted the same.
            Detached: they go on without this process.
        """
        if jobs.folder is None:
            raise ValueError("jobs that outlive this process belong to a run directory")
        folder = SlurmFolder(jobs.folder)
        folder.open()
        with RemoteDisplay(jobs.cost) as display, stop_requests() as stopping:
            yield from SlurmJobs(self, folder, jobs.folder, iter(jobs), display).carry_out(stopping)

    @property
    def signal(self) -> int:
        """Seconds before its end at which a job is told to stop."""
        return min(SIGNAL, self.settings.minutes * 15)

    @property
    def most(self) -> int | None:
        """How many jobs may be submitted at once; None: any number."""
        if self.settings.cluster == "slurm":
            return self.settings.in_queue
        return self.settings.at_once or max(1, (os.cpu_count() or 1) // self.settings.cpus)

    def submit(self, folder: SlurmFolder, title: str, tasks: Sequence[SlurmTask]) -> Iterator[str]:
        """Submit jobs, in arrays where there are several.

        Args:
            folder: where they lie.
            title: of the experiment, for the cluster's list of jobs.
            tasks: what is carried out.

        Yields:
            Their numbers, in order.

        Raises:
            IsoglossError: the cluster does not take them, in its own words.
        """
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        size = self._array_size
        for begin in range(0, len(tasks), size):
            chunk = tasks[begin : begin + size]
            try:
                with self._environment():
                    submitted = _submitted(self._executor(folder, title), chunk)
            except (FailedJobError, FailedSubmissionError, RuntimeError) as error:
                why = " ".join(str(error).split()) or "it does not say why"
                raise IsoglossError(
                    f"executor: the cluster does not take the jobs ({why}); see `sbatch`'s options partition, account, "
                    "qos, time and memory, and `in_queue` where a user may not have so many"
                ) from error
            for job in submitted:
                yield str(job.job_id)

    @property
    def _array_size(self) -> int:
        """How many jobs an array may have."""
        most = configured().get("MaxArraySize", "") if self.settings.cluster == "slurm" else ""
        return min(CHUNK, max(1, int(most))) if most.isascii() and most.isdigit() else CHUNK

    @contextmanager
    def _environment(self) -> Iterator[None]:
        """While the block runs, what the environment would have Slurm do in the place of this executor's words is gone.

        Jobs that are processes of this machine hear neither Ctrl-C nor that a terminal is closed: they outlive both.
        """
        from submitit.helpers import clean_env

        if self.settings.cluster == "local":
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
            try:
                yield
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return
        said = [name for key, names in OVERRIDING.items() if getattr(self.settings, key) for name in names]
        dropped = {name: os.environ.pop(name, None) for name in (f"SBATCH_{one}" for one in (*ALWAYS, *said))}
        try:
            # This process may be one of Slurm's jobs itself.
            with clean_env() if "SLURM_JOB_ID" in os.environ else nullcontext():
                yield
        finally:
            os.environ.update({name: value for name, value in dropped.items() if value is not None})

    def _executor(self, folder: SlurmFolder, title: str) -> Any:
        """Submitit's."""
        from submitit import AutoExecutor

        settings = self.settings
        limits = {"max_num_timeout": TIMEOUTS, "max_pickle_size_gb": LARGEST}
        executor = AutoExecutor(
            folder.path, cluster=settings.cluster, **{f"{settings.cluster}_{key}": limits[key] for key in limits}
        )
        if settings.cluster == "slurm":
            own = {
                "partition": settings.partition, "account": settings.account, "qos": settings.qos,
                "constraint": settings.constraint, "array_parallelism": settings.at_once or CHUNK,
                "signal_delay_s": self.signal, "additional_parameters": {"requeue": True},
                # Since Slurm 22.05 a step does not have its job's cores unless it says so.
                "srun_args": [f"--cpus-per-task={settings.cpus}"],
            }  # fmt: skip
            executor.update_parameters(**{f"slurm_{key}": value for key, value in own.items() if value is not None})
        executor.update_parameters(
            name=f"isogloss-{title}", timeout_min=settings.minutes, cpus_per_task=settings.cpus,
            gpus_per_node=settings.gpus or None, mem_gb=settings.memory, tasks_per_node=1, nodes=1,
            stderr_to_stdout=True,
        )  # fmt: skip
        return executor


def _submitted(executor: Any, tasks: Sequence[SlurmTask]) -> list[Any]:
    """Jobs of submitit, which prints what `sbatch` says: it is in the error too."""
    with redirect_stderr(StringIO()):
        if len(tasks) == 1:
            return [executor.submit(tasks[0])]
        with executor.batch():
            return [executor.submit(task) for task in tasks]  # which have their numbers when the block ends


EXECUTOR = Slurm
