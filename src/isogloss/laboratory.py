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

from isogloss import store, work
from isogloss.backbones import Backbone
from isogloss.batching import budgets
from isogloss.checkpoint import Checkpoints
from isogloss.console import Watch, err, watching
from isogloss.evaluate import Predicted, TestSet, predict, predictions_table, scores_table
from isogloss.features import Features
from isogloss.lane import Lane
from isogloss.material import Material
from isogloss.observing import Memory, Sample, by_language, interval
from isogloss.plan import Cell, fingerprint, stacks
from isogloss.restoring import restore, weights
from isogloss.runs import Run, Stack, new_run
from isogloss.sheets import Sheets, memory_of
from isogloss.stopping import stop_requests
from isogloss.store import Finished, Store
from isogloss.tasks import TASKS
from isogloss.train import train
from isogloss.verbalizer import Verbalizer


class Laboratory:
    """Where the cells of one experiment are carried out.

    Args:
        material: the data.
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
        material: Material,
        backbone: Backbone,
        stored: Store,
        common: Mapping[str, Any],
        environment: Mapping[str, Any],
        *,
        checkpoint_minutes: float,
        cells: Sequence[Cell],
        verbalizer: Verbalizer | None = None,
    ) -> None:
        self.material = material
        self.backbone = backbone
        self.stored = stored
        self.common = dict(common)
        self.environment = dict(environment)
        self.minutes = checkpoint_minutes
        self.cells = list(cells)
        self.card = material.data.card
        self.task = TASKS[self.card.kind]
        self.verbalizer = verbalizer
        self.sheets = {
            "linear": Sheets(material, self.task, backbone, None),
            "verbalizer": Sheets(material, self.task, backbone, verbalizer),
        }
        self.added: dict[tuple[str, ...], TestSet] = {}
        self.budget, self.eval_budget = budgets(backbone.device)

    def carry_out(self, todo: Sequence[Cell], short: Sequence[tuple[Cell, Finished]]) -> None:
        """Train and score what is missing, then score what lacks languages."""
        total = sum(self._training(cell) + work.one_pass(self._sheets(cell).test.features, cell) for cell in todo)
        total += sum(work.one_pass(self._sheets(cell).test.features, cell) for cell, _ in short)
        with watching(total) as watch:
            for group in stacks(todo, self.backbone.pooling):
                self._train(group, watch)
                self.stored.gather()
            for cell, found in short:
                self._add_languages(cell, found, watch)

    def _train(self, group: Sequence[Cell], watch: Watch) -> None:
        method = group[0].method
        classes, sheets = len(self.material.labels), self._sheets(group[0])
        backbone = self.backbone if method.frozen else self.backbone.copy(self._seen(sheets, group[0]))
        runs = [
            new_run(method, backbone, cell.settings, seed=cell.seed, classes=classes, verbalizer=self.verbalizer)
            for cell in group
        ]
        stack = Stack(backbone, method, runs)
        for room in sorted({stack.room(run) for run in runs}):
            lessons = {id(own): own for own in (sheets.lessons(run.seed) for run in runs)}.values()
            parts = [part for own in lessons for part in (own.train, own.dev)]
            self._report_cut(group, room, *parts, sheets.test.features)
        lanes = [self._lane(cell, run, stack.room(run)) for cell, run in zip(group, runs, strict=True)]
        checkpoints = Checkpoints(
            [self.stored.checkpoint(cell.label, cell.seed) for cell in group],
            [fingerprint(cell.facts(self.common)) for cell in group],
            minutes=self.minutes,
        )
        checkpoints.load(lanes)
        watch.phase(f"{_title(group)}: training")
        units = sum(self._training(cell) for cell in group) / sum(lane.total for lane in lanes)
        watch.advance(0, units * sum(lane.step for lane in lanes))

        with stop_requests() as asked_to_stop:

            def after_update(tokens: int, updates: int) -> None:
                watch.advance(tokens, units * updates)
                if asked_to_stop():  # only here, between two updates, is every lane whole
                    checkpoints.save(lanes)
                    raise KeyboardInterrupt
                checkpoints.maybe_save(lanes)

            train(
                stack, lanes, budget=self.budget, eval_budget=self.eval_budget, source=str(self.material.source),
                after_update=after_update,
            )  # fmt: skip
        if checkpoints.overdue:
            checkpoints.save(lanes)  # scoring many languages may take long as well
        watch.phase(f"{_title(group)}: scoring {len(sheets.test.examples)} languages")
        advance = self._advancer(sheets.test.features, group[0], watch)
        if stack.head_only:
            test = sheets.fit(sheets.test.features, stack.room(runs[0]))
            shared = predict(stack, runs, test, budget=self.eval_budget, advance=advance)
        for position, (cell, lane) in enumerate(zip(group, lanes, strict=True)):
            if stack.head_only:
                predicted = shared[position]
            else:
                test = sheets.fit(sheets.test.features, stack.room(lane.run))
                predicted = predict(stack, [lane.run], test, budget=self.eval_budget, advance=advance)[0]
            self._finish(cell, stack, lane, self._table(sheets.test, predicted, cell))

    def _seen(self, sheets: Sheets, cell: Cell) -> Tensor | None:
        """The words that training shows; all of them where they are also what a verbalizer chooses from."""
        if cell.settings.head == "verbalizer":
            return None
        room = self.backbone.room(cell.method.length(cell.settings))
        return torch.from_numpy(np.unique(sheets.fit(sheets.lessons(cell.seed).train, room).tokens))

    def _sheets(self, cell: Cell) -> Sheets:
        return self.sheets[cell.settings.head]

    def _lane(self, cell: Cell, run: Run, room: int) -> Lane:
        sheets = self._sheets(cell)
        metric, lessons = self.card.metrics[0], sheets.lessons(run.seed)
        dev, gold = sheets.fit(lessons.dev, room), lessons.gold

        def score(scores: Tensor) -> float:
            answers, _ = self.task.predicted(dev, scores.cpu(), self.material.labels)
            return self.task.metrics[metric](gold, answers, str(self.material.source))

        lane = Lane(run, sheets.fit(lessons.train, room), dev, metric, score)
        lane.sample = self._sample(cell, room)
        if self.memory is not None:
            lane.memory = replace(self.memory, features=sheets.fit(self.memory.features, room))
        return lane

    @cached_property
    def memory(self) -> Memory | None:
        """Parallel sentences, and what the backbone makes of them before anything is trained."""
        return None if self.material.parallel is None else memory_of(self.material.parallel, self.backbone)

    def _sample(self, cell: Cell, room: int) -> Sample | None:
        if not self.material.watched:
            return None
        sheets = self._sheets(cell)
        chosen = sheets.fewer(self._affordable)
        parts, features = chosen.examples, sheets.fit(chosen.features, room)
        gold = [answer for part in parts for answer in self.task.gold(part.table)]
        metric = self.task.metrics[self.card.metrics[0]]

        def score(scores: Tensor) -> dict[str, float]:
            answers, _ = self.task.predicted(features, scores.cpu(), self.material.labels)
            said, right = by_language(parts, answers), by_language(parts, gold)
            return {language: metric(right[language], own, language) for language, own in said.items()}

        return Sample(features, score, self._every(cell), {str(part.language): len(part) for part in parts})

    def _every(self, cell: Cell) -> int:
        """Updates between two looks: more than usual where the least that can be looked at costs too much as often."""
        own = self._sheets(cell)
        total = work.updates(own.lessons(cell.seed), cell)
        every = interval(total, self.material.every)
        if self.material.every is not None or self.material.cost is None or not cell.method.passes:
            return every  # as the user says; or a head alone, which costs next to nothing, the states being kept
        least = work.one_pass(own.fewer(1).features, cell)
        looks = int(self.material.cost * self._training(cell) / least) - cell.settings.epochs  # each epoch ends in one
        return max(every, math.ceil(total / looks)) if looks > 0 else total

    @cached_property
    def _affordable(self) -> int:
        """How many examples of each target may be looked at: as many in all cells, so that their curves compare."""
        wanted = max(len(part) for part in self.material.watched[1:] or self.material.watched)
        affordable = [wanted]
        for cell in self.cells:
            if self.material.cost is not None and cell.method.passes:
                own = self._sheets(cell)
                looks = work.updates(own.lessons(cell.seed), cell) // self._every(cell) + cell.settings.epochs
                whole = looks * work.one_pass(own.watched.features, cell)  # of all that may be looked at
                affordable.append(int(wanted * self.material.cost * self._training(cell) / whole))
        return max(1, min(affordable))

    def _finish(self, cell: Cell, stack: Stack, lane: Lane, predictions: pl.DataFrame) -> None:
        run, room, sheets = lane.run, stack.room(lane.run), self._sheets(cell)
        named = {"method": cell.label, "seed": cell.seed}
        dev = {
            **self._columns(cell), "language": str(self.material.source), "split": "dev", "metric": lane.metric,
            "value": lane.best[0], "n": self.task.count(sheets.lessons(cell.seed).gold),
        }  # fmt: skip
        scores = scores_table(predictions, self.task, self.card.metrics, self._columns(cell))
        tables = {
            "scores": pl.concat([store.rows(store.SCORES, [dev]), scores]),
            "predictions": predictions,
            "history": store.rows(store.HISTORY, [{**named, **row} for row in lane.history]),
        }
        record = {
            **named,
            "facts": cell.facts(self.common),
            "test_data": self.material.test_data,
            "kind": self.card.kind,
            "inputs": self.task.inputs(self.card.columns.second is not None),
            "labels": self.material.labels,
            "trainable_parameters": run.trainable(),
            "backbone_parameters": sum(weight.numel() for weight in self.backbone.model.parameters()),
            "selected_epoch": lane.best_epoch,
            "updates": lane.step,
            "skipped_updates": lane.skipped,
            "source_learnt": lane.trend.onset,
            "observed": None if lane.sample is None else lane.sample.counts,
            "truncated": {
                "train": lane.train.cut, "dev": lane.dev.cut,
                "test": sheets.fit(sheets.test.features, room).cut,
            },
            "environment": self.environment,
        }  # fmt: skip
        self.stored.finish(record, weights(cell, run), tables)

    def _add_languages(self, cell: Cell, found: Finished, watch: Watch) -> None:
        new = [test for test in self.material.tests if str(test.language) not in found.record["test_data"]]
        watch.phase(f"{_title([cell])}: scoring {len(new)} more languages")
        sheets = self._sheets(cell)
        codes = (cell.settings.head, *(str(part.language) for part in new))
        test = self.added[codes] = self.added.get(codes) or sheets.test_set(new)
        stack = restore(self.backbone, cell, found, self.verbalizer)
        room = stack.room(stack.runs[0])
        cut = self._report_cut([cell], room, test.features)
        advance = self._advancer(test.features, cell, watch)
        predicted = predict(
            stack, stack.runs, sheets.fit(test.features, room), budget=self.eval_budget, advance=advance
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
        return predictions_table(test, self.task, predicted, self.material.labels, method=cell.label, seed=cell.seed)

    def _columns(self, cell: Cell) -> dict[str, Any]:
        return {
            "backbone": self.backbone.identity.name, "task": self.card.name, "method": cell.label, "seed": cell.seed,
            "source": str(self.material.source),
        }  # fmt: skip

    def _report_cut(self, group: Sequence[Cell], room: int, *parts: Features) -> int:
        """How many units are truncated to fit."""
        sheets = self._sheets(group[0])
        cut = sum(sheets.fit(part, room).cut for part in parts)
        if cut:
            most = min(room, self.material.longest or room)
            err.print(f"{_title(group)}: {cut:,} texts are longer than {most} tokens and are cut", soft_wrap=True)
        return cut

    def _training(self, cell: Cell) -> float:
        return work.training(self._sheets(cell).lessons(cell.seed), cell)

    def _advancer(self, part: Features, cell: Cell, watch: Watch) -> Callable[[int], None]:
        ratio = work.one_pass(part, cell) / float(part.lengths.sum())
        return lambda tokens: watch.advance(tokens, tokens * ratio)


def _title(group: Sequence[Cell]) -> str:
    labels = dict.fromkeys(cell.label for cell in group)
    seeds = dict.fromkeys(cell.seed for cell in group)
    name = ", ".join(labels) if len(labels) <= 2 else f"{next(iter(labels))} and {len(labels) - 1} more"  # noqa: PLR2004
    return f"{name} · seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
