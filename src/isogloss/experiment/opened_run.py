"""A run directory opened again, for analyses: its data, its backbone, and its cells ready to compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import polars as pl
from jaxtyping import Float
from torch import Tensor

from isogloss.backbones.backbone import Backbone
from isogloss.data.dataset import Examples
from isogloss.data.subsample import sample
from isogloss.errors import IsoglossError
from isogloss.experiment.cells import Cell
from isogloss.experiment.data import ExperimentData, read_data
from isogloss.experiment.encoded import EncodedData
from isogloss.experiment.evaluate import TestSet, predict, predictions_table, scores_table
from isogloss.experiment.provenance import limited_to_first_rows
from isogloss.experiment.restore import check_cell, load_backbone, restore, verbalizer_of
from isogloss.preprocessing.batching import budgets
from isogloss.preprocessing.truncate import fit
from isogloss.spec import ResolvedSpec
from isogloss.store import Snapshot, Store, StoredCell
from isogloss.tasks.registry import TASKS
from isogloss.tasks.task import Task
from isogloss.tasks.verbalizer import Verbalizer
from isogloss.training.loop import states_of
from isogloss.training.monitor import ParallelStates
from isogloss.training.stack import Stack


@dataclass(frozen=True, eq=False)
class OpenedRun:
    """A run directory; what is heavy is loaded when it is asked for, and once.

    Args:
        stored: the directory as it was when it was opened, whatever others add to it meanwhile.
        spec: that made it.
    """

    stored: Snapshot
    spec: ResolvedSpec

    @classmethod
    def of(cls, folder: Path) -> OpenedRun:
        """Open a run directory.

        Raises:
            IsoglossError: it is none, or nothing in it is finished.
        """
        stored = Store(folder).snapshot()
        cells = stored.finished()
        if not cells:
            raise IsoglossError(f"{folder} holds no finished run; `isogloss run` makes one")
        for cell in cells:
            check_cell(cell)
        return cls(stored, stored.known_spec())

    @cached_property
    def cells(self) -> list[tuple[Cell, StoredCell]]:
        """All that is finished, in the order of the spec."""
        names, finished = list(self.spec.methods), self.stored.finished()
        finished.sort(key=lambda stored: ([*names, stored.record.name].index(stored.record.name), stored.key))
        return [(Cell.of(stored.record), stored) for stored in finished]

    @cached_property
    def backbone(self) -> Backbone:
        """As it was pre-trained; checked to be that of all cells."""
        stored = [stored for _, stored in self.cells]
        return load_backbone(self.stored, stored, words=None, dtype=stored[0].record.facts["backbone"]["dtype"])

    @cached_property
    def data(self) -> ExperimentData:
        """The data, checked to be what the cells were trained and scored on; of languages that a cell was scored on.

        A spec may have been sent by somebody, and name files that no cell has seen.
        """
        data = read_data(self.spec, first_rows=limited_to_first_rows(self.spec, [stored for _, stored in self.cells]))
        learnt = {"train": data.train.fingerprint, "dev": data.dev.fingerprint}
        scored: set[str] = set()
        for cell, stored in self.cells:
            facts, tested = stored.record.facts, stored.record.test_data
            if changed := [split for split, now in learnt.items() if facts.get(split) != now]:
                raise IsoglossError(f"the {changed[0]} data of {data.source} is not what {cell.label} was trained on")
            if changed := [code for code, now in data.test_data.items() if tested.get(code, now) != now]:
                raise IsoglossError(f"the test data of {', '.join(changed)} is not what {cell.label} was scored on")
            scored |= tested.keys()
        tests, unlabelled = (
            [test for test in some if str(test.language) in scored] for some in (data.tests, data.unlabelled)
        )
        return replace(data, tests=tests, unlabelled=unlabelled)

    @property
    def task(self) -> Task:
        """The kind of task."""
        return TASKS[self.data.dataset.card.kind]

    @property
    def metric(self) -> str:
        """The first metric of the data set."""
        name: str = self.cells[0][1].record.facts["metrics"][0]
        return name

    def verbalizer(self, stored: StoredCell) -> Verbalizer | None:
        """The words that are a cell's classes, if any."""
        return verbalizer_of(self.backbone, stored.record.facts, stored.record.inputs)

    def stack(self, stored: StoredCell) -> Stack:
        """A cell as it was when its training had ended."""
        return restore(self.backbone, stored.record, stored.weights(), self.verbalizer(stored))

    def trace(self, stack: Stack, parallel: ParallelStates) -> Float[Tensor, "depths rows H"]:
        """The states of parallel sentences in a stack of one; where nothing but a head was trained, those of before."""
        (run,) = stack.runs
        cut = fit(parallel.features, stack.room(run), self.backbone.tokenizer)
        return states_of(replace(parallel, features=cut), stack, run, budgets(self.backbone.device)[1])

    def sample(self, stored: StoredCell, parts: Sequence[Examples], examples: int) -> TestSet:
        """So many of each part, evenly spread; of the source, where it is the first, as many as of all others."""
        wanted = [examples] * len(parts)
        if parts[0].language == self.data.source:
            wanted[0] = examples * max(1, len(parts) - 1)
        taken = [sample(part, count) for part, count in zip(parts, wanted, strict=True)]
        return EncodedData(self.data, self.task, self.backbone, self.verbalizer(stored)).test_set(taken)

    def scores(self, stack: Stack, cell: Cell, test: TestSet) -> pl.DataFrame:
        """Scores of a stack of one on a test set by language, in the first metric."""
        (predicted,) = predict(stack, stack.runs, test.features)
        labels = self.data.labels
        predictions = predictions_table(test, self.task, predicted, labels, method=cell.label, seed=cell.seed)
        return scores_table(predictions, self.task, [self.metric], {}).select("language", "metric", "value", "n")
