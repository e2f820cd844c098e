"""What trackers are told of a job's cells; it decides nothing of their results, and is no part of their facts."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace

import isogloss
from isogloss.experiment.cells import Cell
from isogloss.experiment.job import Job
from isogloss.experiment.workspace import Workspace
from isogloss.store import FinishedCell
from isogloss.trackers.feed import FILE, Feed, feeding
from isogloss.trackers.tracker import TrackedCell


def feed_of(job: Job, workspace: Workspace) -> AbstractContextManager[Feed]:
    """What tells the spec's trackers of a job's cells, in their order, while it is carried out."""
    kept = [file.with_name(FILE) for file in job.checkpoints]
    known = [] if job.trained is None else [dict(job.trained[0].environment.get("trackers") or {})]
    return feeding(job.spec.track, [_tracked(job, workspace, cell) for cell in job.cells], kept, known)


def _tracked(job: Job, workspace: Workspace, cell: Cell) -> TrackedCell:
    tags = {
        "isogloss": isogloss.__version__, "task": workspace.card.name, "source": str(workspace.data.source),
        "backbone": workspace.backbone.identity.name, "method": cell.label,
    }  # fmt: skip
    data, dtype = job.spec.data, str(workspace.facts["backbone"]["dtype"])
    parameters = {**tags, "seed": cell.seed, "dtype": dtype, "shots": data.shots, "train_limit": data.train_limit}
    return TrackedCell(
        job.spec.name, cell.label, cell.seed, {**parameters, **cell.settings.model_dump(mode="json")}, tags
    )


def told(finished: FinishedCell, feed: Feed, number: int) -> FinishedCell:
    """A finished cell, once trackers are told its test scores; its record has where it is tracked.

    Args:
        finished: the cell.
        feed: of its job.
        number: of the cell in it.
    """
    record, test = finished.record, finished.tables["scores"].filter(split="test")
    rows = test.select("language", "metric", "value").rows()
    values = {f"test/{metric}/{code}": value for code, metric, value in rows}
    feed.scores(number, values, record.updates)
    feed.end(number, "finished")
    if not (ids := feed.ids(number)):
        return finished
    return replace(finished, record=record.model_copy(update={"environment": {**record.environment, "trackers": ids}}))
