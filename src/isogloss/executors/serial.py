"""Carries out cells: trains a stack of them, scores each in every language, stores each as soon as it is done."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from isogloss import store
from isogloss.backbones.backbone import Backbone
from isogloss.data.subsample import split_by_language
from isogloss.experiment import cost
from isogloss.experiment.cells import Cell, stacks
from isogloss.experiment.data import ExperimentData
from isogloss.experiment.encoded import EncodedData
from isogloss.experiment.evaluate import Predicted, TestSet, predict, predictions_table, scores_table
from isogloss.experiment.provenance import fingerprint
from isogloss.experiment.restore import restore, weights
from isogloss.preprocessing.batching import budgets
from isogloss.preprocessing.features import Features
from isogloss.runtime.console import ProgressDisplay, err, watching
from isogloss.runtime.interrupts import stop_requests
from isogloss.store import Finished, Store
from isogloss.tasks.registry import TASKS
from isogloss.tasks.verbalizer import Verbalizer
from isogloss.training.checkpoint import Checkpoints
from isogloss.training.loop import train
from isogloss.training.monitor import MonitorSample, ParallelStates, interval, parallel_states
from isogloss.training.stack import Run, Stack, new_run
from isogloss.training.train_state import TrainState


class Laboratory:
    """Where the cells of one experiment are carried out.

    Args:
        data: the data.
        backbone: frozen; methods that change it get a copy.
        stored: where finished cells go.
        common: the facts that all cells share.
        environment: what they are made with, for the record.
        checkpoint_minutes: how much training a crash may cost.
        verbalizer: for cells that have one.
        cells: all of the experiment, whether to be carried out now or before.
    """

    def __init__(
        self,
        data: ExperimentData,
        backbone: Backbone,
        stored: Store,
        common: Mapping[str, Any],
        environment: Mapping[str, Any],
        *,
        checkpoint_minutes: float,
        cells: Sequence[Cell],
        verbalizer: Verbalizer | None = None,
    ) -> None:
        self.data = data
        self.backbone = backbone
        self.stored = stored
        self.common = dict(common)
        self.environment = dict(environment)
        self.minutes = checkpoint_minutes
        self.cells = list(cells)
        self.card = data.dataset.card
        self.task = TASKS[self.card.kind]
        self.verbalizer = verbalizer
        self.encoded = {
            "linear": EncodedData(data, self.task, backbone, None),
            "verbalizer": EncodedData(data, self.task, backbone, verbalizer),
        }
        self.added: dict[tuple[str, ...], TestSet] = {}
        self.budget, self.eval_budget = budgets(backbone.device)

    def carry_out(self, todo: Sequence[Cell], short: Sequence[tuple[Cell, Finished]]) -> None:
        """Train and score what is missing, then score what lacks languages."""
        total = sum(self._training(cell) + cost.one_pass(self._encoded(cell).test.features, cell) for cell in todo)
        total += sum(cost.one_pass(self._encoded(cell).test.features, cell) for cell, _ in short)
        with watching(total) as watch:
            for group in stacks(todo, self.backbone.pooling):
                self._train(group, watch)
                self.stored.gather()
            for cell, found in short:
                self._add_languages(cell, found, watch)

    def _train(self, group: Sequence[Cell], watch: ProgressDisplay) -> None:
        method = group[0].method
        classes, encoded = len(self.data.labels), self._encoded(group[0])
        backbone = self.backbone if method.frozen else self.backbone.copy(self._seen(encoded, group[0]))
        runs = [
            new_run(method, backbone, cell.settings, seed=cell.seed, classes=classes, verbalizer=self.verbalizer)
            for cell in group
        ]
        stack = Stack(backbone, method, runs)
        for room in sorted({stack.room(run) for run in runs}):
            train_dev = {id(own): own for own in (encoded.train_dev(run.seed) for run in runs)}.values()
            parts = [part for own in train_dev for part in (own.train, own.dev)]
            self._report_cut(group, room, *parts, encoded.test.features)
        train_states = [self._train_state(cell, run, stack.room(run)) for cell, run in zip(group, runs, strict=True)]
        checkpoints = Checkpoints(
            [self.stored.checkpoint(cell.label, cell.seed) for cell in group],
            [fingerprint(cell.facts(self.common)) for cell in group],
            minutes=self.minutes,
        )
        checkpoints.load(train_states)
        watch.phase(f"{_title(group)}: training")
        units = sum(self._training(cell) for cell in group) / sum(train_state.total for train_state in train_states)
        watch.advance(0, units * sum(train_state.step for train_state in train_states))

        with stop_requests() as asked_to_stop:

            def after_update(tokens: int, updates: int) -> None:
                watch.advance(tokens, units * updates)
                if asked_to_stop():  # only here, between two updates, is every train_state whole
                    checkpoints.save(train_states)
                    raise KeyboardInterrupt
                checkpoints.maybe_save(train_states)

            train(
                stack, train_states, budget=self.budget, eval_budget=self.eval_budget, source=str(self.data.source),
                after_update=after_update,
            )  # fmt: skip
        if checkpoints.overdue:
            checkpoints.save(train_states)  # scoring many languages may take long as well
        watch.phase(f"{_title(group)}: scoring {len(encoded.test.examples)} languages")
        advance = self._advancer(encoded.test.features, group[0], watch)
        if stack.head_only:
            test = encoded.fit(encoded.test.features, stack.room(runs[0]))
            shared = predict(stack, runs, test, budget=self.eval_budget, advance=advance)
        for position, (cell, train_state) in enumerate(zip(group, train_states, strict=True)):
            if stack.head_only:
                predicted = shared[position]
            else:
                test = encoded.fit(encoded.test.features, stack.room(train_state.run))
                predicted = predict(stack, [train_state.run], test, budget=self.eval_budget, advance=advance)[0]
            self._finish(cell, stack, train_state, self._table(encoded.test, predicted, cell))

    def _seen(self, encoded: EncodedData, cell: Cell) -> Tensor | None:
        """The words that training shows; all of them where they are also what a verbalizer chooses from."""
        if cell.settings.head == "verbalizer":
            return None
        room = self.backbone.room(cell.method.positions(cell.settings))
        return torch.from_numpy(np.unique(encoded.fit(encoded.train_dev(cell.seed).train, room).tokens))

    def _encoded(self, cell: Cell) -> EncodedData:
        return self.encoded[cell.settings.head]

    def _train_state(self, cell: Cell, run: Run, room: int) -> TrainState:
        encoded = self._encoded(cell)
        metric, train_dev = self.card.metrics[0], encoded.train_dev(run.seed)
        dev, gold = encoded.fit(train_dev.dev, room), train_dev.gold

        def score(scores: Tensor) -> float:
            answers, _ = self.task.predicted(dev, scores.cpu(), self.data.labels)
            return self.task.metrics[metric](gold, answers, str(self.data.source))

        train_state = TrainState(run, encoded.fit(train_dev.train, room), dev, metric, score)
        train_state.sample = self._sample(cell, room)
        if self.memory is not None:
            train_state.memory = replace(self.memory, features=encoded.fit(self.memory.features, room))
        return train_state

    @cached_property
    def memory(self) -> ParallelStates | None:
        """Parallel sentences, and what the backbone makes of them before anything is trained."""
        return None if self.data.parallel is None else parallel_states(self.data.parallel, self.backbone)

    def _sample(self, cell: Cell, room: int) -> MonitorSample | None:
        if not self.data.watched:
            return None
        encoded = self._encoded(cell)
        chosen = encoded.fewer(self._affordable)
        parts, features = chosen.examples, encoded.fit(chosen.features, room)
        gold = [answer for part in parts for answer in self.task.gold(part.table)]
        metric = self.task.metrics[self.card.metrics[0]]

        def score(scores: Tensor) -> dict[str, float]:
            answers, _ = self.task.predicted(features, scores.cpu(), self.data.labels)
            said, right = split_by_language(parts, answers), split_by_language(parts, gold)
            return {language: metric(right[language], own, language) for language, own in said.items()}

        return MonitorSample(features, score, self._every(cell), {str(part.language): len(part) for part in parts})

    def _every(self, cell: Cell) -> int:
        """Updates between two looks: more than usual where the least that can be looked at costs too much as often."""
        own = self._encoded(cell)
        total = cost.updates(own.train_dev(cell.seed), cell)
        every = interval(total, self.data.every)
        if self.data.every is not None or self.data.cost is None or not cell.method.passes:
            return every  # as the user says; or a head alone, which costs next to nothing, the states being kept
        least = cost.one_pass(own.fewer(1).features, cell)
        looks = int(self.data.cost * self._training(cell) / least) - cell.settings.epochs  # each epoch ends in one
        return max(every, math.ceil(total / looks)) if looks > 0 else total

    @cached_property
    def _affordable(self) -> int:
        """How many examples of each target may be looked at: as many in all cells, so that their curves compare."""
        wanted = max(len(part) for part in self.data.watched[1:] or self.data.watched)
        affordable = [wanted]
        for cell in self.cells:
            if self.data.cost is not None and cell.method.passes:
                own = self._encoded(cell)
                looks = cost.updates(own.train_dev(cell.seed), cell) // self._every(cell) + cell.settings.epochs
                whole = looks * cost.one_pass(own.watched.features, cell)  # of all that may be looked at
                affordable.append(int(wanted * self.data.cost * self._training(cell) / whole))
        return max(1, min(affordable))

    def _finish(self, cell: Cell, stack: Stack, train_state: TrainState, predictions: pl.DataFrame) -> None:
        run, room, encoded = train_state.run, stack.room(train_state.run), self._encoded(cell)
        named = {"method": cell.label, "seed": cell.seed}
        dev = {
            **self._columns(cell), "language": str(self.data.source), "split": "dev", "metric": train_state.metric,
            "value": train_state.best[0], "n": self.task.count(encoded.train_dev(cell.seed).gold),
        }  # fmt: skip
        scores = scores_table(predictions, self.task, self.card.metrics, self._columns(cell))
        tables = {
            "scores": pl.concat([store.rows(store.SCORES, [dev]), scores]),
            "predictions": predictions,
            "history": store.rows(store.HISTORY, [{**named, **row} for row in train_state.history]),
        }
        record = {
            **named,
            "facts": cell.facts(self.common),
            "test_data": self.data.test_data,
            "kind": self.card.kind,
            "inputs": self.task.inputs(self.card.columns.second is not None),
            "labels": self.data.labels,
            "trainable_parameters": run.trainable(),
            "backbone_parameters": sum(weight.numel() for weight in self.backbone.weights().values()),
            "selected_epoch": train_state.best_epoch,
            "updates": train_state.step,
            "skipped_updates": train_state.skipped,
            "source_learnt": train_state.trend.onset,
            "observed": None if train_state.sample is None else train_state.sample.counts,
            "truncated": {
                "train": train_state.train.cut, "dev": train_state.dev.cut,
                "test": encoded.fit(encoded.test.features, room).cut,
            },
            "environment": self.environment,
        }  # fmt: skip
        self.stored.finish(record, weights(cell, run), tables)

    def _add_languages(self, cell: Cell, found: Finished, watch: ProgressDisplay) -> None:
        new = [test for test in self.data.tests if str(test.language) not in found.record["test_data"]]
        watch.phase(f"{_title([cell])}: scoring {len(new)} more languages")
        encoded = self._encoded(cell)
        codes = (cell.settings.head, *(str(part.language) for part in new))
        test = self.added[codes] = self.added.get(codes) or encoded.test_set(new)
        stack = restore(self.backbone, cell, found, self.verbalizer)
        room = stack.room(stack.runs[0])
        cut = self._report_cut([cell], room, test.features)
        advance = self._advancer(test.features, cell, watch)
        predicted = predict(
            stack, stack.runs, encoded.fit(test.features, room), budget=self.eval_budget, advance=advance
        )
        predictions = self._table(test, predicted[0], cell)
        scores = scores_table(predictions, self.task, self.card.metrics, self._columns(cell))
        record = {
            **found.record,
            "test_data": {**found.record["test_data"], **{str(part.language): part.fingerprint for part in new}},
            "truncated": {**found.record["truncated"], "test": found.record["truncated"]["test"] + cut},
        }
        self.stored.extend(found, record, scores, predictions)

    def _table(self, test: TestSet, predicted: Predicted, cell: Cell) -> pl.DataFrame:
        return predictions_table(test, self.task, predicted, self.data.labels, method=cell.label, seed=cell.seed)

    def _columns(self, cell: Cell) -> dict[str, Any]:
        return {
            "backbone": self.backbone.identity.name, "task": self.card.name, "method": cell.label, "seed": cell.seed,
            "source": str(self.data.source),
        }  # fmt: skip

    def _report_cut(self, group: Sequence[Cell], room: int, *parts: Features) -> int:
        """How many units are truncated to fit."""
        encoded = self._encoded(group[0])
        cut = sum(encoded.fit(part, room).cut for part in parts)
        if cut:
            most = min(room, self.data.longest or room)
            err.print(f"{_title(group)}: {cut:,} texts are longer than {most} tokens and are cut", soft_wrap=True)
        return cut

    def _training(self, cell: Cell) -> float:
        return cost.training(self._encoded(cell).train_dev(cell.seed), cell)

    def _advancer(self, part: Features, cell: Cell, watch: ProgressDisplay) -> Callable[[int], None]:
        ratio = cost.one_pass(part, cell) / float(part.lengths.sum())
        return lambda tokens: watch.advance(tokens, tokens * ratio)


def _title(group: Sequence[Cell]) -> str:
    labels = dict.fromkeys(cell.label for cell in group)
    seeds = dict.fromkeys(cell.seed for cell in group)
    name = ", ".join(labels) if len(labels) <= 2 else f"{next(iter(labels))} and {len(labels) - 1} more"  # noqa: PLR2004
    return f"{name} · seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
