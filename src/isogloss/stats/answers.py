"""Scores as functions of sums over examples, so that examples can be drawn anew without reading an answer again.

Every metric here is a mean, over classes, of ratios of two sums over examples. Accuracy: right over counted. F1 of
spans or of a class: twice the true positives over predicted plus gold. Exact match and F1 of answers: values over
questions. Only macro-F1 has more than one class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array, csr_array

from isogloss.errors import IsoglossError
from isogloss.tasks.metrics import spans
from isogloss.tasks.registry import TASKS


@dataclass(frozen=True, eq=False)
class ScoreTerms:
    """What each example adds to every run's score in one language.

    Args:
        runs: the runs that have the language, by their places among all.
        classes: how many ratios a score is the mean of.
        above: what an example adds above the line, (runs * classes, examples).
        below: and below it.
    """

    runs: list[int]
    classes: int
    above: csr_array
    below: csr_array

    def scores(self, times: Float[np.ndarray, "draws examples"]) -> Float[np.ndarray, "runs draws"]:
        """Every run's score if each example came so many times."""
        return self.ratio(np.asarray(self.above @ times.T), np.asarray(self.below @ times.T))

    def ratio(
        self, above: Float[np.ndarray, "rows draws"], below: Float[np.ndarray, "rows draws"]
    ) -> Float[np.ndarray, "runs draws"]:
        """Scores from sums: the mean over the classes that occur; 0 where none does."""
        above, below = (sums.reshape(-1, self.classes, sums.shape[1]) for sums in (above, below))
        occurs = below > 0
        each: np.ndarray = np.divide(above, below, out=np.zeros_like(above), where=occurs)
        return np.asarray(each.sum(axis=1) / np.maximum(occurs.sum(axis=1), 1))

    def rows(self, runs: Sequence[int]) -> Int[np.ndarray, " rows"]:
        """The rows of some runs, given by their places among all."""
        first = self.classes * np.array([self.runs.index(run) for run in runs])
        return (first[:, None] + np.arange(self.classes)).ravel()

    def answered(self, given: Bool[np.ndarray, "runs examples"]) -> ScoreTerms:
        """The same over the answers that are given alone.

        Args:
            given: by the runs that have the language, in their order.
        """
        rows = np.repeat(given, self.classes, axis=0)
        above, below = (csr_array(part.multiply(rows)) for part in (self.above, self.below))
        return replace(self, above=above, below=below)


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of all runs to the test examples.

    Args:
        predictions: of a run directory, in the columns of the contract.
        runs: method and seed of each run, in the order of the methods.
        source: the source language.
        kind: of task, as cards have it.
        parallel: whether an example's name means the same example in every language.
    """

    predictions: pl.DataFrame
    runs: list[tuple[str, int]]
    source: str
    kind: str
    parallel: bool

    @cached_property
    def of_method(self) -> dict[str, set[int]]:
        """The places of the runs of each method."""
        places: dict[str, set[int]] = {}
        for number, (method, _) in enumerate(self.runs):
            places.setdefault(method, set()).add(number)
        return places

    @cached_property
    def languages(self) -> dict[str, set[int]]:
        """The places of the runs that have each language; the source comes first."""
        runs_of: dict[str, set[int]] = {}
        for code, run in self._rows.select(pl.col("language").cast(pl.String), "run").unique().iter_rows():
            runs_of.setdefault(code, set()).add(run)
        return {code: runs_of[code] for code in sorted(runs_of, key=lambda code: (code != self.source, code))}

    @cached_property
    def everywhere(self) -> frozenset[str]:
        """The languages that all runs have."""
        return frozenset(code for code, runs in self.languages.items() if len(runs) == len(self.runs))

    @cached_property
    def examples(self) -> dict[str, list[str]]:
        """The names of each language's examples, in the order in which they are stored."""
        return {
            code: part.filter(pl.col("run") == part["run"][0])["example"].cast(pl.String).to_list()
            for code, part in self._parts.items()
        }

    def drawn_from(self, language: str) -> tuple[str, int, list[int]]:
        """What a language's examples are drawn from: its name, its size, and their places in it.

        It is the same for all languages where examples are parallel.
        """
        if not self.parallel:
            return language, len(self.examples[language]), list(range(len(self.examples[language])))
        return "parallel", len(self._places), [self._places[name] for name in self.examples[language]]

    def sums(self, language: str, metric: str) -> ScoreTerms:
        """What each example of a language adds to a metric.

        Raises:
            IsoglossError: the runs have not answered the same examples, or the metric is no ratio that is known here.
        """
        runs, examples = sorted(self.languages[language]), self.examples[language]
        part = self._parts[language].with_columns(pl.col("example", "gold", "predicted").cast(pl.String))
        part = part.sort("run", maintain_order=True)
        if part["example"].to_list() != examples * len(runs):
            raise IsoglossError(
                f"the runs have not answered the same examples of {language}; "
                "expected predictions.parquet as `isogloss run` writes it"
            )
        part = part.with_columns(
            pl.Series("item", np.tile(np.arange(len(examples)), len(runs))),
            pl.Series("run", np.repeat(np.arange(len(runs)), len(examples))),
        )
        if self.kind.startswith("qa"):
            addends = _of_answers(part, metric, self.kind, language)
        elif metric == "span-f1":
            addends = _of_spans(part)
        else:
            if self.kind == "tagging":
                part = part.with_columns(pl.col("gold", "predicted").str.split(" ")).explode("gold", "predicted")
            if metric not in LABEL_METRICS:
                raise IsoglossError(
                    f"no intervals are known of {metric}: what an example adds to it does not stand in stats/answers.py"
                )
            addends = LABEL_METRICS[metric](part)
        classes, run, kind, item, above, below = addends
        shape, places = (len(runs) * classes, len(examples)), (run * classes + kind, item)
        return ScoreTerms(
            runs, classes, *(coo_array((values, places), shape=shape).tocsr() for values in (above, below))
        )

    @cached_property
    def _places(self) -> dict[str, int]:
        names = sorted(set(chain.from_iterable(self.examples.values())))
        return {name: number for number, name in enumerate(names)}

    @cached_property
    def _rows(self) -> pl.DataFrame:
        """Method and seed as the run's place; texts as codes, since a few come millions of times."""
        methods, seeds = zip(*self.runs, strict=True)
        places = pl.DataFrame({"method": methods, "seed": seeds, "run": range(len(self.runs))})
        texts = pl.col("method", "language", "example", "gold", "predicted").cast(pl.Categorical)
        rows = self.predictions.lazy().filter(pl.col("split") == "test").select(texts, "seed")
        joined = rows.join(places.lazy().cast({"method": pl.Categorical}), on=["method", "seed"], maintain_order="left")
        return joined.drop("method", "seed").collect()

    @cached_property
    def _parts(self) -> dict[str, pl.DataFrame]:
        return {str(code): part for (code,), part in self._rows.partition_by("language", as_dict=True).items()}


# What a language's answers add up to: the number of classes, and run, class, example, share above and below the line
# of every addend. Those of one place are summed.
Addends = tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _of_labels(units: pl.DataFrame) -> Addends:
    run, item = units["run"].to_numpy(), units["item"].to_numpy()
    right = (units["gold"] == units["predicted"]).to_numpy().astype(float)
    return 1, run, np.zeros_like(run), item, right, np.ones(len(units))


def _of_classes(units: pl.DataFrame) -> Addends:
    """True positives are counted with the gold labels, twice."""
    labels = pl.concat([units["gold"], units["predicted"]])
    names = labels.unique().sort()
    classes = labels.cast(pl.Enum(names)).to_physical().to_numpy().astype(int)
    right = 2.0 * (units["gold"] == units["predicted"]).to_numpy()
    run, item = (np.tile(units[name].to_numpy(), 2) for name in ("run", "item"))
    return len(names), run, classes, item, np.concatenate([right, np.zeros(len(units))]), np.ones(len(labels))


def _of_spans(part: pl.DataFrame) -> Addends:
    """Spans are found as the metric finds them, in all sentences end to end, and belong to where they end."""

    def tagged_spans(tags: pl.Series) -> list[tuple[int, int, str]]:
        return list(spans((tags + " O").str.split(" ").explode().to_list()))

    def ends(some: list[tuple[int, int, str]]) -> np.ndarray:
        return np.asarray(item[np.fromiter((end for _, end, _ in some), int, len(some))])

    sentences = part.filter(pl.col("run") == 0)
    words = sentences["gold"].str.count_matches(" ", literal=True).to_numpy() + 2
    item: np.ndarray = np.repeat(sentences["item"].to_numpy(), words)
    gold = tagged_spans(sentences["gold"])
    right = set(gold)
    runs, items, above = [], [], []
    for (run,), answers in part.group_by(["run"], maintain_order=True):
        said = tagged_spans(answers["predicted"])
        hits = np.fromiter((span in right for span in said), float, len(said))
        runs.append(np.full(len(said) + len(gold), run))
        items += [ends(said), ends(gold)]
        above += [2 * hits, np.zeros(len(gold))]
    every = np.concatenate(runs)
    return 1, every, np.zeros_like(every), np.concatenate(items), np.concatenate(above), np.ones(len(every))


def _of_answers(part: pl.DataFrame, metric: str, kind: str, language: str) -> Addends:
    score = TASKS[kind].metrics[metric]
    pairs = part.select("gold", "predicted").unique()
    values = [score([gold], [predicted], language) for gold, predicted in pairs.iter_rows()]
    valued = part.join(pairs.with_columns(pl.Series("value", values, pl.Float64)), on=["gold", "predicted"])
    run, item, value = (valued[name].to_numpy() for name in ("run", "item", "value"))
    return 1, run, np.zeros_like(run), item, value, np.ones(len(run))


LABEL_METRICS = {"accuracy": _of_labels, "macro-f1": _of_classes}  # of units that have one label each
