"""Jobs one after the other, in this process."""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator
from typing import ClassVar

from isogloss.experiment.job import FailedJob, JobObserver, JobQueue, Outcome
from isogloss.experiment.run_job import run_job
from isogloss.experiment.workspace import Workspace
from isogloss.runtime.checked import Checked
from isogloss.runtime.console import ProgressDisplay, watching
from isogloss.runtime.interrupts import stop_requests

OF_ALL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}  # what fails of one job fails of all


class SerialSettings(Checked):
    """There are none."""


class Serial:
    """See `isogloss.experiment.job.Executor`. A first request to stop waits until nothing is half done.

    Args:
        settings: none.
    """

    name: ClassVar[str] = "serial"
    Settings: ClassVar[type[Checked]] = SerialSettings
    parallel: ClassVar[bool] = False

    def __init__(self, settings: SerialSettings | None = None) -> None:
        self.settings = settings

    def carry_out(self, jobs: JobQueue, workspace: Workspace) -> Generator[Outcome, None, None]:
        """Each job to its end before the next begins; what fails lets the others go on, be it a mistake or a fault.

        Raises:
            OSError: nothing can be written, which the others would find out too, after their training.
        """
        with watching(jobs.cost) as display, stop_requests() as stopping:
            for job in jobs:
                try:
                    yield from run_job(job, workspace, _Display(display, stopping))
                except Exception as error:  # a fault of one method is none of the others
                    if isinstance(error, OSError) and error.errno in OF_ALL:
                        raise
                    yield FailedJob(job, error)


class _Display(JobObserver):
    """Shows the progress of a job, and hands on requests to stop."""

    def __init__(self, display: ProgressDisplay, stop_requested: Callable[[], bool]) -> None:
        self._display = display
        self._stop_requested = stop_requested

    def phase(self, text: str) -> None:
        self._display.phase(text)

    def advance(self, tokens: int, cost: float) -> None:
        self._display.advance(tokens, cost)

    def stopping(self) -> bool:
        return self._stop_requested()


EXECUTOR = Serial
