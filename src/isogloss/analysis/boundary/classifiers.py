"""Whether the boundary between classes that is learnt in the source is the one that a target needs.

Where a target scores badly, either its states do not tell the classes apart, or they do, but by another boundary. So
linear classifiers are fitted to the states that enter a model's head: one to the source's, one to each target's. Each
language's test examples are divided into halves, class by class: one to fit on, one to be scored on. On parallel data
an item is in the same half in every language. Where examples are alike, such as sentences of one template, like ones
are in both halves: a boundary fitted to a language's own states then looks better than it would on new examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float, Int
from scipy.linalg import subspace_angles
from sklearn.linear_model import LogisticRegression

from isogloss.data.dataset import Examples
from isogloss.data.subsample import spread
from isogloss.errors import NotApplicableError
from isogloss.experiment.encoded import EncodedData
from isogloss.experiment.evaluate import TestSet
from isogloss.experiment.opened_run import OpenedRun
from isogloss.preprocessing.batching import budgets
from isogloss.preprocessing.truncate import fit
from isogloss.runtime.seeding import derive
from isogloss.training.stack import Stack

FEWEST = 2  # examples of a class in each half to fit on; classes with fewer are left out
ITERATIONS = 10_000  # at most; it takes some dozens
SCHEMA: Any = {
    "method": pl.String, "seed": pl.Int64, "language": pl.String, "angle": pl.Float64, "cosine": pl.Float64,
    "agreement": pl.Float64, "source_on_source": pl.Float64, "source_on_target": pl.Float64,
    "target_on_target": pl.Float64, "target_on_source": pl.Float64, "centroid": pl.Float64,
    "centroid_transfer": pl.Float64, "classes": pl.Int64, "n": pl.Int64,
}  # fmt: skip


@dataclass(frozen=True)
class LabelledStates:
    """States with their classes."""

    states: Float[np.ndarray, "N H"]
    gold: Int[np.ndarray, "N"]

    def only(self, classes: Sequence[int]) -> LabelledStates:
        """Those of some classes."""
        taken = np.isin(self.gold, classes)
        return LabelledStates(self.states[taken], self.gold[taken])

    def centroids(self, classes: Sequence[int]) -> Float[np.ndarray, "C H"]:
        """The mean state of each class."""
        return np.stack([self.states[self.gold == one].mean(axis=0) for one in classes])


@dataclass(frozen=True)
class SplitStates:
    """The examples of one language: those to fit on, and those to be scored on."""

    fitting: LabelledStates
    held: LabelledStates

    def only(self, classes: Sequence[int]) -> SplitStates:
        """Those of some classes."""
        return SplitStates(self.fitting.only(classes), self.held.only(classes))


def division(names: Sequence[str], labels: Sequence[str]) -> dict[str, bool]:
    """Whether each example is one to fit on: every second of its class, in an order that its id decides."""
    seen: dict[str, int] = {}
    fitted_on = {}
    for _, name, label in sorted(
        (derive("boundary", name), name, label) for name, label in zip(names, labels, strict=True)
    ):
        seen[label] = seen.get(label, 0) + 1
        fitted_on[name] = seen[label] % 2 == 1
    return fitted_on


def classifier(half: LabelledStates) -> LogisticRegression:
    """Multinomial logistic regression with an L2 penalty, to convergence: the same for the same states."""
    return LogisticRegression(C=1.0, max_iter=ITERATIONS).fit(half.states, half.gold)


def directions(model: LogisticRegression) -> Float[np.ndarray, "C H"]:
    """Its weights, centred over classes: to add the same to all of them changes no answer."""
    weights = model.coef_ if len(model.classes_) > 2 else np.concatenate([-model.coef_, model.coef_])  # noqa: PLR2004
    centred: np.ndarray = weights - weights.mean(axis=0)
    return centred


def angle(one: Float[np.ndarray, "C H"], other: Float[np.ndarray, "C H"]) -> float:
    """The mean principal angle, in degrees, between the spaces that two sets of centred weights span.

    Of states, a classifier sees no more than their place in this space (Björck and Golub 1973, Mathematics of
    Computation 27(123), section 1, for the angles).
    """
    return float(np.degrees(subspace_angles((one[1:] - one[0]).T, (other[1:] - other[0]).T)).mean())


def cosine(one: Float[np.ndarray, "C H"], other: Float[np.ndarray, "C H"]) -> float:
    """Of two sets of centred weights as one long vector each, so that every class is held against itself."""
    return float((one * other).sum() / (np.linalg.norm(one) * np.linalg.norm(other)))


def compare(
    source: SplitStates, target: SplitStates, fitted: dict[tuple[int, ...], LogisticRegression]
) -> dict[str, Any]:
    """How a boundary that is fitted to the source's states does in a target, and one that is fitted to the target's.

    Over the classes of which both languages have examples enough; all null where these are fewer than two.

    Args:
        source: states and classes of the source.
        target: of the target.
        fitted: the source's classifiers by their classes; what is missing is added.

    Returns:
        The columns of `SCHEMA` from `angle` on. `angle` (degrees) and `cosine` are of the weights. `agreement` is of
        the answers of both on the target's held half; accuracies are on held halves. `centroid` is the mean cosine of
        a class's centroid in the source with that in the target, each less the mean of its language's centroids;
        `centroid_transfer` the accuracy of the nearest of the source's centroids in the target.
    """
    enough = [
        {one for one, count in zip(*np.unique(part.fitting.gold, return_counts=True), strict=True) if count >= FEWEST}
        for part in (source, target)
    ]
    classes = tuple(sorted(map(int, enough[0] & enough[1])))
    row: dict[str, Any] = {"classes": len(classes), "n": len(target.held.only(classes).gold)}
    if len(classes) < 2:  # noqa: PLR2004
        return row
    source, target = source.only(classes), target.only(classes)
    if classes not in fitted:
        fitted[classes] = classifier(source.fitting)
    source_model, target_model = fitted[classes], classifier(target.fitting)
    weights = directions(source_model), directions(target_model)
    centroids = [part.fitting.centroids(classes) for part in (source, target)]
    first, second = (part - part.mean(axis=0) for part in centroids)
    away = np.linalg.norm(target.held.states[:, None] - centroids[0], axis=-1)
    nearest = np.asarray(classes)[away.argmin(axis=1)]
    of_source, of_target = (_answers(source_model, part.held) for part in (source, target))
    return row | {
        "angle": angle(*weights), "cosine": cosine(*weights),
        "agreement": _share(of_target == _answers(target_model, target.held)),
        "source_on_source": _share(of_source == source.held.gold),
        "source_on_target": _share(of_target == target.held.gold),
        "target_on_target": _share(_answers(target_model, target.held) == target.held.gold),
        "target_on_source": _share(_answers(target_model, source.held) == source.held.gold),
        "centroid": float(np.mean([cosine(one[None], two[None]) for one, two in zip(first, second, strict=True)])),
        "centroid_transfer": _share(nearest == target.held.gold),
    }  # fmt: skip


def _answers(model: LogisticRegression, half: LabelledStates) -> Int[np.ndarray, "N"]:
    return np.asarray(model.predict(half.states) if len(half.gold) else half.gold)


def _share(right: Bool[np.ndarray, "N"]) -> float | None:
    return float(right.mean()) if len(right) else None


def taken(tests: Sequence[Examples], most: int, *, parallel: bool) -> list[Examples]:
    """At most so many examples of each language, evenly spread; on parallel data the same ones."""
    if not parallel:
        return [test.taken(spread(len(test), most).tolist()) for test in tests]
    every = list(dict.fromkeys(name for test in tests for name in test.table["id"]))
    wanted = {every[number] for number in spread(len(every), most)}
    return [test.taken([i for i, name in enumerate(test.table["id"]) if name in wanted]) for test in tests]


class HeadStates:
    """The test examples of all languages, and what each cell makes of them.

    Args:
        opened_run: a run directory.
        examples: at most so many of each class, in each language.
    """

    def __init__(self, opened_run: OpenedRun, examples: int) -> None:
        data = opened_run.data
        if not data.scores_source:
            raise NotApplicableError(
                f"boundaries take test examples of the source, and there are none in {data.source}"
            )
        self.opened_run = opened_run
        self.labels = data.labels
        parallel = data.dataset.card.parallel
        self.parts = taken(data.tests, examples * len(self.labels), parallel=parallel)
        self.test: TestSet = EncodedData(data, opened_run.task, opened_run.backbone, None).test_set(self.parts)
        self.gold = np.split(self.test.features.labels, np.cumsum([len(part) for part in self.parts])[:-1])
        tables = [part.table.select("id", "label") for part in self.parts]
        if parallel:
            whole = pl.concat(tables).unique("id", keep="first", maintain_order=True)
            tables = [whole] * len(tables)
        halves = [division(table["id"].to_list(), table["label"].to_list()) for table in tables]
        self.fitting = [
            np.asarray([half[name] for name in part.table["id"]]) for part, half in zip(self.parts, halves, strict=True)
        ]

    @torch.no_grad()
    def states(self, stack: Stack) -> list[Float[np.ndarray, "_ H"]]:
        """What enters a cell's head, of each language."""
        features = fit(self.test.features, stack.room(stack.runs[0]), stack.backbone.tokenizer)
        states = stack.states(features, stack.runs[0], budget=budgets(stack.backbone.device)[1]).double().cpu().numpy()
        return np.split(states, np.cumsum([len(part) for part in self.parts])[:-1])

    def compare(self, states: Sequence[Float[np.ndarray, "_ H"]]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each language, and what `compare` gives.

        The source's own row holds its two halves against each other, and has what can be said of that: how far
        classifiers and centroids lie apart because examples are few. It bounds what a target's row can be expected to
        have, but for parallel data, where source and target are fitted to the same items and the halves are not.
        """
        # The penalty is meant for states of unit variance. One scale for all directions and languages keeps angles.
        sample = states[0][self.fitting[0]]
        centre = sample.mean(axis=0)
        scale = np.sqrt(np.square(sample - centre).mean()) or 1.0
        divided = []
        for language_states, gold, fitting in zip(states, self.gold, self.fitting, strict=True):
            moved = (language_states - centre) / scale
            fitted_on, held = (LabelledStates(moved[some], gold[some]) for some in (fitting, ~fitting))
            divided.append(SplitStates(fitted_on, held))
        source, *targets = divided
        fitted: dict[tuple[int, ...], LogisticRegression] = {}
        itself = compare(source, SplitStates(source.held, source.fitting), fitted)
        honest = ("angle", "cosine", "source_on_source", "centroid", "classes")
        yield str(self.parts[0].language), {name: value for name, value in itself.items() if name in honest}
        for part, target in zip(self.parts[1:], targets, strict=True):
            yield str(part.language), compare(source, target, fitted)
