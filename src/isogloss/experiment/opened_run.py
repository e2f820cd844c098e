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
from isogloss.experiment.restore import cell_of, load_backbone, restore
from isogloss.preprocessing.batching import budgets
from isogloss.preprocessing.truncate import fit
from isogloss.spec import Spec, check
from isogloss.store import Finished, Store
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
        stored: the directory.
        spec: that made it.
    """

    stored: Store
    spec: Spec

    @classmethod
    def of(cls, folder: Path) -> OpenedRun:
        """Open a run directory.

        Raises:
            IsoglossError: it is none, or nothing in it is finished.
        """
        stored = Store(folder)
        if not (folder / "spec.yaml").is_file() or not stored.finished():
            raise IsoglossError(f"{folder} holds no finished run; `isogloss run` makes one")
        return cls(stored, check(Spec, stored.spec(), where=str(folder / "spec.yaml")))

    @cached_property
    def cells(self) -> list[tuple[Cell, Finished]]:
        """All that is finished, in the order of the spec."""
        order = list(self.spec.methods)
        found = [(cell_of(one), one) for one in self.stored.finished()]
        return sorted(found, key=lambda pair: (order.index(pair[0].label.split("[")[0]), pair[0].label, pair[0].seed))

    @cached_property
    def backbone(self) -> Backbone:
        """As it was pre-trained; checked to be that of all cells."""
        found = [found for _, found in self.cells]
        return load_backbone(self.stored, found, words=None, dtype=found[0].record["facts"]["backbone"]["dtype"])

    @cached_property
    def data(self) -> ExperimentData:
        """The data, checked to be what the cells were scored on."""
        data = read_data(self.spec)
        for cell, found in self.cells:
            scored = found.record["test_data"]
            if changed := [code for code, now in data.test_data.items() if scored.get(code, now) != now]:
                raise IsoglossError(f"the test data of {', '.join(changed)} is not what {cell.label} was scored on")
        return data

    @property
    def task(self) -> Task:
        """The kind of task."""
        return TASKS[self.data.dataset.card.kind]

    @property
    def metric(self) -> str:
        """The first metric of the data set."""
        name: str = self.cells[0][1].record["facts"]["metrics"][0]
        return name

    def verbalizer(self, cell: Cell, found: Finished) -> Verbalizer | None:
        """The words that are a cell's classes, if any."""
        if cell.settings.head == "linear":
            return None
        return Verbalizer.of(
            self.backbone, self.data.labels, found.record["facts"]["verbalizer"], source=str(self.data.source),
            inputs=found.record["inputs"],
        )  # fmt: skip

    def stack(self, cell: Cell, found: Finished) -> Stack:
        """A cell as it was when its training had ended."""
        return restore(self.backbone, cell, found, self.verbalizer(cell, found))

    def trace(self, stack: Stack, memory: ParallelStates) -> Float[Tensor, "depths rows H"]:
        """The states of parallel sentences in a stack of one; where nothing but a head was trained, those of before."""
        (run,) = stack.runs
        cut = fit(memory.features, stack.room(run), self.backbone.tokenizer)
        return states_of(replace(memory, features=cut), stack, run, budgets(self.backbone.device)[1])

    def sample(self, cell: Cell, found: Finished, parts: Sequence[Examples], examples: int) -> TestSet:
        """So many examples of each part, evenly spread; of the first, the source, as many as of all others."""
        wanted = [examples * max(1, len(parts) - 1), *([examples] * (len(parts) - 1))]
        taken = [sample(part, count) for part, count in zip(parts, wanted, strict=True)]
        return EncodedData(self.data, self.task, self.backbone, self.verbalizer(cell, found)).test_set(taken)

    def scores(self, stack: Stack, cell: Cell, test: TestSet) -> pl.DataFrame:
        """Scores of a stack of one on a test set by language, in the first metric."""
        features = fit(test.features, stack.room(stack.runs[0]), self.backbone.tokenizer)
        (made,) = predict(stack, stack.runs, features, budget=budgets(self.backbone.device)[1])
        predictions = predictions_table(test, self.task, made, self.data.labels, method=cell.label, seed=cell.seed)
        return scores_table(predictions, self.task, [self.metric], {}).select("language", "metric", "value", "n")
