"""Carries out a job: trains a stack of cells, scores each in every language, and hands each back as it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl
from torch import Tensor

from isogloss import store
from isogloss.backbones.device import device_of
from isogloss.data.missing_labels import label_kinds
from isogloss.errors import IsoglossError
from isogloss.experiment import cost, remarks
from isogloss.experiment.averaging import Averaging, training_of
from isogloss.experiment.calibration import confidence_table, temperatures
from isogloss.experiment.cells import Cell
from isogloss.experiment.evaluate import Predicted, TestSet, predict, predictions_table, scores_table, timed
from isogloss.experiment.job import Job, JobObserver, PausedCell
from isogloss.experiment.job_training import JobTraining
from isogloss.experiment.provenance import difference
from isogloss.experiment.restore import restore, weights
from isogloss.experiment.tracking import feed_of, told
from isogloss.experiment.workspace import Workspace
from isogloss.preprocessing.features import Features
from isogloss.preprocessing.truncate import text_room
from isogloss.runtime.console import err
from isogloss.runtime.determinism import deterministic
from isogloss.runtime.device_memory import in_words, peak_memory
from isogloss.runtime.process_group import current
from isogloss.store import FinishedCell, RunRecord
from isogloss.training.sharding import shard
from isogloss.training.trained import Trained


def run_job(
    job: Job, workspace: Workspace | None = None, observer: JobObserver | None = None
) -> Iterator[FinishedCell | PausedCell]:
    """Carry out a job: every cell as soon as it is finished, or pauses where the job says so.

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
            if job.trained is not None:
                yield told(_scored(job, workspace, observer, *job.trained), feed, 0)
                return
            training = training_of(job, workspace, observer, feed)
            if job.until is not None:
                for number, paused in enumerate(training.paused(job.until)):
                    feed.end(number, "finished" if job.until >= 1 else "stopped")
                    yield paused
                return
            for number, finished in enumerate(_Finishing(training).finished()):
                yield told(finished, feed, number)


class _Finishing:
    """A stack of cells, trained and then scored.

    Args:
        training: of the cells.
    """

    def __init__(self, training: JobTraining | Averaging) -> None:
        self.training, self.workspace, self.plan = training, training.workspace, training.plan
        self.encoded = self.workspace.encoded(training.job.cells[0])
        languages = training.job.languages
        self.test = self.encoded.languages(languages) if languages else self.encoded.test

    def finished(self) -> Iterator[FinishedCell]:
        """Train all cells, then score one after the other."""
        job, test, observer = self.training.job, self.test, self.training.observer
        for cell in {self.workspace.room(cell): cell for cell in job.cells}.values():
            seeds = dict.fromkeys(one.seed for cell in job.cells for one in cell.trainings)
            read = {id(part): part for part in map(self.encoded.train_dev, seeds)}
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
        trained = self.training.trained()
        self.stack = stack = self.training.stack
        fitted = temperatures(stack, self.encoded, budget=self.plan.eval_budget, advance=self.training.look_up)
        count = len(test.examples)
        observer.phase(f"{job.title}: scoring {'one language' if count == 1 else f'{count} languages'}")
        advance = _advancer(test.features, job.cells[0], observer)
        scored = predict(
            stack, stack.runs, test.features, fitted=self.encoded.fit, budget=self.plan.eval_budget,
            advance=advance,
        )  # fmt: skip
        taken = timed(scored, at_once=stack.head_only)
        for number, (temperature, (predicted, seconds)) in enumerate(zip(fitted, taken, strict=True)):
            yield self._finished(number, trained[number], temperature, predicted, seconds)

    def _engine(self) -> dict[str, Any]:
        """What computed: how many processes, which kernels of attention, and how many passes plainly or captured."""
        together = current()
        several = {"processes": together.count} if together.several else {}
        several |= {"sharded": True} if together.shards else {}
        return {**several, "attention": sorted(self.stack.backbone.kernels), "passes": dict(self.stack.updates)}

    def _finished(
        self, number: int, trained: Trained, temperature: float | None, predicted: Predicted, seconds: float
    ) -> FinishedCell:
        workspace, data = self.workspace, self.workspace.data
        cell, run = self.training.job.cells[number], self.stack.runs[number]
        named, columns = {"method": cell.label, "seed": cell.seed}, _columns(workspace, cell)
        dev = {
            **columns, "language": str(data.source), "split": "dev", "metric": trained.metric, "value": trained.score,
            "n": workspace.task.count(self.encoded.train_dev(cell.seed).gold),
        }  # fmt: skip
        tables = _tables(workspace, cell, self.test, predicted, temperature)
        tables |= {
            "scores": pl.concat([store.rows(store.SCORES, [dev]), tables["scores"]]),
            "history": store.rows(store.HISTORY, [{**named, **row} for row in trained.history]),
        }
        record = RunRecord(
            **named,
            name=cell.name,
            variant=dict(cell.variant),
            facts=cell.facts(workspace.facts),
            test_data={str(part.language): data.test_data[str(part.language)] for part in self.test.examples},
            unlabelled=_unlabelled(self.test),
            kind=workspace.card.kind,
            inputs=list(workspace.inputs),
            labels=data.labels,
            trainable_parameters=run.trainable(),
            backbone_parameters=sum(weight.numel() for weight in workspace.backbone_of(cell).weights().values()),
            selected_epoch=trained.selected_epoch,
            updates=trained.step,
            skipped_updates=trained.skipped,
            source_learnt=trained.onset,
            temperature=temperature,
            observed=None if trained.observed is None else dict(trained.observed),
            truncated={**trained.cut, "test": predicted.features.cut},
            environment={
                **workspace.environment,
                "engine": self._engine(),
                "memory": self._memory(),
                "time": self._time(trained, seconds),
            },
            **self.remarks,
            cut=_cut_by_language(workspace, cell, self.test),
        )
        return FinishedCell(record, weights(cell, run), tables)

    def _time(self, trained: Trained, scoring: float) -> dict[str, float | int | None]:
        """Seconds of its training, of a stack its share, and of scoring so many texts, tokenising aside."""
        texts = sum(map(len, self.test.examples))
        return {"training": trained.seconds, "together": len(self.stack.runs), "scoring": scoring, "texts": texts}

    def _memory(self) -> dict[str, int | None]:
        """Bytes beside the backbone that were expected, and those that the process has taken in all so far."""
        return {"expected": self.plan.peak, "process_peak": peak_memory(self.stack.backbone.device)}


def _scored(
    job: Job, workspace: Workspace, observer: JobObserver, record: RunRecord, tensors: Mapping[str, Tensor]
) -> FinishedCell:
    """A trained cell's rows of the languages that it lacks."""
    (cell,) = job.cells
    more = "one more language" if len(job.languages) == 1 else f"{len(job.languages)} more languages"
    observer.phase(f"{job.title}: scoring {more}")
    test = workspace.encoded(cell).languages(job.languages)
    cut = _report_cut(job, workspace, cell, test)
    said = {
        **remarks.of_splits(workspace.data, test.examples, trained=False),
        **remarks.of_texts(workspace.encoded(cell), test),
    }
    _report_data(workspace, said)
    shards = current().shards
    backbone = workspace.backbone.copy() if shards else workspace.backbone
    stack = restore(backbone, record, dict(tensors), workspace.verbalizer)
    if shards:
        shard(stack, device_of(workspace.spec.device))
    advance = _advancer(test.features, cell, observer)
    (predicted,) = predict(stack, stack.runs, test.features, fitted=workspace.encoded(cell).fit, advance=advance)
    tables = _tables(workspace, cell, test, predicted, record.temperature)
    changes = {
        "test_data": {code: workspace.data.test_data[code] for code in job.languages},
        "unlabelled": _unlabelled(test),
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


def _unlabelled(test: TestSet) -> list[str]:
    return [str(part.language) for part in test.examples if not part.labelled]


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
