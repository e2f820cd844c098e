"""What a model forgets of its languages while it learns a task, and how the gap goes with it.

Before and after training, on sentences that say the same in each language: retrieval across languages, linear CKA with
the pre-trained states at every depth, and the loss of models that predict words. During training, after each epoch,
the means of the first two over all layers, beside the gap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from rich.text import Text
from scipy import stats

from isogloss.analysis.analysis import (
    Analysis,
    AnalysisOptions,
    AnalysisResult,
    Results,
    Section,
    model_cells,
    parallel_sentences,
    titled,
    wanted,
)
from isogloss.analysis.dynamics import gap_curve
from isogloss.analysis.forgetting.lm_loss import word_losses
from isogloss.analysis.representation import means_by_depth
from isogloss.charts import forgetting as drawn
from isogloss.charts.chart import Chart
from isogloss.charts.states import by_depth
from isogloss.data.parallel_text import Parallel
from isogloss.experiment.cells import Cell
from isogloss.experiment.opened_run import OpenedRun
from isogloss.runtime.console import activity
from isogloss.runtime.seeding import derive
from isogloss.runtime.shell_table import ShellTable
from isogloss.stats.intervals import CONFIDENCE
from isogloss.store import StoredCell
from isogloss.training.monitor import MEASURES, parallel_states

RESAMPLES = 2000
NAMES = {"cka": "linear CKA with the pre-trained states", "retrieval": "retrieval of translations"}
SCHEMA: dict[str, Any] = {
    "method": pl.String, "seed": pl.Int64, "depth": pl.Int64, "language": pl.String, "measure": pl.String,
    "before": pl.Float64, "after": pl.Float64, "sentences": pl.Int64,
}  # fmt: skip


class PretrainedReference:
    """What the pre-trained model makes of parallel sentences, to hold every cell against.

    Args:
        opened_run: a run directory.
        parallel: sentences in the source and targets.
    """

    def __init__(self, opened_run: OpenedRun, parallel: Parallel) -> None:
        self.opened_run = opened_run
        self.sentences = len(parallel)
        self.memory = parallel_states(parallel, opened_run.backbone)
        self.before = list(self.memory.measures(self.memory.before))
        self.losses = word_losses(opened_run.backbone, self.memory) if opened_run.backbone.lm_head is not None else None

    def compare(self, cell: Cell, stored: StoredCell) -> pl.DataFrame:
        """What a cell remembers.

        Args:
            cell: one of the directory's.
            stored: where it is stored.

        Returns:
            Rows of `SCHEMA`; depth 0 is what enters the first layer, and the loss has none.
        """
        stack, memory = self.opened_run.stack(stored), self.memory
        states = self.opened_run.trace(stack, memory)
        after = self.before if states is memory.before else memory.measures(states)
        common = {"method": cell.label, "seed": cell.seed, "sentences": self.sentences}
        rows = [
            {**common, "depth": depth, "language": language, "measure": measure, "before": then, "after": now}
            for (depth, language, measure, then), (_, _, _, now) in zip(self.before, after, strict=True)
        ]
        if self.losses is not None and not cell.method.frozen:
            now = word_losses(stack.backbone, memory)
            rows += [
                {**common, "depth": None, "language": code, "measure": "loss", "before": then, "after": now[code]}
                for code, then in self.losses.items()
            ]
        return pl.DataFrame(rows, schema=SCHEMA)


def checkpoints(history: pl.DataFrame, source: str) -> pl.DataFrame:
    """The gap beside what is remembered, at the end of every epoch and before the first.

    Returns:
        `method seed step measure kept fallen gap target`: the mean over target languages of what is kept, how far it
        has fallen since the start, and the gap there; no gap before the first update.
    """
    remembered = (
        history.filter(pl.col("metric").is_in(MEASURES), pl.col("language") != source)
        .group_by("method", "seed", "step", pl.col("metric").alias("measure"), maintain_order=True)
        .agg(pl.col("value").mean().alias("kept"))
    )
    start = remembered.filter(step=0).select("method", "seed", "measure", pl.col("kept").alias("first"))
    curve = gap_curve(history, source).select("method", "seed", "step", "gap", "target")
    return (
        remembered.join(start, on=["method", "seed", "measure"])
        .with_columns((pl.col("first") - pl.col("kept")).alias("fallen"))
        .drop("first")
        .join(curve, on=["method", "seed", "step"], how="left")
        .sort("method", "seed", "measure", "step")
    )


def against_gap(table: pl.DataFrame) -> pl.DataFrame:
    """How the gap goes with what is forgotten, over checkpoints, methods and seeds.

    Intervals are by a bootstrap over runs, since the checkpoints of one run are alike.

    Args:
        table: of `checkpoints`.

    Returns:
        `measure method correlation low high checkpoints runs`: Spearman's, of all methods together (`method` null) and
        of each.
    """
    rows = []
    known = table.drop_nulls("gap")
    methods: list[str | None] = [None, *known["method"].unique(maintain_order=True)]
    for (measure,), of_measure in known.group_by(["measure"], maintain_order=True):
        for method in methods:
            part = of_measure if method is None else of_measure.filter(pl.col("method") == method)
            runs = [
                [run.select("fallen", "gap").to_numpy() for _, run in of_method.group_by("seed", maintain_order=True)]
                for _, of_method in part.group_by("method", maintain_order=True)
            ]
            rows.append({"measure": measure, "method": method, **_correlation(runs)})
    schema = {
        "measure": pl.String, "method": pl.String, "correlation": pl.Float64, "low": pl.Float64, "high": pl.Float64,
        "checkpoints": pl.Int64, "runs": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def _correlation(runs: list[list[np.ndarray]]) -> dict[str, float | int | None]:
    """Spearman's correlation over the checkpoints of each method's runs; runs are drawn anew within methods."""

    def of(chosen: list[np.ndarray]) -> float:
        points = np.concatenate([runs[method][i] for method, some in enumerate(chosen) for i in some])
        if (np.ptp(points, axis=0) == 0).any():
            return float("nan")
        return float(stats.spearmanr(points[:, 0], points[:, 1]).statistic)

    low = high = None
    if min(map(len, runs)) > 1:
        generator = np.random.default_rng(derive("forgetting", len(runs), 0))
        drawn = [of([generator.integers(0, len(some), len(some)) for some in runs]) for _ in range(RESAMPLES)]
        known = [value for value in drawn if not np.isnan(value)]
        if known:
            low, high = (float(np.quantile(known, share)) for share in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return {
        "correlation": of([np.arange(len(some)) for some in runs]), "low": low, "high": high,
        "checkpoints": sum(len(run) for some in runs for run in some), "runs": sum(map(len, runs)),
    }  # fmt: skip


def _charts(results: Results) -> dict[str, Chart]:
    table, points = results.table("forgetting"), results.table("forgetting-checkpoints")
    charts = {}
    if table is not None:
        charts["forgetting"] = by_depth(means_by_depth(table, results.source), results.methods, NAMES)
    if points is not None:
        charts["forgetting-gap"] = drawn.gap(points, results.methods, NAMES)
    return charts


def _forgetting(opened_run: OpenedRun, options: AnalysisOptions) -> AnalysisResult:
    parallel = parallel_sentences(opened_run, options)
    parts = []
    chosen = model_cells(opened_run, options)
    with activity("forgetting: before training") as say:
        reference = PretrainedReference(opened_run, parallel)
        for number, (cell, stored) in enumerate(chosen, start=1):
            say(f"forgetting: {cell.label} seed {cell.seed} ({number} of {len(chosen)})")
            parts.append(reference.compare(cell, stored))
    every = pl.concat(parts)
    targets = every.filter(pl.col("language") != str(opened_run.data.source))
    result = AnalysisResult({"forgetting": every})
    layers = targets.filter(pl.col("depth").is_null() | (pl.col("depth") > 0))
    means = layers.group_by("method", "measure", maintain_order=True).agg(pl.col("before", "after").mean())
    table = ShellTable(
        "method", "measure", "before", "after",
        title=f"what is remembered of {len(parallel.languages) - 1} target languages, the mean over layers",
    )  # fmt: skip
    for method, measure, before, after in means.iter_rows():
        table.add_row(method, measure, f"{before:.3f}", f"{after:.3f}")
    result.shown.append(table)
    points = checkpoints(wanted(opened_run.stored.table("history"), options), str(opened_run.data.source))
    if len(points.drop_nulls("gap")):
        correlation = against_gap(points)
        result.tables |= {"forgetting-checkpoints": points, "forgetting-gap": correlation}
        result.shown += [
            Text(
                f"Spearman's correlation of the gap with the fall of {row['measure']}: {row['correlation']:.2f} "
                f"[{row['low']:.2f}, {row['high']:.2f}] over {row['checkpoints']} checkpoints of {row['runs']} runs"
            )
            for row in correlation.filter(pl.col("method").is_null(), pl.col("low").is_not_null()).iter_rows(named=True)
        ]
    return result


ANALYSIS = Analysis(
    "forgetting",
    _forgetting,
    computes=True,
    section=Section(
        "Forgetting",
        "What is left of the pre-trained states and of translations at every layer, and the gap against it, a line a "
        "run.",
        _charts,
        titled({"forgetting-gap": "Correlation of the gap with what is forgotten"}),
        small=True,
    ),
)
