"""What an analysis is: a run directory in; tables, figures and a few lines to read out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure
from rich.console import RenderableType

from isogloss.data.cards import CUSTOM, find
from isogloss.data.dataset import DataSet, open_data
from isogloss.data.parallel_text import Parallel, read_parallel
from isogloss.errors import IsoglossError
from isogloss.experiment.cells import Cell
from isogloss.experiment.opened_run import OpenedRun
from isogloss.stats.aggregate import by_language
from isogloss.stats.answers import Answers
from isogloss.store import StoredCell

FOLDER = "analysis"  # of a run directory, where all this lies


@dataclass(frozen=True)
class AnalysisOptions:
    """How much is looked at.

    Args:
        methods: labels of the methods that are analysed; none: all.
        examples: of each target, where a model is run again and again; as many of the source as of all.
        parallel: a folder of sentences in SIB-200's layout; none: what the spec names, or the run's own data.
        sentences: of each language.
        reference: the method that the others are held against; none: the first of the spec.
    """

    methods: Sequence[str] = ()
    examples: int = 32
    parallel: Path | None = None
    sentences: int = 100
    reference: str | None = None


@dataclass
class AnalysisResult:
    """What an analysis gives."""

    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    shown: list[RenderableType] = field(default_factory=list)


@dataclass(frozen=True)
class Analysis:
    """One analysis.

    Args:
        name: to ask for it by.
        find: carries it out; an `IsoglossError` says what the directory lacks for it.
        computes: whether it runs models, and does not read tables alone.
    """

    name: str
    find: Callable[[OpenedRun, AnalysisOptions], AnalysisResult]
    computes: bool = False


def cells(opened_run: OpenedRun, options: AnalysisOptions) -> list[tuple[Cell, StoredCell]]:
    """The cells of the methods that are analysed."""
    return [(cell, found) for cell, found in opened_run.cells if not options.methods or cell.label in options.methods]


def wanted(table: pl.DataFrame, options: AnalysisOptions) -> pl.DataFrame:
    """Their rows of a table."""
    return table.filter(pl.col("method").is_in(options.methods)) if options.methods else table


def target_scores(opened_run: OpenedRun, options: AnalysisOptions) -> pl.DataFrame:
    """Score and gap in every target (`means.by_language`) of the methods that are analysed, in the spec's order."""
    place = {label: number for number, label in enumerate(dict.fromkeys(cell.label for cell, _ in opened_run.cells))}
    test = wanted(opened_run.stored.table("scores"), options).filter(split="test", metric=opened_run.metric)
    source = str(opened_run.data.source)
    found = by_language(test.sort(pl.col("method").replace_strict(place)), source)
    return found.filter(pl.col("language") != source)


def answers_of(opened_run: OpenedRun, options: AnalysisOptions) -> Answers:
    """The answers in a run directory; neither data nor models are loaded."""
    spec, chosen = opened_run.spec, cells(opened_run, options)
    assert spec.source is not None  # specs are stored as resolved
    card = spec.data.card or {}  # as resolved, it lies in the spec where it is the user's own
    return Answers(
        wanted(opened_run.stored.table("predictions"), options), [(cell.label, cell.seed) for cell, _ in chosen],
        spec.source, chosen[0][1].record.kind,
        parallel=bool(card.get("parallel")) if spec.task == CUSTOM else find(spec.task).parallel,
    )  # fmt: skip


def parallel_data(opened_run: OpenedRun, options: AnalysisOptions) -> DataSet | None:
    """The folder of sentences that was asked for, what the spec names, or the run's own data; None where none is."""
    dataset, given = opened_run.data.dataset, opened_run.spec.dynamics and opened_run.spec.dynamics.parallel
    if options.parallel is not None:
        return open_data("sib200", path=options.parallel)
    if given:
        return open_data(given.task, path=given.path)
    return dataset if dataset.card.parallel and dataset.card.kind == "classification" else None


def parallel_sentences(opened_run: OpenedRun, options: AnalysisOptions) -> Parallel:
    """The sentences of these data in the run's languages.

    Raises:
        IsoglossError: there are none.
    """
    dataset = parallel_data(opened_run, options)
    if dataset is None:
        raise IsoglossError("there are no parallel sentences to look at; give --parallel, a folder in SIB-200's layout")
    data = opened_run.data
    return read_parallel(dataset, data.source, [test.language for test in data.tests[1:]], options.sentences)
