"""A cell that is the mean of several trainings: their weights become one model, which is scored as any other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from isogloss.backbones.device import device_of
from isogloss.experiment import memory
from isogloss.experiment.cells import Cell
from isogloss.experiment.job import Job, JobObserver, PausedCell
from isogloss.experiment.job_training import JobTraining, looked_at, train_state
from isogloss.experiment.restore import stack_of, weights
from isogloss.experiment.workspace import Workspace
from isogloss.methods.averaged import MeanWeights, Widening
from isogloss.runtime.process_group import current
from isogloss.trackers.feed import Feed
from isogloss.training.loop import Scorer, development
from isogloss.training.sharding import shard
from isogloss.training.stack import Stack
from isogloss.training.trained import Trained, mean_history


class Averaging:
    """The one cell of a job, whose trainings may have been carried out before; what is missing of them is done first.

    Args:
        job: whose cell it is.
        workspace: of the experiment.
        observer: of the progress.
        feed: of the job's trackers.
    """

    def __init__(self, job: Job, workspace: Workspace, observer: JobObserver, feed: Feed) -> None:
        self.job, self.workspace, self.observer, self.feed = job, workspace, observer, feed
        (self.cell,) = job.cells
        self.plan = memory.plan(workspace, job.cells, job.title, tests=job.until is None)
        self.stack: Stack  # of the mean, as soon as there is one

    def trained(self) -> list[Trained]:
        """The mean of what the trainings keep, and how they went."""
        return [self._averaged(1.0)]

    def paused(self, until: float) -> Iterator[PausedCell]:
        """The mean of the trainings' weights at a share of their updates; each training is kept in its checkpoint."""
        trained = self._averaged(until)
        yield looked_at(self.cell, self.stack.runs[0], trained, self._scorer, self.workspace, ended=True)

    def look_up(self, _tokens: int = 0) -> None:
        """Whether to stop, between two passes that count for no progress."""
        if self.observer.stopping():
            raise KeyboardInterrupt

    def _averaged(self, until: float) -> Trained:
        workspace, cell = self.workspace, self.cell
        mean, members = MeanWeights(), list[Trained]()
        for part in self.job.members:
            self.look_up()
            # What trackers are told of each is told by a job of its own.
            training = JobTraining(replace(part, until=until), workspace, self.observer, Feed({}, []))
            for one, trained, run in zip(part.cells, training.reached(until), training.stack.runs, strict=True):
                mean.add(self._widened(weights(one, run)))
                members.append(trained)
            del training, run  # the next one needs the memory
        backbone = workspace.backbone if cell.method.frozen and not current().shards else workspace.backbone.copy()
        self.stack = stack_of(
            cell, backbone, mean.result(), classes=len(workspace.data.labels), verbalizer=workspace.verbalizer
        )
        if current().shards:
            shard(self.stack, device_of(workspace.spec.device))
        self._scorer = Scorer(self.stack, [], self.plan.eval_budget)
        trained = self._looked_at(members, ended=until >= 1)
        self.feed.history(0, trained.history)
        return trained

    def _looked_at(self, members: Sequence[Trained], *, ended: bool) -> Trained:
        """How several trainings went, and how good their mean is."""
        job, workspace, cell = replace(self.job, monitor=None), self.workspace, self.cell
        state = train_state(job, workspace, cell, self.stack.runs[0])
        first, times = members[0], [member.seconds for member in members if member.seconds is not None]
        onsets = [member.onset for member in members if member.onset is not None]
        state.step, state.tokens = max(one.step for one in members), sum(one.tokens for one in members)
        state.history = mean_history(member.history for member in members)
        score, loss = development(state, self._scorer)
        if ended:
            state.log(loss=loss, metric=state.metric, value=score, language=str(workspace.data.source))
        return Trained(
            state.metric, score, state.history, state.step, state.tokens,
            selected_epoch=max(member.selected_epoch for member in members),
            skipped=sum(member.skipped for member in members),
            onset=sum(onsets) / len(onsets) if len(onsets) == len(members) else None,
            observed=first.observed, cut=first.cut, seconds=sum(times) if len(times) == len(members) else None,
        )  # fmt: skip

    def _widened(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """A training's tensors with a row for every word that one of the trainings has shown."""
        method, workspace = self.cell.method, self.workspace
        shown = [] if workspace.data.shots is None else [workspace.seen(one) for one in self.cell.trainings]
        known = [words for words in shown if words is not None]
        if not known or not isinstance(method, Widening):
            return tensors
        words = torch.from_numpy(np.unique(torch.cat(known).numpy()))
        part = {name.removeprefix("part."): tensor for name, tensor in tensors.items() if name.startswith("part.")}
        wide = method.widened(workspace.backbone, part, words)
        return {**tensors, **{f"part.{name}": tensor for name, tensor in wide.items()}}


def training_of(job: Job, workspace: Workspace, observer: JobObserver, feed: Feed) -> JobTraining | Averaging:
    """What trains the cells of a job."""
    kind = Averaging if _averages(job.cells) else JobTraining
    return kind(job, workspace, observer, feed)


def _averages(cells: Sequence[Cell]) -> bool:
    averaged = [cell for cell in cells if cell.average > 1]
    if averaged and len(cells) > 1:
        raise ValueError(f"{averaged[0].label} is a mean of several trainings, and expects a job of its own")
    return bool(averaged)
