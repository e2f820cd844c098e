"""The training of a job: a stack of cells, each to its end or to where the job has it pause, with its checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import Tensor

from isogloss.backbones.device import device_of
from isogloss.data.subsample import split_by_language
from isogloss.experiment import cost, memory
from isogloss.experiment.cells import Cell
from isogloss.experiment.job import Job, JobObserver, PausedCell
from isogloss.experiment.workspace import Workspace
from isogloss.runtime.process_group import current
from isogloss.store import fingerprint
from isogloss.trackers.feed import Feed
from isogloss.training.checkpoint import Checkpoints, agreed
from isogloss.training.clock import TrainingClock
from isogloss.training.loop import Scorer, train
from isogloss.training.monitor import MonitorSample
from isogloss.training.run import Run, new_run
from isogloss.training.sharding import shard
from isogloss.training.stack import Stack
from isogloss.training.train_state import TrainState, updates_until
from isogloss.training.trained import Trained


class JobTraining:
    """A stack of cells in training.

    Args:
        job: whose cells they are.
        workspace: of the experiment.
        observer: of the progress.
        feed: of the job's trackers.
    """

    def __init__(self, job: Job, workspace: Workspace, observer: JobObserver, feed: Feed) -> None:
        self.job, self.workspace, self.observer, self.feed = job, workspace, observer, feed
        self.learnt = False  # whether there was anything to do that was not done before
        first = job.cells[0]
        # Before anything is copied.
        self.plan = memory.plan(workspace, job.cells, job.title, tests=job.until is None)
        self.stack = workspace.imported_stack(first) if first.key in workspace.imported else self._new_stack()

    def _new_stack(self) -> Stack:
        workspace, cells = self.workspace, self.job.cells
        shared, method = workspace.backbone, cells[0].method
        shards = current().shards
        backbone = shared if method.frozen and not shards else shared.copy(workspace.seen(cells[0]))
        runs = [
            new_run(
                method, backbone, cell.settings, seed=cell.seed, classes=len(workspace.data.labels),
                verbalizer=workspace.verbalizer,
            )
            for cell in cells
        ]  # fmt: skip
        stack = Stack(backbone, method, runs)
        if shards:
            shard(stack, device_of(workspace.spec.device))
        return stack

    def trained(self) -> list[Trained]:
        """Every cell, trained to its end, with the weights that it keeps."""
        states = self._reach(1.0)
        if agreed(self.checkpoints.overdue, states):
            self.checkpoints.save(states)  # scoring many languages may take long as well
        return [Trained.of(state) for state in states]

    def reached(self, until: float) -> list[Trained]:
        """Every cell, trained to a share of its updates, with its weights as they are or, at the end, that it keeps.

        They are kept in checkpoints before anything else, unless they came from there.
        """
        states = self._reach(until)
        if self.learnt:
            self.checkpoints.save(states)
        return [Trained.of(state) for state in states]

    def paused(self, until: float) -> Iterator[PausedCell]:
        """Every cell, trained to a share of its updates and kept in its checkpoint, and then looked at."""
        for cell, run, trained in zip(self.job.cells, self.stack.runs, self.reached(until), strict=True):
            self.look_up()
            ended = trained.step >= cost.updates(self.workspace, cell)
            yield looked_at(cell, run, trained, self.scorer, self.workspace, ended=ended)
            if not ended:  # at its end it is looked at as in any training
                self.observer.advance(0, cost.look(self.workspace, cell))

    def look_up(self, _tokens: int = 0) -> None:
        """Whether to stop, between two passes that count for no progress."""
        if self.observer.stopping():
            raise KeyboardInterrupt

    def _reach(self, until: float) -> list[TrainState]:
        """Train all cells to a share of their updates."""
        job, observer, workspace = self.job, self.observer, self.workspace
        states = [train_state(job, workspace, cell, run) for cell, run in zip(job.cells, self.stack.runs, strict=True)]
        prints = [fingerprint(facts) for facts in job.facts]
        self.checkpoints = checkpoints = Checkpoints(job.checkpoints, prints, minutes=job.spec.checkpoint_minutes)
        checkpoints.load(states)
        updates = sum(state.total for state in states)
        left = any(state.step < updates_until(state.total, until) for state in states)
        if left or not updates:
            observer.phase(f"{job.title}: {'training' if updates else 'scoring the development data'}")
        a_update = sum(cost.training(workspace, cell) for cell in job.cells) / max(1, updates)
        observer.advance(0, self._done(states, a_update))

        clock = TrainingClock(states)

        def after_update(tokens: int, updates: int) -> None:
            clock.count()
            observer.advance(tokens, a_update * updates)
            self.learnt = True
            self._tell(states)
            if observer.stopping():  # only here, between two updates, is every state whole
                checkpoints.save(states)
                raise KeyboardInterrupt
            if observer.saving():
                checkpoints.save(states)
            checkpoints.maybe_save(states)

        self.scorer = train(
            self.stack, states, budget=self.plan.budget, eval_budget=self.plan.eval_budget,
            source=str(workspace.data.source), after_update=after_update, until=until,
        )  # fmt: skip
        self._tell(states)
        return states

    def _done(self, states: Sequence[TrainState], a_update: float) -> float:
        """How much of the job's work checkpoints have done, in what `Job.cost` counts."""
        job, workspace = self.job, self.workspace
        if job.until is None:
            return a_update * sum(state.step for state in states)
        left = 0.0  # of what may be a part of a training: the job's work is what is left when it begins
        for cell, state in zip(job.cells, states, strict=True):
            goal = updates_until(state.total, job.until)
            left += a_update * max(0, goal - state.step)
            left += cost.look(workspace, cell) if goal < state.total else 0.0
        return max(0.0, job.cost - left)

    def _tell(self, states: Sequence[TrainState]) -> None:
        """Tell trackers what has been fetched."""
        for number, state in enumerate(states):
            self.feed.history(number, state.history)


def train_state(job: Job, workspace: Workspace, cell: Cell, run: Run) -> TrainState:
    """A cell's way through training, at its start.

    Args:
        job: that says how much is looked at.
        workspace: of the experiment.
        cell: which.
        run: that learns.
    """
    encoded, data, task, metric = workspace.encoded(cell), workspace.data, workspace.task, workspace.card.metrics[0]
    split = encoded.train_dev(run.seed)
    dev, gold = workspace.fitted(cell, split.dev), split.gold

    def score(scores: Tensor) -> float:
        answers, _ = task.predicted(dev, scores.cpu(), data.labels)
        return task.metrics[metric](gold, answers, str(data.source))

    state = TrainState(run, workspace.fitted(cell, split.train), dev, metric, score)
    state.sample = _monitor_sample(job, workspace, cell)
    if cell.settings.epochs and (parallel := workspace.parallel_states) is not None:
        state.parallel = replace(parallel, features=workspace.fitted(cell, parallel.features))
    return state


def _monitor_sample(job: Job, workspace: Workspace, cell: Cell) -> MonitorSample | None:
    if (plan := job.monitor) is None or not cell.settings.epochs:
        return None
    sample = workspace.encoded(cell).fewer(plan.examples)
    parts, features = sample.examples, workspace.fitted(cell, sample.features)
    gold = [answer for part in parts for answer in workspace.task.gold(part.table)]
    metric = workspace.task.metrics[workspace.card.metrics[0]]

    def score(scores: Tensor) -> dict[str, float]:
        answers, _ = workspace.task.predicted(features, scores.cpu(), workspace.data.labels)
        right = split_by_language(parts, gold)
        return {
            language: metric(right[language], predicted, language)
            for language, predicted in split_by_language(parts, answers).items()
        }

    counts = {str(part.language): len(part) for part in parts}
    return MonitorSample(features, score, plan.every[cell.key], counts)


def looked_at(
    cell: Cell, run: Run, trained: Trained, scorer: Scorer, workspace: Workspace, *, ended: bool
) -> PausedCell:
    """What the source's development data say of a training that pauses; its history says nothing of it.

    Args:
        cell: which.
        run: with the weights that are looked at.
        trained: how the training went so far.
        scorer: of the run.
        workspace: of the experiment.
        ended: whether the score is known, as it is of weights that a training keeps.
    """
    task, data = workspace.task, workspace.data
    split = workspace.encoded(cell).train_dev(run.seed)
    dev = workspace.fitted(cell, split.dev)
    answers, _ = task.predicted(dev, scorer.logits(dev, run)[:, : run.head.classes].cpu(), data.labels)
    score = trained.score if ended else task.metrics[trained.metric](split.gold, answers, str(data.source))
    return PausedCell(cell, trained.step, score, answers, trained.history, trained.tokens)
