"""Texts of several models through one forward pass: they share the backbone, and each has its own prompt and head.

This is the run axis of training in use. Rows of all requests, whichever of the models they ask for, are packed end to
end; each knows whose prompt it is read with, and each model's head scores its own. A row's answer is what its model
gives alone, to float tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from isogloss.backbones.layout import to_device
from isogloss.backbones.prompts import Prompt
from isogloss.errors import IsoglossError
from isogloss.experiment.evaluate import Predicted
from isogloss.experiment.predict import Model
from isogloss.preprocessing.batching import budgets, passes
from isogloss.preprocessing.features import Features
from isogloss.preprocessing.truncate import fit
from isogloss.runtime.determinism import deterministic
from isogloss.tasks import heads
from isogloss.training.stack import Stack, wordings


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts for one of the models that share a pass.

    Args:
        model: its number among them.
        features: the texts, cut to the room that the model has.
        wanted: whether somebody still waits for the answers; asked before each pass.
    """

    model: int
    features: Features
    wanted: Callable[[], bool] = lambda: True


class SharedPass:
    """Models that one forward pass serves: a stack of their runs.

    Args:
        models: alike in all that `kind` says.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        self.models = list(models)
        alone = models[0].stack
        self.stack = Stack(alone.backbone, alone.method, [model.stack.runs[0] for model in models])
        self.deterministic = models[0].deterministic
        with torch.no_grad(), deterministic(self.deterministic):
            self._prompt = self.stack.prompt(self.stack.runs)  # of all, made ready once
        self.budget = budgets(alone.backbone.device)[1]  # tokens of a pass

    @staticmethod
    def kind(model: Model) -> Hashable:
        """What models have to have in common: the backbone in memory, and how rows go through it.

        Args:
            model: alone on its backbone, or on one that others share.
        """
        stack, (run,) = model.stack, model.stack.runs
        probe = model.features([["a"] * len(model.record.inputs)], None)
        rows = probe.words is None and probe.filled is None
        return (
            id(stack.backbone),
            stack.method.name,
            tuple(getattr(run.settings, name) for name in stack.method.alike),
            stack.pooling if rows else None,  # words and answers stand for themselves
            probe.words is None,
            None if probe.filled is None else probe.filled.prompt is None,
            probe.types is None,
            model.deterministic,
            None if stack.method.frozen else id(model),
        )

    def fitted(self, model: int, features: Features) -> Features:
        """Texts of one of the models, cut to the room that its prompt leaves.

        Raises:
            IsoglossError: the tokenizer leaves nothing of one, which would be read as its neighbour in the pass.
        """
        if len(nothing := np.flatnonzero(features.lengths == 0)):
            raise IsoglossError(f"text {nothing[0] + 1} has no character in it that the model's tokenizer knows")
        run = self.stack.runs[model]
        return fit(features, self.stack.room(run), self.stack.backbone.tokenizer)

    def tokens(self, texts: Texts) -> int:
        """What goes through the backbone of some texts, their model's prompt in front of each included."""
        return int((texts.features.lengths + self._positions(texts.model)).sum())

    def _positions(self, model: int) -> int:
        """Those that the prompt of one of the models takes."""
        return self.stack.method.positions(self.stack.runs[model].settings)

    @torch.no_grad()
    def predicted(
        self,
        texts: Sequence[Texts],
        *,
        budget: int | None = None,
        passed: Callable[[int, int, int], None] = lambda *_: None,
    ) -> list[Predicted | None]:
        """Every unit's scores, by the model that each of the texts is for.

        Args:
            texts: in any order, of any of the models.
            budget: most tokens of one pass; None: as many as suit the device.
            passed: called after each pass with how many models, rows and tokens it was of.

        Returns:
            The scores of each, on the CPU; None where nobody waits for them any more.
        """
        stack, order = self.stack, sorted(range(len(texts)), key=lambda number: texts[number].model)
        of_model = {
            model: _joined([texts[number].features for number in some])
            for model, some in groupby(order, key=lambda number: texts[number].model)
        }
        counts = [len(texts[number].features) for number in order]
        owner = np.repeat(order, counts).astype(np.int64)  # which of the texts each row is of
        model = np.repeat([texts[number].model for number in order], counts).astype(np.int64)
        row = np.concatenate([np.arange(len(features)) for features in of_model.values()])
        lengths = np.concatenate([
            features.lengths + self._positions(number)
            for number, features in of_model.items()
        ])  # fmt: skip
        device = stack.backbone.device
        scores = {
            number: torch.zeros(len(features.labels), stack.runs[number].head.classes, device=device)
            for number, features in of_model.items()
        }
        with deterministic(self.deterministic):
            for whole in passes(lengths, budget=budget or self.budget):
                wanted = np.asarray([one.wanted() for one in texts])
                some = whole[wanted[owner[whole]]]
                if len(some) == 0:
                    continue
                present = np.unique(model[some]).tolist()
                parts = [(of_model[number], row[some[model[some] == number]]) for number in present]
                self._score(present, parts, scores)
                passed(len(present), len(some), sum(int(part.lengths[rows].sum()) for part, rows in parts))
        return self._by_texts(texts, order, {number: part.cpu() for number, part in scores.items()})

    def _score(self, present: list[int], parts: list[tuple[Features, np.ndarray]], scores: dict[int, Tensor]) -> None:
        """One pass, with the rows of each model that is present, and what the models' heads make of it."""
        stack = self.stack
        runs = [stack.runs[number] for number in present]
        batch = stack.collated(parts, stack.form(runs))
        states = stack.head_inputs(batch, self._prompt_of(present))  # (K, U, H)
        for place, (number, run, (features, rows)) in enumerate(zip(present, runs, parts, strict=True)):
            units = features.units(rows)
            index = to_device(torch.from_numpy(units), states.device)
            wording = wordings(features, units, states.device)
            scores[number][index] = heads.logits([run.head], states[place : place + 1, : len(units)], wording)[0]

    def _prompt_of(self, present: list[int]) -> Prompt | None:
        """The prompts of these models, taken from those of all."""
        if self._prompt is None or len(present) == len(self.models):
            return self._prompt
        form = self._prompt.form
        lengths = tuple(form.lengths[number] for number in present)
        index = to_device(torch.tensor(present), self._prompt.vectors.device)
        vectors = self._prompt.vectors.index_select(0, index).narrow(form.axis + 1, 0, max(lengths))
        return replace(form, lengths=lengths).of(vectors)

    def _by_texts(
        self, texts: Sequence[Texts], order: Sequence[int], scores: dict[int, Tensor]
    ) -> list[Predicted | None]:
        """The scores of each of the texts, which lie end to end by model."""
        out: list[Predicted | None] = [None] * len(texts)
        begins = dict.fromkeys(scores, 0)
        for number in order:
            one = texts[number]
            begin = begins[one.model]
            begins[one.model] = end = begin + len(one.features.labels)
            if one.wanted():
                out[number] = Predicted(one.features, scores[one.model][begin:end])
        return out


def _joined(parts: list[Features]) -> Features:
    """Rows end to end; whose examples they are is not asked for again."""
    return parts[0] if len(parts) == 1 else Features.joined(parts)
