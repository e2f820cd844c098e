"""One display of many jobs that are carried out elsewhere."""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from isogloss.experiment.job import Job
from isogloss.experiment.remote_job import Progress
from isogloss.runtime.console import LINE_EVERY, err, watching


class RemoteDisplay:
    """How far all jobs are together, and which are at work; what several of them say is printed once.

    Args:
        cost: of all jobs.
    """

    def __init__(self, cost: float) -> None:
        self._cost, self._stack = cost, ExitStack()
        self._phases: dict[int, str] = {}
        self._lines: set[str] = set()
        self._shown, self._when = "", -LINE_EVERY

    def __enter__(self) -> Self:
        """Begin to show it."""
        self._display = self._stack.enter_context(watching(self._cost))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        self._stack.close()

    def progress(self, job: Job, event: Progress) -> None:
        """What a job tells."""
        self._phases[id(job)] = event.phase
        self._show()
        self._display.advance(event.tokens, event.cost)

    def end(self, job: Job) -> None:
        """A job is at work no more."""
        if self._phases.pop(id(job), None) is not None:
            self._show()

    def say(self, line: str, *, anew: bool = False) -> None:
        """A line, once, unless it is to be said anew."""
        if anew or line not in self._lines:
            self._lines.add(line)
            err.print(line, markup=False, soft_wrap=True)

    def _show(self) -> None:
        if not (phases := list(self._phases.values())):
            return
        # How many stands in front: what is behind is cut off where a line is full.
        text = phases[0] if len(phases) == 1 else f"{len(phases)} jobs: {phases[0]}"
        if text != self._shown and (err.is_terminal or time.monotonic() - self._when >= LINE_EVERY):
            self._shown, self._when = text, time.monotonic()
            self._display.phase(text, anew=False)
