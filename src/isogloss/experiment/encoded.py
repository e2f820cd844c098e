"""The data as features: tokenised for one kind of head, cut to fit, the few shots of a seed drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from isogloss.backbones.backbone import Backbone
from isogloss.data.dataset import Examples
from isogloss.data.few_shot import draw
from isogloss.data.subsample import sample
from isogloss.experiment.data import ExperimentData
from isogloss.experiment.evaluate import TestSet
from isogloss.preprocessing.feature_cache import SMALLEST, kept_features, tokenizer_identity
from isogloss.preprocessing.features import Features
from isogloss.preprocessing.truncate import fit, text_room
from isogloss.tasks.classification import Classification
from isogloss.tasks.task import Task
from isogloss.tasks.verbalizer import Verbalizer


def subword(data: ExperimentData, backbone: Backbone) -> str:
    """Which sub-word stands for a word: a decoder has read the whole word only at its last."""
    return data.subword or ("last" if backbone.causal else "first")


@dataclass(frozen=True)
class TrainDev:
    """What a seed learns from and selects on."""

    train: Features
    dev: Features
    gold: list[str]  # the right answers of `dev`


class EncodedData:
    """Features of one kind of head.

    Args:
        data: the data.
        task: its kind.
        backbone: whose tokenizer encodes it.
        verbalizer: whose template is filled in; none for a linear head.
        given: which sub-word stands for a word; None: as the data are read.
        most: examples of a split that are tokenised, to reckon with: they stand for the others too; None: all.
    """

    def __init__(
        self, data: ExperimentData, task: Task, backbone: Backbone, verbalizer: Verbalizer | None,
        given: str | None = None, most: int | None = None,
    ) -> None:  # fmt: skip
        self.data = data
        self.task = task
        self.backbone = backbone
        self.verbalizer = verbalizer
        self.most = most
        self.subword = given or subword(data, backbone)  # that stands for a word
        self._train_dev: dict[int | None, TrainDev] = {}
        self._fewer: dict[int, TestSet] = {}
        self._languages: dict[tuple[str, ...], TestSet] = {}
        self._fitted: dict[tuple[int, int], tuple[Features, Features]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to another process, where objects have other identities."""
        return {**self.__dict__, "_fitted": {}}

    @cached_property
    def test(self) -> TestSet:
        """Every language."""
        return self.test_set(self.data.predicted)

    @cached_property
    def watched(self) -> TestSet:
        """All that may be looked at in training."""
        return self.test_set(self.data.watched)

    def fewer(self, examples: int) -> TestSet:
        """So many examples of each target of what may be looked at, and as many of the source as of all targets."""
        if examples not in self._fewer:
            source, *targets = self.data.watched
            wanted = [examples * max(1, len(targets)), *([examples] * len(targets))]
            taken = [sample(part, count) for part, count in zip((source, *targets), wanted, strict=True)]
            self._fewer[examples] = self.test_set(taken)
        return self._fewer[examples]

    def test_set(self, tests: Sequence[Examples]) -> TestSet:
        """The test splits of some languages."""
        return TestSet(tests, Features.joined([self._tokenised(part) for part in tests]))

    def languages(self, codes: Sequence[str]) -> TestSet:
        """The test splits of these languages, tokenised once for all cells that lack them."""
        wanted = tuple(codes)
        if wanted not in self._languages:
            self._languages[wanted] = self.test_set(
                [part for part in self.data.predicted if str(part.language) in wanted]
            )
        return self._languages[wanted]

    def train_dev(self, seed: int) -> TrainDev:
        """The source's training and development examples: all of them, or the shots that a seed draws."""
        data, shots = self.data, self.data.shots
        key = None if shots is None else seed
        if None not in self._train_dev:
            train, dev = (self._tokenised(part) for part in (data.train, data.dev))
            self._train_dev[None] = TrainDev(train, dev, self.task.gold(data.dev.table))
        whole = self._train_dev[None]
        if shots is not None and seed not in self._train_dev:
            learnt, selected_on = (
                draw(self.task.gold(part.table), data.labels, shots=shots, seed=seed, what=part.split)
                for part in (data.train, data.dev)
            )
            gold = [whole.gold[row] for row in selected_on]
            self._train_dev[seed] = TrainDev(whole.train.taken(learnt), whole.dev.taken(selected_on), gold)
        return self._train_dev[key]

    def fit(self, features: Features, room: int) -> Features:
        """Cut to fit, once for all methods with the same room."""
        key = (id(features), text_room(room, features.longest))
        if key not in self._fitted:  # kept together, so that the identity stays theirs
            self._fitted[key] = features, fit(features, room, self.backbone.tokenizer)
        return self._fitted[key][1]

    def _tokenised(self, part: Examples) -> Features:
        """One split in one language; of a large one what was kept of it, if it was tokenised so before."""
        if self.most is not None and len(part) > self.most:
            times, rest = divmod(len(part), self.most)
            some = [self._made(sample(part, self.most))] * times
            return Features.joined([*some, *([self._made(sample(part, rest))] if rest else [])])
        make, size = partial(self._made, part), part.inputs.estimated_size()
        if size < SMALLEST:
            return make()
        texts = self.task.texts(part.table, None if self.verbalizer is None else self.verbalizer.template)
        return kept_features(self._facts(part), texts, make)

    def _facts(self, part: Examples) -> dict[str, Any]:
        """All that decides what `_made` makes of a split."""
        data, verbalizer = self.data, self.verbalizer
        facts: dict[str, Any] = {
            "data": part.fingerprint,
            "columns": part.table.columns,
            "kind": data.dataset.card.kind,
            "labels": data.labels,
            "tokenizer": tokenizer_identity(self.backbone.tokenizer),
            "longest": data.longest,
        }
        if verbalizer is None:
            return {**facts, "subword": self.subword}
        wording = verbalizer.wording(str(part.language))
        return {**facts, "template": repr(verbalizer.template), "wording": wording, "causal": self.backbone.causal}

    def _made(self, part: Examples) -> Features:
        data, tokenizer = self.data, self.backbone.tokenizer
        if self.verbalizer is None:
            return self.task.features(
                part.table, data.labels, tokenizer, last=self.subword == "last",
                longest=data.longest,
            )  # fmt: skip
        assert isinstance(self.task, Classification)
        return self.task.filled(
            part.table, data.labels, tokenizer, self.verbalizer.template, causal=self.backbone.causal,
            wording=self.verbalizer.wording(str(part.language)), longest=data.longest,
        )  # fmt: skip
