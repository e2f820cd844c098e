"""What an analysis is: a run directory in; tables, a few lines to read out, and charts of these tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from rich.console import RenderableType

from isogloss.charts.chart import Chart
from isogloss.data.cards import CUSTOM, find
from isogloss.data.dataset import DataSet, open_data
from isogloss.data.parallel_text import Parallel, read_parallel
from isogloss.errors import IsoglossError
from isogloss.experiment.cells import Cell, own_backbone
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

    def __post_init__(self) -> None:
        """Refuse what is too little.

        Raises:
            IsoglossError: there would be nothing to look at.
        """
        for name, number, least in (("examples", self.examples, 1), ("sentences", self.sentences, 4)):
            if number < least:
                raise IsoglossError(f"{name} is {number}; expected at least {least}")


@dataclass
class AnalysisResult:
    """What an analysis gives.

    Args:
        tables: by title.
        shown: what a reader is told of them.
        charts: of these tables, by title; filled in when the analysis is carried out.
    """

    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    shown: list[RenderableType] = field(default_factory=list)
    charts: dict[str, Chart] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Results:
    """What charts of analyses are drawn from: tables of one run directory, or of several that were scored alike.

    Args:
        methods: labels in their order.
        metric: of the scores.
        source: code of the source language.
        reference: the method that the others are held against.
        scores: `method language score deviation gap` of every language (`aggregate.by_language`).
        runs: the run that each method is of.
        tables: of analyses, by title; those that name no methods have a column `run`, if the runs are several.
    """

    methods: Sequence[str]
    metric: str
    source: str
    reference: str
    scores: pl.DataFrame
    runs: Mapping[str, str]
    tables: Mapping[str, pl.DataFrame]

    def table(self, title: str) -> pl.DataFrame | None:
        """The table of an analysis, if it was carried out and says anything."""
        table = self.tables.get(title)
        return table if table is not None and len(table) else None

    def scored(self, table: pl.DataFrame) -> pl.DataFrame:
        """A table of languages beside every method's scores in the targets.

        Args:
            table: with a column `language`, a row for each, or for each run and language.
        """
        scores = self.scores.filter(pl.col("language") != self.source)
        if "run" not in table.columns:
            return scores.join(table, on="language", maintain_order="left")
        scores = scores.with_columns(pl.col("method").replace(dict(self.runs)).alias("run"))
        return scores.join(table, on=["run", "language"], maintain_order="left")


@dataclass(frozen=True)
class Section:
    """How a report shows an analysis.

    Args:
        title: over it.
        text: what is to be known to read it.
        charts: by title, of the tables that are there.
        tables: of these, the ones that a reader sees, by what stands over them.
        notes: sentences besides the text, as the tables ask for.
        small: whether charts stand side by side where there is room.
    """

    title: str
    text: str
    charts: Callable[[Results], dict[str, Chart]]
    tables: Callable[[Results], dict[str, pl.DataFrame]]
    notes: Callable[[Results], list[str]] = lambda _: []
    small: bool = False


def titled(titles: Mapping[str, str]) -> Callable[[Results], dict[str, pl.DataFrame]]:
    """The tables of a section where they are shown as they are: what stands over each, by its title."""

    def tables(results: Results) -> dict[str, pl.DataFrame]:
        tables_by_words = {words: results.table(title) for title, words in titles.items()}
        return {words: table for words, table in tables_by_words.items() if table is not None}

    return tables


@dataclass(frozen=True)
class Analysis:
    """One analysis.

    Args:
        name: to ask for it by.
        find: carries it out; an `IsoglossError` says what the directory lacks for it.
        computes: whether it runs models, and does not read tables alone.
        section: how a report shows it; none: not at all.
    """

    name: str
    find: Callable[[OpenedRun, AnalysisOptions], AnalysisResult]
    computes: bool = False
    section: Section | None = None


def cells(opened_run: OpenedRun, options: AnalysisOptions) -> list[tuple[Cell, StoredCell]]:
    """The cells of the methods that are analysed."""
    return [(cell, stored) for cell, stored in opened_run.cells if not options.methods or cell.label in options.methods]


def model_cells(opened_run: OpenedRun, options: AnalysisOptions) -> list[tuple[Cell, StoredCell]]:
    """Those of them that compute with the run's backbone, so that their states can be held against its own.

    Raises:
        IsoglossError: there are none.
    """
    every = cells(opened_run, options)
    chosen = [(cell, stored) for cell, stored in every if not own_backbone(cell)]
    if every and not chosen:
        raise IsoglossError("every method asked for was trained elsewhere on a backbone of its own; nothing to compare")
    return chosen


def wanted(table: pl.DataFrame, options: AnalysisOptions) -> pl.DataFrame:
    """Their rows of a table."""
    return table.filter(pl.col("method").is_in(options.methods)) if options.methods else table


def scores_by_language(opened_run: OpenedRun, options: AnalysisOptions) -> pl.DataFrame:
    """Score and gap in every language (`aggregate.by_language`) of the methods analysed, in the spec's order."""
    labels = dict.fromkeys(cell.label for cell, _ in opened_run.cells)
    order = {label: number for number, label in enumerate(labels)}
    test = wanted(opened_run.stored.table("scores"), options).filter(split="test", metric=opened_run.metric)
    return by_language(test.sort(pl.col("method").replace_strict(order)), opened_run.spec.source)


def target_scores(opened_run: OpenedRun, options: AnalysisOptions) -> pl.DataFrame:
    """The rows of `scores_by_language` that are of target languages."""
    return scores_by_language(opened_run, options).filter(pl.col("language") != opened_run.spec.source)


def results_of(opened_run: OpenedRun, options: AnalysisOptions, tables: Mapping[str, pl.DataFrame]) -> Results:
    """What the charts of one run directory are drawn from.

    Args:
        opened_run: the run directory.
        options: which of its methods are analysed.
        tables: of the analyses that are drawn.
    """
    scores = scores_by_language(opened_run, options)
    methods = scores["method"].unique(maintain_order=True).to_list()
    return Results(
        methods, opened_run.metric, opened_run.spec.source, options.reference or methods[0], scores,
        dict.fromkeys(methods, opened_run.spec.name), tables,
    )  # fmt: skip


def answers_of(opened_run: OpenedRun, options: AnalysisOptions) -> Answers:
    """The answers in a run directory; neither data nor models are loaded."""
    spec, chosen = opened_run.spec, cells(opened_run, options)
    card = spec.data.card or {}  # as resolved, it lies in the spec where it is the user's own
    return Answers(
        _predictions(opened_run, options), [(cell.label, cell.seed) for cell, _ in chosen],
        spec.source, chosen[0][1].record.kind,
        parallel=bool(card.get("parallel")) if spec.task == CUSTOM else find(spec.task).parallel,
    )  # fmt: skip


def _predictions(opened_run: OpenedRun, options: AnalysisOptions) -> pl.DataFrame:
    """Those of the methods analysed of which it is known what is right."""
    return predictions_of(opened_run, options).drop_nulls("gold")


def predictions_of(opened_run: OpenedRun, options: AnalysisOptions) -> pl.DataFrame:
    """What the methods analysed have predicted; where it comes in parts, texts are codes, which take a quarter.

    Of languages without labels, `gold` is null.
    """
    parts, coded = opened_run.stored.parts("predictions"), pl.col(pl.String).cast(pl.Categorical)
    first = wanted(next(parts), options)
    others = [wanted(part, options).with_columns(coded) for part in parts]
    return pl.concat([first.with_columns(coded), *others]) if others else first


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
    return read_parallel(dataset, data.source, [test.language for test in data.targets], options.sentences)
