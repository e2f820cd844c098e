"""Which weights carry what tuning changed, and which of them open the gap.

After Guo et al. (2023, arXiv 2305.11449), whose abstract asks the question; the probes are ours. Of a tuned model, one
group of weights at a time is *rewound* to its pre-trained values; or it alone is *transplanted* into the pre-trained
model, which has the tuned head. Beside it stand the distance that a group has moved, and its Fisher information.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from matplotlib import rc_context
from matplotlib.figure import Figure
from rich import box
from rich.table import Table

from isogloss.analysis.analysis import Analysis, AnalysisOptions, AnalysisResult, cells
from isogloss.analysis.importance.rewind import ALL, NONE, Patient, fisher, tunes_backbone
from isogloss.charts.plots import OF, STYLE, WIDTH, by_method
from isogloss.errors import IsoglossError
from isogloss.experiment.cells import Cell
from isogloss.experiment.opened_run import OpenedRun
from isogloss.optim.weight_places import INSIDE
from isogloss.runtime.console import err
from isogloss.stats.intervals import summarised
from isogloss.store import StoredCell, safe_name

FISHER_EXAMPLES = 64
SCHEMA: Any = {
    "method": pl.String, "seed": pl.Int64, "way": pl.String, "layer": pl.Int64, "weights": pl.String,
    "language": pl.String, "metric": pl.String, "value": pl.Float64, "n": pl.Int64,
}  # fmt: skip
MOVED: Any = {
    "method": pl.String, "seed": pl.Int64, "layer": pl.Int64, "weights": pl.String, "parameters": pl.Int64,
    "distance": pl.Float64, "relative": pl.Float64, "fisher": pl.Float64,
}  # fmt: skip


def importance(
    opened_run: OpenedRun, cell: Cell, found: StoredCell, *, examples: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Scores of a model with groups of its weights set back, and how far each has moved.

    Args:
        opened_run: a run directory.
        cell: one of its cells, of a method that tunes the backbone.
        found: where it is stored.
        examples: of each target's test split, evenly spread, and as many of the source's as of all targets'.

    Returns:
        Rows of `SCHEMA`, and rows of `MOVED`.
    """
    patient = Patient(opened_run, cell, found)
    test = opened_run.sample(cell, found, opened_run.data.tests, examples)
    tables = []
    for way, (layer, weights), tuned in patient.states():
        patient.set(tuned)
        about = {"method": cell.label, "seed": cell.seed, "way": way, "layer": layer, "weights": weights}
        scores = opened_run.scores(patient.stack, cell, test)
        tables.append(scores.with_columns(pl.lit(value).alias(name) for name, value in about.items()))
    patient.set(patient.tuned)
    information = fisher(patient, opened_run.sample(cell, found, [opened_run.data.dev], FISHER_EXAMPLES))
    rows = []
    for (layer, weights), names in patient.groups.items():
        difference = torch.cat([(patient.tuned[name] - patient.start[name]).flatten().double() for name in names])
        before = torch.cat([patient.start[name].flatten().double() for name in names])
        rows.append(
            {
                "method": cell.label, "seed": cell.seed, "layer": layer, "weights": weights,
                "parameters": len(before), "distance": float(difference.norm()),
                "relative": float(difference.norm() / before.norm()), "fisher": information[layer, weights],
            }
        )  # fmt: skip
    made = pl.concat([table.select(list(SCHEMA)).cast(SCHEMA) for table in tables])
    return made, pl.DataFrame(rows, schema=MOVED)


def effects(scores: pl.DataFrame, source: str) -> pl.DataFrame:
    """What each group does to source, mean target and gap, with intervals over seeds.

    Of a rewound group it is what the tuned model loses without it; of a transplanted one what the pre-trained model,
    with the tuned head, gains by it.

    Args:
        scores: rows of `SCHEMA`.
        source: the source language.

    Returns:
        `method way layer weights of effect low high seeds`, `of` being source, target or gap.
    """
    keys = ["method", "seed", "way", "layer", "weights"]
    parts = scores.group_by(keys, maintain_order=True).agg(
        pl.col("value").filter(pl.col("language") == source).mean().alias("source"),
        pl.col("value").filter(pl.col("language") != source).mean().alias("target"),
    )
    parts = parts.with_columns((pl.col("source") - pl.col("target")).alias("gap"))
    long = parts.unpivot(["source", "target", "gap"], index=keys, variable_name="of")
    beside = {"rewind": ("tuned", NONE, -1), "transplant": ("transplant", NONE, 1)}
    tables = []
    for way, (other, weights, sign) in beside.items():
        reference = long.filter(way=other, weights=weights).select(
            "method", "seed", "of", pl.col("value").alias("than")
        )
        own = long.filter(pl.col("way") == way, pl.col("weights") != NONE).join(reference, on=["method", "seed", "of"])
        tables.append(own.with_columns((sign * (pl.col("value") - pl.col("than"))).alias("effect")))
    return summarised(pl.concat(tables), ["method", "way", "layer", "weights", "of"], "effect")


def grid(effect: pl.DataFrame) -> Float[np.ndarray, "kinds layers"]:
    """Effects by kind of weights (`KINDS` without the embeddings) and layer; NaN where a group did not learn.

    Args:
        effect: rows of `effects` of one method, way and measure.
    """
    inside = effect.filter(pl.col("layer").is_not_null())
    cells = np.full((len(INSIDE), 1 + int(inside["layer"].max() or 0) if len(inside) else 1), np.nan)  # type: ignore[arg-type]
    for layer, kind, value in inside.select("layer", "weights", "effect").iter_rows():
        cells[INSIDE.index(kind), layer] = value
    return cells


def importance_map(effects: pl.DataFrame, method: str) -> Figure:
    """Effects of every group of weights of one method: layers across, kinds of weights down.

    Args:
        effects: of `importance.effects`.
        method: whose.
    """
    own = effects.filter(method=method)
    titles = {
        "rewind": dict.fromkeys(OF, "lost when rewound") | {"gap": "closed when rewound"},
        "transplant": dict.fromkeys(OF, "gained when transplanted") | {"gap": "opened when transplanted"},
    }
    with rc_context(STYLE):
        figure = Figure((WIDTH * 1.2, 4.4), layout="constrained")
        panels: Any = figure.subfigures(2, 3)
        for row, (way, title) in zip(panels, titles.items(), strict=True):
            for panel, (of, name) in zip(row, OF.items(), strict=True):
                _heat(panel, own.filter(way=way, of=of), f"{name}: {title[of]}")
        figure.suptitle(method)
        return figure


def _heat(panel: Any, own: pl.DataFrame, title: str) -> None:
    cells = grid(own)
    alone = {row["weights"]: row["effect"] for row in own.filter(pl.col("layer").is_null()).iter_rows(named=True)}
    sides = {"emb.": alone.get("embeddings"), "norm": alone.get("norms")}
    there = {name: value for name, value in sides.items() if value is not None}
    columns = [np.full((len(INSIDE), 1), value) for value in there.values()]
    whole = np.concatenate([*columns, cells], axis=1)
    limit = np.nanmax(np.abs(whole), initial=0.0) or 1.0
    axes = panel.subplots()
    image = axes.imshow(whole, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
    labels = [*there, *map(str, range(1, cells.shape[1] + 1))]
    axes.set_xticks(range(len(labels)), labels, fontsize=7)
    axes.set_yticks(range(len(INSIDE)), INSIDE, fontsize=7)
    head = alone.get("head")  # without it nothing is left of the task: on the same scale it would hide the rest
    axes.set_title(title if head is None else f"{title} (head: {head:+.2f})", fontsize=8)
    for place in range(len(there)):
        axes.axvline(place + 0.5, color="white", linewidth=3)
    panel.colorbar(image, ax=axes, shrink=0.8).ax.tick_params(labelsize=7)


def _importance(opened_run: OpenedRun, options: AnalysisOptions) -> AnalysisResult:
    chosen = [(cell, found) for cell, found in cells(opened_run, options) if tunes_backbone(cell)]
    if not chosen:
        raise IsoglossError("no method of this run tunes the backbone itself")
    scores, moved = [], []
    with err.status("") as status:
        for number, (cell, found) in enumerate(chosen, start=1):
            status.update(f"importance: {cell.label} seed {cell.seed} ({number} of {len(chosen)})")
            own, distance = importance(opened_run, cell, found, examples=options.examples)
            scores.append(own)
            moved.append(distance)
    every = pl.concat(scores)
    effect = effects(every, str(opened_run.data.source))
    maps = {f"importance-{safe_name(name)}": importance_map(effect, name) for name, _ in by_method(effect)}
    table = Table(
        "method", "weights", "source", "mean target", "gap", box=box.SIMPLE_HEAD,
        title="what is lost when one group is rewound: the five that matter most to the gap",
    )  # fmt: skip
    rewound = effect.filter(pl.col("way") == "rewind", pl.col("weights") != ALL)
    wide = rewound.pivot(on="of", index=["method", "layer", "weights"], values="effect")
    for (method,), own in wide.group_by(["method"], maintain_order=True):
        for row in own.sort(pl.col("gap").abs(), descending=True).head(5).iter_rows(named=True):
            where = row["weights"] if row["layer"] is None else f"layer {row['layer'] + 1} {row['weights']}"
            table.add_row(str(method), where, *(f"{row[of]:+.3f}" for of in ("source", "target", "gap")))
    return AnalysisResult(
        {"importance": every, "importance-effects": effect, "importance-moved": pl.concat(moved)}, maps, [table]
    )


ANALYSIS = Analysis("importance", _importance, computes=True)
