"""Trackio: a run a cell, in the project of the spec's name, on this machine or in a Space of the hub.

Trackio speaks the interface of Weights & Biases.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from contextvars import Context
from typing import Any

from pydantic import Field

from isogloss.runtime.checked import Checked
from isogloss.trackers.tracker import Measured, Status, TrackedCell


class TrackioSettings(Checked):
    """Where runs go."""

    project: str | None = Field(None, description="that the runs stand in; left out: the spec's name")
    space: str | None = Field(None, description="of the hub, org/name, that shows them; left out: this machine")
    private: bool | None = Field(None, description="whether a new Space is seen by its owners alone")


class TrackioRun:
    """See `TrackedRun`.

    Args:
        run: Trackio's own.
        resumed: whether it was there already.
    """

    def __init__(self, run: Any, *, resumed: bool) -> None:
        self.run, self.resumed = run, resumed
        self.id = str(run.name)

    def log(self, rows: Sequence[Measured]) -> None:
        """Values with the update's number as their step."""
        for step, values in rows:
            self.run.log(dict(values), step=step)

    def finish(self, status: Status) -> None:
        """Trackio has no word for how a run ends."""
        with redirect_stdout(sys.stderr):
            self.run.finish()


class Trackio:
    """See `Tracker`."""

    name = "trackio"
    module = "trackio"
    extra = "trackio"
    settings: type[Checked] = TrackioSettings

    def begin(self, cell: TrackedCell, settings: Any, known: str | None) -> TrackioRun:
        """The run of the name that is known, or a new one; Trackio finds its runs by name."""
        import trackio

        name = known or f"{cell.title} {secrets.token_hex(4)}"
        where = {"space_id": settings.space, "private": settings.private} if settings.space else {}
        parameters = {key: value for key, value in cell.parameters.items() if value is not None}
        with redirect_stdout(sys.stderr):  # what it says would stand among a command's answers
            # In a context of its own: Trackio would end the run that began before it in this one.
            run = Context().run(
                trackio.init, project=settings.project or cell.experiment, name=name, group=cell.method,
                config={**parameters, **cell.tags}, resume="allow", embed=False, auto_log_gpu=False,
                auto_log_cpu=False, **where,
            )  # fmt: skip
        return TrackioRun(run, resumed=known is not None)


TRACKER = Trackio()
