"""The material as features: tokenised for one kind of head, cut to fit, the few shots of a seed drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from isogloss.backbones import Backbone
from isogloss.batching import budgets
from isogloss.cutting import fit
from isogloss.data import Examples
from isogloss.data.shots import draw
from isogloss.evaluate import TestSet
from isogloss.features import Features
from isogloss.material import Material
from isogloss.methods import find
from isogloss.observing import Memory, sample
from isogloss.parallel import Parallel
from isogloss.runs import Stack, new_run
from isogloss.tasks import Task
from isogloss.tasks.classification import Classification
from isogloss.tokenising import tokenise
from isogloss.verbalizer import Verbalizer


def subword(material: Material, backbone: Backbone) -> str:
    """Which sub-word stands for a word: a decoder has read the whole word only at its last."""
    return material.subword or ("last" if backbone.causal else "first")


@dataclass(frozen=True)
class Lessons:
    """What a seed learns from and selects on."""

    train: Features
    dev: Features
    gold: list[str]  # the right answers of `dev`


class Sheets:
    """Features of one kind of head.

    Args:
        material: the data.
        task: its kind.
        backbone: whose tokenizer encodes it.
        verbalizer: whose template is filled in; none for a linear head.
    """

    def __init__(self, material: Material, task: Task, backbone: Backbone, verbalizer: Verbalizer | None) -> None:
        self.material = material
        self.task = task
        self.backbone = backbone
        self.verbalizer = verbalizer
        self._lessons: dict[int | None, Lessons] = {}
        self._fewer: dict[int, TestSet] = {}
        self._fitted: dict[tuple[int, int], tuple[Features, Features]] = {}

    @cached_property
    def test(self) -> TestSet:
        """Every language."""
        return self.test_set(self.material.tests)

    @cached_property
    def watched(self) -> TestSet:
        """All that may be looked at in training."""
        return self.test_set(self.material.watched)

    def fewer(self, examples: int) -> TestSet:
        """So many examples of each target of what may be looked at, and as many of the source as of all targets."""
        if examples not in self._fewer:
            source, *targets = self.material.watched
            wanted = [examples * max(1, len(targets)), *([examples] * len(targets))]
            taken = [sample(part, count) for part, count in zip((source, *targets), wanted, strict=True)]
            self._fewer[examples] = self.test_set(taken)
        return self._fewer[examples]

    def test_set(self, tests: Sequence[Examples]) -> TestSet:
        """The test splits of some languages."""
        return TestSet(tests, Features.joined([self._tokenised(part) for part in tests]))

    def lessons(self, seed: int) -> Lessons:
        """The source's training and development examples: all of them, or the shots that a seed draws."""
        material, shots = self.material, self.material.shots
        key = None if shots is None else seed
        if None not in self._lessons:
            train, dev = (self._tokenised(part) for part in (material.train, material.dev))
            self._lessons[None] = Lessons(train, dev, self.task.gold(material.dev.table))
        whole = self._lessons[None]
        if shots is not None and seed not in self._lessons:
            learnt, selected_on = (
                draw(self.task.gold(part.table), material.labels, shots=shots, seed=seed, what=part.split)
                for part in (material.train, material.dev)
            )
            gold = [whole.gold[place] for place in selected_on]
            self._lessons[seed] = Lessons(whole.train.taken(learnt), whole.dev.taken(selected_on), gold)
        return self._lessons[key]

    def fit(self, features: Features, room: int) -> Features:
        """Cut to fit, once for all methods with the same room."""
        key = (id(features), min(room, features.longest or room))
        if key not in self._fitted:  # kept together, so that the identity stays theirs
            self._fitted[key] = features, fit(features, room, self.backbone.tokenizer)
        return self._fitted[key][1]

    def _tokenised(self, part: Examples) -> Features:
        material, tokenizer = self.material, self.backbone.tokenizer
        if self.verbalizer is None:
            return self.task.features(
                part.table, material.labels, tokenizer, last=subword(material, self.backbone) == "last",
                longest=material.longest,
            )  # fmt: skip
        assert isinstance(self.task, Classification)
        return self.task.filled(
            part.table, material.labels, tokenizer, self.verbalizer.template, causal=self.backbone.causal,
            wording=self.verbalizer.wording(str(part.language)), longest=material.longest,
        )  # fmt: skip


def memory_of(parallel: Parallel, backbone: Backbone) -> Memory:
    """Parallel sentences and their states in a backbone that is as it was pre-trained."""
    texts = [text for own in parallel.texts for text in own]
    features = tokenise((texts,), [0] * len(texts), backbone.tokenizer)
    features = fit(features, backbone.room(0), backbone.tokenizer)
    method = find("linear-probe")
    run = new_run(method, backbone, method.settings.model_validate({}), seed=0, classes=1)
    before = Stack(backbone, method, [run]).trace(features, run, budget=budgets(backbone.device)[1])
    return Memory([str(language) for language in parallel.languages], features, before)
