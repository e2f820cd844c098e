"""A stored model that stays in memory and labels new texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import Any

from isogloss.errors import IsoglossError, unknown
from isogloss.experiment.evaluate import Predicted, predict
from isogloss.experiment.restore import check_reading, load_backbone, restore, verbalizer_of
from isogloss.languages.language import Language
from isogloss.preprocessing.features import Features
from isogloss.preprocessing.fill_template import tokenise_filled
from isogloss.preprocessing.truncate import text_room
from isogloss.runtime.console import err
from isogloss.runtime.determinism import deterministic
from isogloss.store import RunRecord, Store, StoredCell
from isogloss.tasks.registry import TASKS
from isogloss.tasks.verbalizer import Verbalizer
from isogloss.training.stack import Stack


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
    temperature: float = 1.0

    @classmethod
    def load(cls, folder: Path, *, method: str | None = None, seed: int | None = None) -> Model:
        """The model that was asked for, or the best on the source's development data.

        Args:
            folder: a run directory.
            method: a label of its methods; None: any.
            seed: of its seeds; None: any.

        Raises:
            IsoglossError: nothing such is stored, or the backbone is not the one it was trained on.
        """
        if not folder.is_dir():
            raise IsoglossError(f"{folder} does not exist; expected a run directory")
        stored = Store(folder)
        cell = choose(stored, method, seed)
        check_reading(cell)
        record = cell.record
        same = stored.known_spec().deterministic
        with deterministic(same):
            backbone = load_backbone(stored, [cell], words=record.facts.get("verbalizer") is not None)
            verbalizer = verbalizer_of(backbone, record.facts, record.inputs)
            return cls(record, restore(backbone, record, cell.weights(), verbalizer), verbalizer, same)

    def __repr__(self) -> str:
        """In a line: which of the trained models it is."""
        return f"Model({self.record.method!r}, seed={self.record.seed}, backbone={self.stack.backbone.identity.name!r})"

    def predict(
        self, texts: Sequence[str] | Sequence[Sequence[str]], language: str | None = None, *, batch_size: int = 256
    ) -> list[dict[str, Any]]:
        """A label and its probability for every text.

        Args:
            texts: one text each; of pairs and of questions the two texts, with a tab between or as a pair.
            language: any code of it: written into the answers, and chooses the words of a verbalizer that has some
                for it.
            batch_size: texts that are prepared and held at one time; how many tokens go through the model at once
                does not depend on it.

        Returns:
            A dictionary for each text, with the text, `label` (of tagging `labels`, of questions `answer`) and `score`.

        Raises:
            IsoglossError: a text is empty or has not the parts that the data set's examples have.
        """
        if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Iterable):
            raise IsoglossError(f"texts is {type(texts).__name__}; expected a list of texts, such as ['One text.']")
        whole = list(texts)
        for number, text in enumerate(whole, start=1):  # before any is labelled
            _parts(text, number, self.record.inputs)
        return list(self.answers(whole, language, batch_size=batch_size))

    def answers(
        self, texts: Iterable[str] | Iterable[Sequence[str]], language: str | None = None, *, batch_size: int = 256
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
        parts = (_parts(text, number, self.record.inputs) for number, text in enumerate(texts, start=1))
        cut, longest = 0, None
        while batch := list(islice(parts, batch_size)):
            with deterministic(self.deterministic):
                (predicted,) = predict(self.stack, self.stack.runs, self._features(batch, code))
            cut, longest = cut + predicted.features.cut, predicted.features.longest
            yield from self._answers(batch, predicted, code)
        if cut:
            most = text_room(self.stack.room(self.stack.runs[0]), longest)
            err.print(f"{cut:,} texts are longer than {most} tokens and are cut", soft_wrap=True)

    def parts(self, text: str | Sequence[str], number: int) -> list[str]:
        """An input's parts, checked."""
        return _parts(text, number, self.record.inputs)

    def check(self, *, scores: bool, threshold: float | None) -> None:
        """Whether answers can be given so."""

    def features(self, parts: Sequence[Sequence[str]], code: str | None) -> Features:
        """Tokenised, not cut yet."""
        return self._features(parts, code)

    def shown(
        self,
        parts: Sequence[Sequence[str]],
        predicted: Predicted,
        code: str | None,
        *,
        scores: bool = False,
        threshold: float | None = None,
    ) -> list[dict[str, Any]]:
        """Answers for people."""
        answers = self._answers(parts, predicted, code)
        for answer in answers if threshold is not None else []:
            if answer["score"] < threshold:
                answer["label"] = None
        return answers

    def _answers(self, parts: Sequence[Sequence[str]], predicted: Predicted, code: str | None) -> list[dict[str, Any]]:
        task = TASKS[self.record.kind]
        labels, scores = task.predicted(predicted.features, predicted.scores, self.record.labels)
        named = {} if code is None else {"language": code}
        return [
            {**task.shown(part, label), "score": round(score, 4), **named}
            for part, label, score in zip(parts, labels, scores, strict=True)
        ]

    def _features(self, parts: Sequence[Sequence[str]], code: str | None) -> Features:
        facts, backbone = self.record.facts, self.stack.backbone
        if self.verbalizer is None:
            last = facts["subword"] == "last"
            task = TASKS[self.record.kind]
            return task.unlabelled(parts, backbone.tokenizer, last=last, longest=facts["longest"])
        return tokenise_filled(
            self.verbalizer.template, tuple(zip(*parts, strict=True)), [0] * len(parts), backbone.tokenizer,
            causal=backbone.causal, wording=self.verbalizer.wording(code), longest=facts["longest"],
        )  # fmt: skip


def _parts(text: str | Sequence[str], number: int, inputs: Sequence[str]) -> list[str]:
    """The parts of an example, each with something in it."""
    parts: list[Any] = list(text) if isinstance(text, list | tuple) else [text]
    if isinstance(text, str) and len(inputs) > 1:
        parts = text.split("\t")
    for part in parts:
        if not isinstance(part, str):
            raise IsoglossError(f"text {number} is {type(part).__name__}; expected a text")
        if not _writable(part):
            raise IsoglossError(f"text {number} is no text that can be written as UTF-8: {part[:60]!a}")
    parts = [str(part) for part in parts]  # NumPy's texts are of a type of their own
    if parts and not any(part.strip() for part in parts):
        raise IsoglossError(f"text {number} is empty; every line holds one text")
    if len(parts) != len(inputs) or not all(part.strip() for part in parts):
        between = " with a tab between" if len(inputs) > 1 else ""
        raise IsoglossError(f"text {number} is not a {' and a '.join(inputs)}{between}: {str(text)[:60]!r}")
    return parts


def _writable(text: str) -> bool:
    """Whether it is whole: half of a surrogate pair is no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def choose(stored: Store, method: str | None, seed: int | None) -> StoredCell:
    """The stored cell that was asked for, or the best on the source's development data."""
    cells = stored.finished()
    if not cells:
        raise IsoglossError(f"{stored.path} holds no finished run; `isogloss run` makes one")
    labels = {cell.record.method for cell in cells}
    if method is not None and method not in labels:
        raise unknown("method of this run", method, labels)
    of_method = [cell for cell in cells if method in {None, cell.record.method}]
    fitting = [cell for cell in of_method if seed in {None, cell.record.seed}]
    if not fitting:
        seeds = sorted({cell.record.seed for cell in of_method})
        raise IsoglossError(f"{stored.path} has no seed {seed!r}; it has {', '.join(map(str, seeds))}")
    return max(fitting, key=lambda cell: cell.table("scores").filter(split="dev")["value"][0])
