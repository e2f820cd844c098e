"""The training of a job: a stack of cells, each to its end or to where the job has it pause, with its checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import Tensor

from isogloss.data.subsample import split_by_language
from isogloss.experiment import cost, memory
from isogloss.experiment.cells import Cell
from isogloss.experiment.job import Job, JobObserver, PausedCell
from isogloss.experiment.workspace import Workspace
from isogloss.store import fingerprint
from isogloss.trackers.feed import Feed
from isogloss.training.checkpoint import Checkpoints
from isogloss.training.loop import Scorer, train
from isogloss.training.monitor import MonitorSample
from isogloss.training.run import Run, new_run
from isogloss.training.stack import Stack
from isogloss.training.train_state import TrainState, updates_until


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
        first = job.cells[0]
        self.method, self.encoded = first.method, workspace.encoded(first)
        # Before anything is copied.
        self.plan = memory.plan(workspace, job.cells, job.title, tests=job.until is None)
        self.stack = workspace.imported_stack(first) if first.key in workspace.imported else self._new_stack()
        self.backbone, self.runs = self.stack.backbone, self.stack.runs

    def _new_stack(self) -> Stack:
        workspace, cells = self.workspace, self.job.cells
        shared = workspace.backbone
        backbone = shared if self.method.frozen else shared.copy(workspace.seen(cells[0]))
        runs = [
            new_run(
                self.method, backbone, cell.settings, seed=cell.seed, classes=len(workspace.data.labels),
                verbalizer=workspace.verbalizer,
            )
            for cell in cells
        ]  # fmt: skip
        return Stack(backbone, self.method, runs)

    def trained(self) -> list[TrainState]:
        """Every cell, trained to its end, with the weights that it keeps."""
        states, checkpoints, _ = self._train(1.0)
        if checkpoints.overdue:
            checkpoints.save(states)  # scoring many languages may take long as well
        return states

    def paused(self, until: float) -> Iterator[PausedCell]:
        """Every cell, trained as far as it is to be, and kept in its checkpoint before anything else.

        Args:
            until: the share of each training's updates.
        """
        states, checkpoints, scorer = self._train(until)
        checkpoints.save(states)
        task, labels = self.workspace.task, self.workspace.data.labels
        for cell, state in zip(self.job.cells, states, strict=True):
            self.look_up()
            scores = scorer.logits(state.dev, state.run)[:, : state.run.head.classes].cpu()
            answers, _ = task.predicted(state.dev, scores, labels)
            ended = state.step >= state.total
            score = state.best[0] if ended else state.score(scores)
            if not ended:  # at its end it is looked at as in any training
                self.observer.advance(0, cost.one_pass(state.dev, cell))
            yield PausedCell(cell, state.step, score, answers, list(state.history), state.tokens)

    def look_up(self, _tokens: int = 0) -> None:
        """Whether to stop, between two passes that count for no progress."""
        if self.observer.stopping():
            raise KeyboardInterrupt

    def _train(self, until: float) -> tuple[list[TrainState], Checkpoints, Scorer]:
        job, observer, workspace = self.job, self.observer, self.workspace
        states = [self._train_state(cell, run) for cell, run in zip(job.cells, self.runs, strict=True)]
        prints = [fingerprint(facts) for facts in job.facts]
        checkpoints = Checkpoints(job.checkpoints, prints, minutes=job.spec.checkpoint_minutes)
        checkpoints.load(states)
        updates = sum(state.total for state in states)
        observer.phase(f"{job.title}: {'training' if updates else 'scoring the development data'}")
        a_update = sum(cost.training(workspace, cell) for cell in job.cells) / max(1, updates)
        observer.advance(0, self._done(states, a_update))

        def after_update(tokens: int, updates: int) -> None:
            observer.advance(tokens, a_update * updates)
            self._tell(states)
            if observer.stopping():  # only here, between two updates, is every state whole
                checkpoints.save(states)
                raise KeyboardInterrupt
            checkpoints.maybe_save(states)

        scorer = train(
            self.stack, states, budget=self.plan.budget, eval_budget=self.plan.eval_budget,
            source=str(workspace.data.source), after_update=after_update, until=until,
        )  # fmt: skip
        self._tell(states)
        return states, checkpoints, scorer

    def _done(self, states: Sequence[TrainState], a_update: float) -> float:
        """How much of the job's work checkpoints have done, in what `Job.cost` counts."""
        job = self.job
        if job.until is None:
            return a_update * sum(state.step for state in states)
        left = 0.0  # of what may be a part of a training: the job's work is what is left when it begins
        for cell, state in zip(job.cells, states, strict=True):
            goal = updates_until(state.total, job.until)
            left += a_update * max(0, goal - state.step)
            left += cost.one_pass(state.dev, cell) if goal < state.total else 0.0
        return max(0.0, job.cost - left)

    def _tell(self, states: Sequence[TrainState]) -> None:
        """Tell trackers what has been fetched."""
        for number, state in enumerate(states):
            self.feed.history(number, state.history)

    def _train_state(self, cell: Cell, run: Run) -> TrainState:
        workspace = self.workspace
        data, task, metric = workspace.data, workspace.task, workspace.card.metrics[0]
        split = self.encoded.train_dev(run.seed)
        dev, gold = workspace.fitted(cell, split.dev), split.gold

        def score(scores: Tensor) -> float:
            answers, _ = task.predicted(dev, scores.cpu(), data.labels)
            return task.metrics[metric](gold, answers, str(data.source))

        state = TrainState(run, workspace.fitted(cell, split.train), dev, metric, score)
        state.sample = self._monitor_sample(cell)
        if cell.settings.epochs and (parallel := workspace.parallel_states) is not None:
            state.parallel = replace(parallel, features=workspace.fitted(cell, parallel.features))
        return state

    def _monitor_sample(self, cell: Cell) -> MonitorSample | None:
        if (plan := self.job.monitor) is None or not cell.settings.epochs:
            return None
        workspace = self.workspace
        sample = self.encoded.fewer(plan.examples)
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
