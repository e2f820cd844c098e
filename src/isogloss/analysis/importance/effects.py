"""Which weights carry what tuning changed, and which of them open the gap.

After Guo et al. (2023, arXiv 2305.11449), whose abstract asks the question; the probes are ours. Of a tuned model, one
group of weights at a time is *rewound* to its pre-trained values; or it alone is *transplanted* into the pre-trained
model, which has the tuned head. Beside it stand the distance that a group has moved, and its Fisher information.
"""

from __future__ import annotations

from typing import Any

import polars as pl
import torch

from isogloss.analysis.analysis import Analysis, AnalysisOptions, AnalysisResult, Results, Section, cells, titled
from isogloss.analysis.importance.rewind import ALL, NONE, RewindableModel, fisher, tunes_backbone
from isogloss.charts import importance as drawn
from isogloss.charts.chart import Chart
from isogloss.errors import NotApplicableError
from isogloss.experiment.cells import Cell
from isogloss.experiment.opened_run import OpenedRun
from isogloss.optim.weight_places import INSIDE
from isogloss.runtime.console import activity
from isogloss.runtime.shell_table import ShellTable
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
    opened_run: OpenedRun, cell: Cell, stored: StoredCell, *, examples: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Scores of a model with groups of its weights set back, and how far each has moved.

    Args:
        opened_run: a run directory.
        cell: one of its cells, of a method that tunes the backbone.
        stored: where it is stored.
        examples: of each target's test split, evenly spread, and as many of the source's as of all targets'.

    Returns:
        Rows of `SCHEMA`, and rows of `MOVED`.
    """
    rewindable = RewindableModel(opened_run, cell, stored)
    test = opened_run.sample(stored, opened_run.data.tests, examples)
    tables = []
    for way, (layer, weights), tuned in rewindable.states():
        rewindable.set(tuned)
        about = {"method": cell.label, "seed": cell.seed, "way": way, "layer": layer, "weights": weights}
        scores = opened_run.scores(rewindable.stack, cell, test)
        tables.append(scores.with_columns(pl.lit(value).alias(name) for name, value in about.items()))
    rewindable.set(rewindable.tuned)
    information = fisher(rewindable, opened_run.sample(stored, [opened_run.data.dev], FISHER_EXAMPLES))
    rows = []
    for (layer, weights), names in rewindable.groups.items():
        difference = torch.cat([(rewindable.tuned[name] - rewindable.start[name]).flatten().double() for name in names])
        before = torch.cat([rewindable.start[name].flatten().double() for name in names])
        rows.append(
            {
                "method": cell.label, "seed": cell.seed, "layer": layer, "weights": weights,
                "parameters": len(before), "distance": float(difference.norm()),
                "relative": float(difference.norm() / before.norm()), "fisher": information[layer, weights],
            }
        )  # fmt: skip
    measured = pl.concat([table.select(list(SCHEMA)).cast(SCHEMA) for table in tables])
    return measured, pl.DataFrame(rows, schema=MOVED)


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
        changed = long.filter(pl.col("way") == way, pl.col("weights") != NONE).join(
            reference, on=["method", "seed", "of"]
        )
        tables.append(changed.with_columns((sign * (pl.col("value") - pl.col("than"))).alias("effect")))
    return summarised(pl.concat(tables), ["method", "way", "layer", "weights", "of"], "effect")


def _charts(results: Results) -> dict[str, Chart]:
    table = results.table("importance-effects")
    if table is None:
        return {}
    present = set(table["method"])
    return {
        f"importance-{safe_name(method)}": drawn.weights(table, method, INSIDE)
        for method in results.methods
        if method in present
    }


def _importance(opened_run: OpenedRun, options: AnalysisOptions) -> AnalysisResult:
    chosen = [(cell, stored) for cell, stored in cells(opened_run, options) if tunes_backbone(cell)]
    if not chosen:
        raise NotApplicableError("no method of this run tunes the backbone itself")
    scores, moved = [], []
    with activity("") as say:
        for number, (cell, stored) in enumerate(chosen, start=1):
            say(f"importance: {cell.label} seed {cell.seed} ({number} of {len(chosen)})")
            scored, distance = importance(opened_run, cell, stored, examples=options.examples)
            scores.append(scored)
            moved.append(distance)
    every = pl.concat(scores)
    effect = effects(every, str(opened_run.data.source))
    table = ShellTable(
        "method", "weights", "source", "mean target", "gap",
        title="what is lost when one group is rewound: the five that matter most to the gap",
    )  # fmt: skip
    rewound = effect.filter(pl.col("way") == "rewind", pl.col("weights") != ALL)
    wide = rewound.pivot(on="of", index=["method", "layer", "weights"], values="effect")
    for (method,), scored in wide.group_by(["method"], maintain_order=True):
        for row in scored.sort(pl.col("gap").abs(), descending=True).head(5).iter_rows(named=True):
            where = row["weights"] if row["layer"] is None else f"layer {row['layer'] + 1} {row['weights']}"
            table.add_row(str(method), where, *(f"{row[of]:+.3f}" for of in ("source", "target", "gap")))
    return AnalysisResult(
        {"importance": every, "importance-effects": effect, "importance-moved": pl.concat(moved)}, [table]
    )


ANALYSIS = Analysis(
    "importance",
    _importance,
    computes=True,
    section=Section(
        "Which weights",
        "What one group of weights does: set back to its pre-trained values, or put alone into the pre-trained model.",
        _charts,
        titled({}),
    ),
)
