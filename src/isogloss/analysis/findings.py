"""What an analysis is: a run directory in; tables, figures and a few lines to read out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure
from rich.console import RenderableType

from isogloss.archive import Archive
from isogloss.data import DataSet, open_data
from isogloss.errors import IsoglossError
from isogloss.means import by_language
from isogloss.parallel import Parallel, read_parallel
from isogloss.plan import Cell
from isogloss.store import Finished

FOLDER = "analysis"  # of a run directory, where all this lies


@dataclass(frozen=True)
class Options:
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
class Findings:
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
    find: Callable[[Archive, Options], Findings]
    computes: bool = False


def cells(archive: Archive, options: Options) -> list[tuple[Cell, Finished]]:
    """The cells of the methods that are analysed."""
    return [(cell, found) for cell, found in archive.cells if not options.methods or cell.label in options.methods]


def wanted(table: pl.DataFrame, options: Options) -> pl.DataFrame:
    """Their rows of a table."""
    return table.filter(pl.col("method").is_in(options.methods)) if options.methods else table


def target_scores(archive: Archive, options: Options) -> pl.DataFrame:
    """Score and gap in every target (`means.by_language`) of the methods that are analysed, in the spec's order."""
    place = {label: number for number, label in enumerate(dict.fromkeys(cell.label for cell, _ in archive.cells))}
    test = wanted(archive.stored.table("scores"), options).filter(split="test", metric=archive.metric)
    source = str(archive.material.source)
    found = by_language(test.sort(pl.col("method").replace_strict(place)), source)
    return found.filter(pl.col("language") != source)


def parallel_data(archive: Archive, options: Options) -> DataSet | None:
    """The folder of sentences that was asked for, what the spec names, or the run's own data; None where none is."""
    data, given = archive.material.data, archive.spec.dynamics and archive.spec.dynamics.parallel
    if options.parallel is not None:
        return open_data("sib200", path=options.parallel)
    if given:
        return open_data(given.task, path=given.path)
    return data if data.card.parallel and data.card.kind == "classification" else None


def parallel_sentences(archive: Archive, options: Options) -> Parallel:
    """The sentences of these data in the run's languages.

    Raises:
        IsoglossError: there are none.
    """
    data = parallel_data(archive, options)
    if data is None:
        raise IsoglossError("there are no parallel sentences to look at; give --parallel, a folder in SIB-200's layout")
    material = archive.material
    return read_parallel(data, material.source, [test.language for test in material.tests[1:]], options.sentences)
