"""Test scores of one method's cells with their intervals, for what leaves the run directory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import polars as pl

from isogloss.data.cards import CUSTOM, Card, find, read_card
from isogloss.data.kinds.registry import data_kinds
from isogloss.errors import IsoglossError
from isogloss.spec import ResolvedSpec
from isogloss.stats.answers import Answers
from isogloss.stats.bootstrap import BootstrapEstimate, bootstrap
from isogloss.stats.intervals import Estimate
from isogloss.store import DamagedError, Store, StoredCell
from isogloss.tasks.registry import TASKS


@dataclass(frozen=True)
class LanguageScore:
    """A cell's score of a language in a metric.

    Args:
        language: its code.
        metric: of the data set's.
        value: a fraction from 0 to 1.
        n: texts, words or questions that it is over.
        own: with its interval for new examples; without, where none is known.
        error: the standard error of that.
        mean: over all seeds of the method that have the language, for new seeds and examples; None: there is one seed.
        constant: what always answering the language's most frequent class would score; None: not known.
        examples: that were drawn anew for the interval: texts, sentences or questions.
    """

    language: str
    metric: str
    value: float
    n: int
    own: Estimate
    error: float | None = None
    mean: Estimate | None = None
    constant: float | None = None
    examples: int | None = None

    @property
    def low(self) -> float:
        """The lower end of its interval, which is the score itself where all draws agree."""
        return self.value if self.own.low is None else max(0.0, self.own.low)

    @property
    def high(self) -> float:
        """The upper end of its interval."""
        return self.value if self.own.high is None else min(1.0, self.own.high)


@dataclass(frozen=True)
class CellScores:
    """Test scores of one cell.

    Args:
        cell: of a run directory.
        task: the data set's name.
        source: the language that was learnt from.
        metrics: of the data set, the first one first.
        languages: a score for each language and metric, the source's first.
        seeds: all of its method.
        over: the source's score, the mean over targets, and the gap, in the first metric, by `bootstrap.MEASURES`.
        mean_over: the same over all seeds; empty where there is one.
        targets: over how many targets these are: those that all seeds have.
        unknown: why there are no intervals; None: there are.
    """

    cell: StoredCell
    task: str
    source: str
    metrics: Sequence[str]
    languages: Sequence[LanguageScore]
    seeds: Sequence[int]
    over: Mapping[str, Estimate]
    mean_over: Mapping[str, Estimate]
    targets: int
    unknown: str | None = None

    def of(self, metric: str) -> list[LanguageScore]:
        """The scores in a metric, of each language one."""
        return [score for score in self.languages if score.metric == metric]

    @property
    def of_source(self) -> LanguageScore | None:
        """The source's score in the first metric; None where it has no test split."""
        return next((score for score in self.of(self.metrics[0]) if score.language == self.source), None)


def card_of(spec: ResolvedSpec) -> Card | None:
    """What is known of a run's data set; None where this version of isogloss has no such card."""
    try:
        if spec.task != CUSTOM:
            return find(spec.task)
        return None if spec.data.card is None else read_card(spec.data.card, where="data.card")
    except IsoglossError:
        return None


def method_scores(store: Store, label: str) -> dict[int, CellScores]:
    """The scores of all cells of a method, by seed.

    Examples are drawn anew for all of them at once, so that a mean over seeds knows what they have in common.

    Args:
        store: a run directory.
        label: of the method.

    Raises:
        IsoglossError: it has no such method, or a cell is damaged.
    """
    cells = [cell for cell in store.finished() if cell.record.method == label]
    if not cells:
        raise IsoglossError(f"{store.path} has no finished cell of {label!r}; expected one of its methods")
    scores = {cell.record.seed: cell.table("scores") for cell in cells}
    metrics = [str(name) for name in cells[0].checked().record.facts["metrics"]]
    table = next(iter(scores.values()))
    task, source = str(table["task"][0]), str(table["source"][0])
    estimates, unknown = _estimates(store, cells, source, metrics)
    return {
        cell.record.seed: _of_cell(cell, place, scores[cell.record.seed], (task, source), metrics, estimates, unknown)
        for place, cell in enumerate(cells)
    }


@dataclass(frozen=True)
class _Estimates:
    """What drawing examples anew tells of all cells of a method.

    Args:
        answers: of all of them.
        languages: by metric and language.
        overall: in the first metric, over the languages that all have.
        constants: by metric and language.
    """

    answers: Answers
    languages: Mapping[str, Mapping[str, BootstrapEstimate]]
    overall: Mapping[str, BootstrapEstimate]
    constants: Mapping[tuple[str, str], float]


def _estimates(
    store: Store, cells: Sequence[StoredCell], source: str, metrics: Sequence[str]
) -> tuple[_Estimates | None, str | None]:
    """The estimates, or why there are none."""
    record, card = cells[0].record, card_of(store.known_spec())
    if any("predictions" in cell.record.left_out for cell in cells):
        return None, "the model has come without its test answers"
    try:
        predictions = pl.concat([cell.table("predictions") for cell in cells]).drop_nulls("gold")
        answers = Answers(
            predictions, [cell.key for cell in cells], source, record.kind,
            parallel=card is not None and card.parallel,
        )  # fmt: skip
        first, overall = bootstrap(answers, metrics[0], [answers.everywhere])
        languages = {metrics[0]: first} | {metric: bootstrap(answers, metric)[0] for metric in metrics[1:]}
    except DamagedError:
        raise
    except IsoglossError as error:  # such as of a metric that no intervals are known of
        return None, str(error)
    constants = _constants(predictions, record.kind, metrics)
    return _Estimates(answers, languages, overall[answers.everywhere], constants), None


def _constants(predictions: pl.DataFrame, kind: str, metrics: Sequence[str]) -> dict[tuple[str, str], float]:
    """What always answering the most frequent class scores, by metric and language; of questions nothing."""
    found: dict[tuple[str, str], float] = {}
    family = data_kinds()[kind].family if kind in data_kinds() else ""
    if family not in {"classification", "tagging", "qa"}:  # of others nothing is known
        return found
    test = predictions.filter(split="test")
    for (language,), part in test.group_by(["language"], maintain_order=True):
        gold = part.filter(seed=part["seed"][0])["gold"].to_list()
        answers = _constant(gold, family)
        for metric in metrics:
            found[metric, str(language)] = 0.0 if answers is None else TASKS[kind].metrics[metric](gold, answers, "")
    return found


def _constant(gold: Sequence[str], family: str) -> list[str] | None:
    """The answers of who always gives the most frequent class; None where an answer is a text."""
    if family == "qa":
        return None
    if family == "classification":
        return [_most_frequent(gold)] * len(gold)
    tag = _most_frequent(list(chain.from_iterable(map(str.split, gold))))
    return [" ".join([tag] * len(tags.split())) for tags in gold]


def _most_frequent(classes: Sequence[str]) -> str:
    return max(sorted(Counter(classes).items()), key=lambda counted: counted[1])[0]


def _of_cell(
    cell: StoredCell,
    place: int,
    scores: pl.DataFrame,
    names: tuple[str, str],
    metrics: Sequence[str],
    estimates: _Estimates | None,
    unknown: str | None,
) -> CellScores:
    task, source = names
    test = scores.filter(split="test").sort(pl.col("language") != source, "language", maintain_order=True)
    languages = [
        _of_language(row["language"], row["metric"], row["value"], row["n"], place, estimates)
        for row in test.filter(pl.col("metric").is_in(metrics)).iter_rows(named=True)
    ]
    every = test.filter(metric=metrics[0])
    if estimates is None:
        of_targets = every.filter(pl.col("language") != source)["value"]
        of_source = every.filter(language=source)["value"]
        whole = float(of_source[0]) if len(of_source) else None
        mean = None if of_targets.is_empty() else float(of_targets.mean())  # type: ignore[arg-type]
        gap = None if whole is None or mean is None else whole - mean
        plain = {"source": whole, "target": mean, "gap": gap}
        over = {name: Estimate(value, None, None, None, 1) for name, value in plain.items()}
        return CellScores(
            cell, task, source, metrics, languages, [cell.record.seed], over, {}, len(of_targets), unknown
        )
    seeds = [seed for _, seed in estimates.answers.runs]
    runs = range(len(seeds))
    return CellScores(
        cell, task, source, metrics, languages, seeds,
        {name: estimated.mean([place]) for name, estimated in estimates.overall.items()},
        {name: estimated.mean(runs) for name, estimated in estimates.overall.items()} if len(seeds) > 1 else {},
        len(estimates.answers.everywhere - {source}),
    )  # fmt: skip


def _of_language(
    language: str, metric: str, value: float, n: int, place: int, estimates: _Estimates | None
) -> LanguageScore:
    if estimates is None:
        return LanguageScore(language, metric, value, n, Estimate(value, None, None, None, 1))
    estimated = estimates.languages[metric][language]
    having = estimates.answers.languages[language]
    variance = float(estimated.covariance[place, place])
    return LanguageScore(
        language, metric, value, n,
        own=estimated.mean([place]),
        error=max(variance, 0.0) ** 0.5,
        mean=estimated.mean(sorted(having)) if len(having) > 1 else None,
        constant=estimates.constants.get((metric, language)),
        examples=estimated.examples,
    )  # fmt: skip
