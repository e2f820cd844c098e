"""Carries out a job: trains a stack of cells, scores each in every language, and hands each back as it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl
from torch import Tensor

from isogloss import store
from isogloss.data.missing_labels import label_kinds
from isogloss.data.subsample import split_by_language
from isogloss.errors import IsoglossError
from isogloss.experiment import cost, memory, remarks
from isogloss.experiment.calibration import confidence_table, temperatures
from isogloss.experiment.cells import Cell
from isogloss.experiment.evaluate import Predicted, TestSet, predict, predictions_table, scores_table
from isogloss.experiment.job import Job, JobObserver
from isogloss.experiment.provenance import difference
from isogloss.experiment.restore import restore, weights
from isogloss.experiment.tracking import feed_of, told
from isogloss.experiment.workspace import Workspace
from isogloss.preprocessing.features import Features
from isogloss.preprocessing.truncate import text_room
from isogloss.runtime.console import err
from isogloss.runtime.determinism import deterministic
from isogloss.runtime.device_memory import in_words, peak_memory
from isogloss.store import FinishedCell, RunRecord, fingerprint
from isogloss.trackers.feed import Feed
from isogloss.training.checkpoint import Checkpoints
from isogloss.training.loop import train
from isogloss.training.monitor import MonitorSample
from isogloss.training.run import Run, new_run
from isogloss.training.stack import Stack
from isogloss.training.train_state import TrainState


def run_job(
    job: Job, workspace: Workspace | None = None, observer: JobObserver | None = None
) -> Iterator[FinishedCell]:
    """Carry out a job: every cell as soon as it is finished.

    Args:
        job: it needs nothing else.
        workspace: of its experiment, where it is open in this process; None: it is opened.
        observer: of the progress.

    Raises:
        IsoglossError: the cells cannot be trained, or would not be those that the job says.
        KeyboardInterrupt: the observer asked to stop; a training has written its checkpoints, a scoring leaves
            those that are no older than the spec allows.
    """
    observer = observer or JobObserver()
    with deterministic(job.spec.deterministic, job.spec.device):
        workspace = workspace or Workspace.open(job.spec)
        for cell, facts in zip(job.cells, job.facts, strict=True):
            if changes := difference(facts, cell.facts(workspace.facts)):
                raise IsoglossError(f"{job.title} would be made differently here: {'; '.join(changes)}")
        with feed_of(job, workspace) as feed:
            if job.trained is None:
                for number, finished in enumerate(_Training(job, workspace, observer, feed).finished()):
                    yield told(finished, feed, number)
            else:
                yield told(_scored(job, workspace, observer, *job.trained), feed, 0)


class _Training:
    """A stack of cells in training."""

    def __init__(self, job: Job, workspace: Workspace, observer: JobObserver, feed: Feed) -> None:
        self.job, self.workspace, self.observer, self.feed = job, workspace, observer, feed
        first = job.cells[0]
        self.method, self.encoded = first.method, workspace.encoded(first)
        self.plan = memory.plan(workspace, job.cells, job.title)  # before anything is copied
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

    def finished(self) -> Iterator[FinishedCell]:
        """Train all cells, then score one after the other."""
        job, test = self.job, self.encoded.test
        for cell in {self.workspace.room(cell): cell for cell in job.cells}.values():
            read = {id(part): part for part in map(self.encoded.train_dev, dict.fromkeys(c.seed for c in job.cells))}
            splits = [split for part in read.values() for split in (part.train, part.dev)]
            _report_cut(job, self.workspace, cell, test, *splits)
        self.remarks = {
            **remarks.of_splits(self.workspace.data, test.examples),
            **remarks.of_texts(self.encoded, test, trained=job.cells[0].seed),
        }
        _report_data(self.workspace, self.remarks)
        if self.plan.peak is not None:
            said = f"{job.title}: at most about {in_words(self.plan.peak)} of memory beside the backbone"
            err.print(said, soft_wrap=True, markup=False)
        states = self._train()
        fitted = temperatures(self.stack, self.encoded, budget=self.plan.eval_budget, advance=self._look_up)
        self.observer.phase(f"{job.title}: scoring {len(test.examples)} languages")
        advance = _advancer(test.features, job.cells[0], self.observer)
        scored = predict(
            self.stack, self.runs, test.features, fitted=self.encoded.fit, budget=self.plan.eval_budget, advance=advance
        )
        for cell, state, temperature, predicted in zip(job.cells, states, fitted, scored, strict=True):
            yield self._finished(cell, state, temperature, predicted)

    def _look_up(self, _tokens: int) -> None:
        """Whether to stop, between two passes that count for no progress."""
        if self.observer.stopping():
            raise KeyboardInterrupt

    def _train(self) -> list[TrainState]:
        job, observer, workspace = self.job, self.observer, self.workspace
        states = [self._train_state(cell, run) for cell, run in zip(job.cells, self.runs, strict=True)]
        prints = [fingerprint(facts) for facts in job.facts]
        checkpoints = Checkpoints(job.checkpoints, prints, minutes=job.spec.checkpoint_minutes)
        checkpoints.load(states)
        updates = sum(state.total for state in states)
        observer.phase(f"{job.title}: {'training' if updates else 'scoring the development data'}")
        a_update = sum(cost.training(workspace, cell) for cell in job.cells) / max(1, updates)
        observer.advance(0, a_update * sum(state.step for state in states))

        def after_update(tokens: int, updates: int) -> None:
            observer.advance(tokens, a_update * updates)
            self._tell(states)
            if observer.stopping():  # only here, between two updates, is every state whole
                checkpoints.save(states)
                raise KeyboardInterrupt
            checkpoints.maybe_save(states)

        train(
            self.stack, states, budget=self.plan.budget, eval_budget=self.plan.eval_budget,
            source=str(workspace.data.source), after_update=after_update,
        )  # fmt: skip
        self._tell(states)
        if checkpoints.overdue:
            checkpoints.save(states)  # scoring many languages may take long as well
        return states

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

    def _engine(self) -> dict[str, Any]:
        """What computed: which kernels of attention, and how many passes plainly or as a captured graph."""
        return {"attention": sorted(self.backbone.kernels), "passes": dict(self.stack.updates)}

    def _finished(self, cell: Cell, state: TrainState, temperature: float | None, predicted: Predicted) -> FinishedCell:
        workspace, data = self.workspace, self.workspace.data
        named, columns = {"method": cell.label, "seed": cell.seed}, _columns(workspace, cell)
        dev = {
            **columns, "language": str(data.source), "split": "dev", "metric": state.metric, "value": state.best[0],
            "n": workspace.task.count(self.encoded.train_dev(cell.seed).gold),
        }  # fmt: skip
        tables = _tables(workspace, cell, self.encoded.test, predicted, temperature)
        tables |= {
            "scores": pl.concat([store.rows(store.SCORES, [dev]), tables["scores"]]),
            "history": store.rows(store.HISTORY, [{**named, **row} for row in state.history]),
        }
        record = RunRecord(
            **named,
            name=cell.name,
            variant=dict(cell.variant),
            facts=cell.facts(workspace.facts),
            test_data=data.test_data,
            kind=workspace.card.kind,
            inputs=list(workspace.inputs),
            labels=data.labels,
            trainable_parameters=state.run.trainable(),
            backbone_parameters=sum(weight.numel() for weight in workspace.backbone_of(cell).weights().values()),
            selected_epoch=state.best_epoch,
            updates=state.step,
            skipped_updates=state.skipped,
            source_learnt=state.onset,
            temperature=temperature,
            observed=None if state.sample is None else state.sample.counts,
            truncated={"train": state.train.cut, "dev": state.dev.cut, "test": predicted.features.cut},
            environment={**workspace.environment, "engine": self._engine(), "memory": self._memory()},
            **self.remarks,
            cut=_cut_by_language(workspace, cell, self.encoded.test),
        )
        return FinishedCell(record, weights(cell, state.run), tables)

    def _memory(self) -> dict[str, int | None]:
        """Bytes beside the backbone that were expected, and those that the process has taken in all so far."""
        return {"expected": self.plan.peak, "process_peak": peak_memory(self.backbone.device)}


def _scored(
    job: Job, workspace: Workspace, observer: JobObserver, record: RunRecord, tensors: Mapping[str, Tensor]
) -> FinishedCell:
    """A trained cell's rows of the languages that it lacks."""
    (cell,) = job.cells
    observer.phase(f"{job.title}: scoring {len(job.languages)} more languages")
    test = workspace.encoded(cell).languages(job.languages)
    cut = _report_cut(job, workspace, cell, test)
    said = {
        **remarks.of_splits(workspace.data, test.examples, trained=False),
        **remarks.of_texts(workspace.encoded(cell), test),
    }
    _report_data(workspace, said)
    stack = restore(workspace.backbone, record, dict(tensors), workspace.verbalizer)
    advance = _advancer(test.features, cell, observer)
    (predicted,) = predict(stack, stack.runs, test.features, fitted=workspace.encoded(cell).fit, advance=advance)
    tables = _tables(workspace, cell, test, predicted, record.temperature)
    changes = {
        "test_data": {code: workspace.data.test_data[code] for code in job.languages},
        "truncated": {"test": cut},
        "cut": _cut_by_language(workspace, cell, test),
        **said,
    }
    return FinishedCell(record.model_copy(update=changes), None, tables)


def _tables(
    workspace: Workspace, cell: Cell, test: TestSet, predicted: Predicted, temperature: float | None
) -> dict[str, pl.DataFrame]:
    """Predictions, the scores that they make, and where there is a temperature how sure they are."""
    labels = workspace.data.labels
    predictions = predictions_table(test, workspace.task, predicted, labels, method=cell.label, seed=cell.seed)
    scores = scores_table(predictions, workspace.task, workspace.card.metrics, _columns(workspace, cell))
    tables = {"scores": scores, "predictions": predictions}
    if temperature is not None:
        tables["confidence"] = confidence_table(predictions, workspace.task, predicted, labels, temperature)
    return tables


def _columns(workspace: Workspace, cell: Cell) -> dict[str, Any]:
    return {
        "backbone": workspace.backbone_of(cell).identity.name, "task": workspace.card.name, "method": cell.label,
        "seed": cell.seed, "source": str(workspace.data.source),
    }  # fmt: skip


def _report_cut(job: Job, workspace: Workspace, cell: Cell, test: TestSet, *splits: Features) -> int:
    """How many texts are cut to fit beside a cell's prompt."""
    cut = sum(workspace.fitted(cell, features).cut for features in (*splits, test.features))
    if cut:
        by_language = _cut_by_language(workspace, cell, test)
        named = f" (of test: {remarks.most(by_language)})" if by_language else ""
        longest = text_room(workspace.room(cell), test.features.longest)
        err.print(f"{job.title}: {remarks.cut_line(cut, longest)}{named}", soft_wrap=True)
    return cut


def _cut_by_language(workspace: Workspace, cell: Cell, test: TestSet) -> dict[str, int]:
    return remarks.cut_texts(test, text_room(workspace.room(cell), test.features.longest))


def _report_data(workspace: Workspace, found: Mapping[str, Any]) -> None:
    """Say what is to be known of the data; once, not for each job."""
    kinds = label_kinds(workspace.data.labels, workspace.card.kind)
    for line in remarks.lines(found, kinds):
        if line not in workspace.said:
            err.print(line, soft_wrap=True, markup=False)
            workspace.said.add(line)


def _advancer(features: Features, cell: Cell, observer: JobObserver) -> Callable[[int], None]:
    ratio = cost.one_pass(features, cell) / float(features.lengths.sum())

    def advance(tokens: int) -> None:
        observer.advance(tokens, tokens * ratio)
        if observer.stopping():
            raise KeyboardInterrupt

    return advance
