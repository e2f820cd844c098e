"""A stored model that stays in memory and labels new texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import Any

from isogloss.errors import IsoglossError
from isogloss.experiment import remarks
from isogloss.experiment.choice import choose, run_directory
from isogloss.experiment.evaluate import Predicted, predict
from isogloss.experiment.new_texts import check_threshold, no_classes, parts_of
from isogloss.experiment.restore import check_reading, load_backbone, restore, verbalizer_of
from isogloss.languages.language import Language
from isogloss.preprocessing.features import Features
from isogloss.preprocessing.fill_template import tokenise_filled
from isogloss.preprocessing.truncate import text_room
from isogloss.runtime.console import err
from isogloss.runtime.determinism import deterministic
from isogloss.store import RunRecord, Store, StoredCell
from isogloss.tasks.registry import TASKS
from isogloss.tasks.task import Task
from isogloss.tasks.verbalizer import Verbalizer
from isogloss.training.stack import Stack

__all__ = ["Model", "choose"]


@dataclass(frozen=True, eq=False)
class Model:
    """One trained cell of a run directory, ready to predict.

    Args:
        record: what is known of it.
        stack: the cell, alone on its backbone.
        verbalizer: the words that are its classes, if any.
        deterministic: whether the run's spec asks for the same bits twice.
    """

    record: RunRecord
    stack: Stack
    verbalizer: Verbalizer | None
    deterministic: bool = False

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        method: str | None = None,
        seed: int | None = None,
        dtype: str | None = None,
        backbone: str | None = None,
    ) -> Model:
        """The model that was asked for, or the best on the source's development data.

        Args:
            folder: a run directory.
            method: a label of its methods; None: any.
            seed: of its seeds; None: any.
            dtype: what to compute in; None: what it was trained in.
            backbone: a folder or a hub id that its backbone is to be taken from; None: as the stored spec says.

        Raises:
            IsoglossError: nothing such is stored, or the backbone is not the one it was trained on.
        """
        stored = run_directory(folder)
        return cls.of(stored, choose(stored, method, seed), dtype=dtype, backbone=backbone)

    @classmethod
    def of(cls, stored: Store, cell: StoredCell, *, dtype: str | None = None, backbone: str | None = None) -> Model:
        """A stored cell.

        Args:
            stored: its run directory.
            cell: one of its cells.
            dtype: as of `load`.
            backbone: as of `load`.

        Raises:
            IsoglossError: the backbone is not the one it was trained on.
        """
        check_reading(cell)
        record = cell.record
        same = stored.known_spec().deterministic
        with deterministic(same):
            words = record.facts.get("verbalizer") is not None
            loaded = load_backbone(stored, [cell], words=words, dtype=dtype, name=backbone)
            verbalizer = verbalizer_of(loaded, record.facts, record.inputs)
            return cls(record, restore(loaded, record, cell.weights(), verbalizer), verbalizer, same)

    def __repr__(self) -> str:
        """In a line: which of the trained models it is."""
        return f"Model({self.record.method!r}, seed={self.record.seed}, backbone={self.stack.backbone.identity.name!r})"

    @property
    def temperature(self) -> float:
        """What its scores are divided by to be probabilities; 1.0 where none is kept."""
        return 1.0 if self.record.temperature is None else self.record.temperature

    @property
    def task(self) -> Task:
        """The kind of task."""
        return TASKS[self.record.kind]

    def predict(
        self,
        texts: Sequence[str] | Sequence[Sequence[str]],
        language: str | None = None,
        *,
        batch_size: int = 256,
        scores: bool = False,
        threshold: float | None = None,
    ) -> list[dict[str, Any]]:
        """A label and its probability for every text.

        Args:
            texts: one text each; of pairs and of questions the two texts, with a tab between or as a pair.
            language: any code of it: written into the answers, and chooses the words of a verbalizer that has some
                for it.
            batch_size: texts that are prepared and held at one time; how many tokens go through the model at once
                does not depend on it.
            scores: whether the probability of every class is wanted, by its name; of tagging for each word.
            threshold: an answer whose `score` is lower is withheld: None stands in its place. The score stays.

        Returns:
            A dictionary for each text. `score`, from 0 to 1, is how sure the answer is: of classes the probability by
            the temperature that was fitted on the source's development data, of tagging the mean over the words. Of
            classification there are `text` (of pairs `second` too) and `label`. Of tagging, `words` and their `labels`
            with `offsets`, where each word begins and ends in the text, and where labels mark spans `spans`, each with
            `label`, `text`, `start`, `end` and `score`. Of questions, `question`, `answer`, and where it stands in the
            passage, `start` and `end`. Places are counted in characters, as Python counts them, and ends are behind
            the last one.

        Raises:
            IsoglossError: a text is empty or has not the parts that the data set's examples have.
        """
        if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Iterable):
            raise IsoglossError(f"texts is {type(texts).__name__}; expected a list of texts, such as ['One text.']")
        whole = list(texts)
        for number, text in enumerate(whole, start=1):  # before any is labelled
            self.parts(text, number)
        return list(self.answers(whole, language, batch_size=batch_size, scores=scores, threshold=threshold))

    def answers(
        self,
        texts: Iterable[str] | Iterable[Sequence[str]],
        language: str | None = None,
        *,
        batch_size: int = 256,
        scores: bool = False,
        threshold: float | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The answers of `predict` as they come, of texts as they come: there may be any number.

        Raises:
            IsoglossError: a text is empty or has not the parts that the data set's examples have; those before it in
                other batches have their answers.
        """
        if language is not None and not isinstance(language, str):
            raise IsoglossError(f"language is {language!r}; expected a code such as sw")
        code = None if language is None else str(Language.parse(language))
        if isinstance(batch_size, bool) or not isinstance(batch_size, Integral) or batch_size < 1:
            raise IsoglossError(f"batch_size is {batch_size!r}; expected a number, at least 1")
        self.check(scores=scores, threshold=threshold)
        parts = (self.parts(text, number) for number, text in enumerate(texts, start=1))
        cut = CutTexts(self)
        while batch := list(islice(parts, batch_size)):
            predicted = self.scored(batch, code)
            cut.count(predicted.features)
            yield from self.shown(batch, predicted, code, scores=scores, threshold=threshold)
        cut.say()

    def parts(self, text: str | Sequence[str], number: int) -> list[str]:
        """The parts of an input, each with something in it.

        Args:
            text: a text; of pairs and of questions the two texts, with a tab between or in a list.
            number: of the input, by which errors name it.

        Raises:
            IsoglossError: it is empty, no text, or has not the parts that the data set's examples have.
        """
        return parts_of(text, f"text {number}", self.record.inputs)

    def check(self, *, scores: bool, threshold: float | None) -> None:
        """Whether answers can be given so.

        Raises:
            IsoglossError: the threshold is no probability, or scores of classes are wanted where there are none.
        """
        check_threshold(threshold)
        if scores and not self.task.classes:
            raise no_classes(self.record.inputs)

    def features(self, parts: Sequence[Sequence[str]], code: str | None) -> Features:
        """New texts, tokenised.

        Args:
            parts: of each input, checked.
            code: of the language, in its canonical form, where it is known.
        """
        facts, backbone = self.record.facts, self.stack.backbone
        if self.verbalizer is None:
            last = facts["subword"] == "last"
            return self.task.unlabelled(parts, backbone.tokenizer, last=last, longest=facts["longest"])
        return tokenise_filled(
            self.verbalizer.template, tuple(zip(*parts, strict=True)), [0] * len(parts), backbone.tokenizer,
            causal=backbone.causal, wording=self.verbalizer.wording(code), longest=facts["longest"],
        )  # fmt: skip

    def scored(self, parts: Sequence[Sequence[str]], code: str | None) -> Predicted:
        """The scores of new texts, few enough to be held at one time; arguments as of `features`."""
        with deterministic(self.deterministic):
            (predicted,) = predict(self.stack, self.stack.runs, self.features(parts, code))
        return predicted

    def shown(
        self,
        parts: Sequence[Sequence[str]],
        predicted: Predicted,
        code: str | None,
        *,
        scores: bool = False,
        threshold: float | None = None,
    ) -> list[dict[str, Any]]:
        """Inputs and their answers, for people.

        Args:
            parts: of each input.
            predicted: their scores.
            code: of the language, in its canonical form, where it is known.
            scores: as for `predict`.
            threshold: as for `predict`.
        """
        answers = self.answered(parts, predicted, code, scores=scores, threshold=threshold)
        return [{**self.task.given(part), **answer} for part, answer in zip(parts, answers, strict=True)]

    def answered(
        self,
        parts: Sequence[Sequence[str]],
        predicted: Predicted,
        code: str | None,
        *,
        scores: bool = False,
        threshold: float | None = None,
    ) -> list[dict[str, Any]]:
        """The answers of `shown`, without the inputs."""
        task, units = self.task, predicted.scores
        if task.classes and self.temperature != 1:
            units = units / self.temperature
        answers = task.answers(predicted.features, units, self.record.labels, parts, every=scores)
        for answer in answers:
            if threshold is not None and answer["score"] < threshold:
                answer.update((name, None) for name in task.withheld if name in answer)
            if code is not None:
                answer["language"] = code
        return answers


class CutTexts:
    """How many texts were longer than fits, of all that a model is given.

    Args:
        model: that reads them.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.counted = 0
        self.longest: int | None = None

    def count(self, features: Features) -> None:
        """More texts, cut to fit."""
        self.counted, self.longest = self.counted + features.cut, features.longest

    def say(self) -> None:
        """Say it in a line, if there were any."""
        if self.counted:
            stack = self.model.stack
            most = text_room(stack.room(stack.runs[0]), self.longest)
            err.print(remarks.cut_line(self.counted, most), soft_wrap=True)
