"""Analyses of a run directory: tables to `analysis/*.parquet`, figures beside them, and a few lines to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from isogloss.analysis import dynamics, figures, gap
from isogloss.analysis import forgetting as forgotten
from isogloss.analysis import importance as weighed
from isogloss.archive import Archive
from isogloss.cache import atomic_file
from isogloss.console import err
from isogloss.data import open_data
from isogloss.errors import IsoglossError, unknown
from isogloss.parallel import Parallel, read_parallel
from isogloss.plan import Cell
from isogloss.store import Finished, safe_name

FOLDER = "analysis"


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


def analyze(folder: Path, names: Sequence[str], options: Options) -> Iterator[RenderableType]:
    """Carry out analyses and store them.

    Args:
        folder: a run directory.
        names: which; none: all that the directory has the data for.
        options: how much is looked at.

    Raises:
        IsoglossError: the directory lacks what an analysis that was asked for needs.
    """
    for name in names:
        if name not in ANALYSES:
            raise unknown("analysis", name, ANALYSES)
    archive = Archive.of(folder)
    labels = {cell.label for cell, _ in archive.cells}
    for method in options.methods:
        if method not in labels:
            raise unknown("method of this run", method, labels)
    for name in names or ANALYSES:
        try:
            found = ANALYSES[name](archive, options)
        except IsoglossError as error:
            if names:
                raise
            yield Text(f"{name}: left out; {error}", style="dim")
            continue
        (folder / FOLDER).mkdir(exist_ok=True)
        for title, table in found.tables.items():
            with atomic_file(folder / FOLDER / f"{title}.parquet") as file:
                table.write_parquet(file)
        for title, figure in found.figures.items():
            figures.save(figure, folder / FOLDER / title)
        yield from found.shown
    yield Text(f"tables and figures in {folder / FOLDER}")


def _gap(archive: Archive, options: Options) -> Findings:
    assert archive.spec.source is not None  # specs are stored as resolved
    scores = _wanted(archive.stored.table("scores"), options)
    place = {label: number for number, label in enumerate(dict.fromkeys(cell.label for cell, _ in archive.cells))}
    every = gap.gaps(scores, archive.spec.source, archive.metric).sort(pl.col("method").replace_strict(place), "seed")
    reference = options.reference or every["method"][0]
    if reference not in set(every["method"]):
        raise unknown("method to hold the others against", reference, set(every["method"]))
    than = gap.against(every, reference)
    columns = ("method", *gap.MEASURES, f"target over {reference}", "p", "seeds")
    table = Table(
        *columns,
        box=box.SIMPLE_HEAD,
        title=f"{archive.metric} of the source, mean of {every['targets'][0]} targets, gap",
    )
    for (method,), own in every.group_by(["method"], maintain_order=True):
        over = than.filter(measure="target", method=str(method))
        shown = ["", ""]
        if len(over):
            difference, low, high, p = over.select("difference", "low", "high", "p").row(0)
            shown = [f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]", "" if p is None else f"{p:.3f}"]
        table.add_row(
            str(method),
            *(f"{own[name].to_numpy().astype(float).mean():.3f}" for name in gap.MEASURES),
            *shown,
            str(len(own)),
        )
    return Findings({"gap": every, "gap-over": than}, {}, [table])


def _dynamics(archive: Archive, options: Options) -> Findings:
    history = _wanted(archive.stored.table("history"), options)
    source = archive.spec.source
    assert source is not None  # specs are stored as resolved
    curve = dynamics.gap_curve(history, source)
    if not len(curve):
        raise IsoglossError("nothing was looked at in training; `dynamics: {}` in the spec does so")
    opened = dynamics.onsets(curve)
    table = Table(
        "method",
        "source learnt at",
        "gap opens at",
        "grows by",
        "seeds",
        box=box.SIMPLE_HEAD,
        title="the gap in training, in updates",
    )
    for row in opened.iter_rows(named=True):
        onset = "never" if row["onset"] is None else str(row["onset"])
        table.add_row(row["method"], str(row["learnt"]), onset, f"{row['growth']:+.3f}", str(row["seeds"]))
    return Findings(
        {"dynamics": curve, "dynamics-onset": opened}, {"dynamics": figures.gap_curves(curve, opened)}, [table]
    )


def _importance(archive: Archive, options: Options) -> Findings:
    chosen = [(cell, found) for cell, found in _cells(archive, options) if weighed.tunes_backbone(cell)]
    if not chosen:
        raise IsoglossError("no method of this run tunes the backbone itself")
    scores, moved = [], []
    with err.status("") as status:
        for number, (cell, found) in enumerate(chosen, start=1):
            status.update(f"importance: {cell.label} seed {cell.seed} ({number} of {len(chosen)})")
            own, distance = weighed.importance(archive, cell, found, examples=options.examples)
            scores.append(own)
            moved.append(distance)
    every = pl.concat(scores)
    effects = weighed.effects(every, str(archive.material.source))
    maps = {f"importance-{safe_name(name)}": figures.importance_map(effects, name) for name in figures.methods(effects)}
    table = Table(
        "method", "weights", "source", "mean target", "gap", box=box.SIMPLE_HEAD,
        title="what is lost when one group is rewound: the five that matter most to the gap",
    )  # fmt: skip
    rewound = effects.filter(pl.col("way") == "rewind", pl.col("weights") != weighed.ALL)
    wide = rewound.pivot(on="of", index=["method", "layer", "weights"], values="effect")
    for (method,), own in wide.group_by(["method"], maintain_order=True):
        for row in own.sort(pl.col("gap").abs(), descending=True).head(5).iter_rows(named=True):
            where = row["weights"] if row["layer"] is None else f"layer {row['layer'] + 1} {row['weights']}"
            table.add_row(str(method), where, *(f"{row[of]:+.3f}" for of in ("source", "target", "gap")))
    return Findings(
        {"importance": every, "importance-effects": effects, "importance-moved": pl.concat(moved)}, maps, [table]
    )


def _forgetting(archive: Archive, options: Options) -> Findings:
    parallel = _parallel(archive, options)
    parts = []
    chosen = _cells(archive, options)
    with err.status("forgetting: before training") as status:
        witness = forgotten.Witness(archive, parallel)
        for number, (cell, found) in enumerate(chosen, start=1):
            status.update(f"forgetting: {cell.label} seed {cell.seed} ({number} of {len(chosen)})")
            parts.append(witness.compare(cell, found))
    every = pl.concat(parts)
    targets = every.filter(pl.col("language") != str(archive.material.source))
    findings = Findings({"forgetting": every}, {"forgetting": figures.memory_by_depth(targets)})
    layers = targets.filter(pl.col("depth").is_null() | (pl.col("depth") > 0))
    means = layers.group_by("method", "measure", maintain_order=True).agg(pl.col("before", "after").mean())
    table = Table(
        "method", "measure", "before", "after", box=box.SIMPLE_HEAD,
        title=f"what is remembered of {len(parallel.languages) - 1} target languages, the mean over layers",
    )  # fmt: skip
    for method, measure, before, after in means.iter_rows():
        table.add_row(method, measure, f"{before:.3f}", f"{after:.3f}")
    findings.shown.append(table)
    points = forgotten.checkpoints(_wanted(archive.stored.table("history"), options), str(archive.material.source))
    if len(points.drop_nulls("gap")):
        correlation = forgotten.against_gap(points)
        findings.tables |= {"forgetting-checkpoints": points, "forgetting-gap": correlation}
        findings.figures["forgetting-gap"] = figures.gap_against_memory(points)
        findings.shown += [
            Text(
                f"Spearman's correlation of the gap with the fall of {row['measure']}: {row['correlation']:.2f} "
                f"[{row['low']:.2f}, {row['high']:.2f}] over {row['checkpoints']} checkpoints of {row['runs']} runs"
            )
            for row in correlation.filter(pl.col("method").is_null(), pl.col("low").is_not_null()).iter_rows(named=True)
        ]
    return findings


def _parallel(archive: Archive, options: Options) -> Parallel:
    material, given = archive.material, archive.spec.dynamics and archive.spec.dynamics.parallel
    if options.parallel is not None:
        data = open_data("sib200", path=options.parallel)
    elif given:
        data = open_data(given.task, path=given.path)
    elif material.data.card.parallel and material.data.card.kind == "classification":
        data = material.data
    else:
        raise IsoglossError("there are no parallel sentences to look at; give --parallel, a folder in SIB-200's layout")
    return read_parallel(data, material.source, [test.language for test in material.tests[1:]], options.sentences)


def _cells(archive: Archive, options: Options) -> list[tuple[Cell, Finished]]:
    return [(cell, found) for cell, found in archive.cells if not options.methods or cell.label in options.methods]


def _wanted(table: pl.DataFrame, options: Options) -> pl.DataFrame:
    return table.filter(pl.col("method").is_in(options.methods)) if options.methods else table


ANALYSES = {"gap": _gap, "dynamics": _dynamics, "importance": _importance, "forgetting": _forgetting}
