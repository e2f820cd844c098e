"""How near the source's and each target's states lie at every depth, before and after a task is learnt.

On sentences that say the same in each language, the mean state of each sentence's tokens (`Stack.trace`). What a model
keeps of its own pre-trained states is another question: `forgetting` answers it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
from jaxtyping import Float
from rich.text import Text
from torch import Tensor

from isogloss.analysis.analysis import (
    Analysis,
    AnalysisOptions,
    AnalysisResult,
    Results,
    Section,
    model_cells,
    parallel_sentences,
    titled,
)
from isogloss.charts.chart import Chart
from isogloss.charts.states import by_depth
from isogloss.experiment.opened_run import OpenedRun
from isogloss.runtime.console import activity
from isogloss.runtime.shell_table import ShellTable
from isogloss.stats.intervals import summarised
from isogloss.stats.similarity import cosines, isotropy, linear_cka, retrieval
from isogloss.training.monitor import parallel_states

NAMES = {
    "cka": "linear CKA of source and target",
    "retrieval": "retrieval of translations",
    "cosine": "mean cosine of translations",
    "cosine-others": "mean cosine of other pairs",
    "margin": "what translations have over other pairs",
    "isotropy": "isotropy (IsoScore)",
}
SCHEMA: Any = {
    "method": pl.String, "seed": pl.Int64, "depth": pl.Int64, "language": pl.String, "measure": pl.String,
    "before": pl.Float64, "after": pl.Float64, "sentences": pl.Int64,
}  # fmt: skip


def measures(states: Float[Tensor, "depths rows H"], languages: list[str]) -> Iterator[tuple[int, str, str, float]]:
    """Depth, language, measure (`NAMES`) and value; of the source, the first of the languages, isotropy alone.

    Args:
        states: of the languages' sentences end to end, of each the same number in the same order.
        languages: their codes.
    """
    for depth, layer in enumerate(states):
        source, *_ = sentences = layer.split(len(layer) // len(languages))
        for language, states_of in zip(languages, sentences, strict=True):
            yield depth, language, "isotropy", isotropy(states_of)
            if states_of is source:
                continue
            yield depth, language, "cka", linear_cka(source, states_of)
            yield depth, language, "retrieval", retrieval(source, states_of)
            same, others = cosines(source, states_of)
            for measure, value in (("cosine", same), ("cosine-others", others), ("margin", same - others)):
                yield depth, language, measure, value


def means_by_depth(table: pl.DataFrame, source: str) -> pl.DataFrame:
    """Means over target languages at every depth, and over seeds with intervals.

    Args:
        table: rows of `SCHEMA`; without a depth they are left out.
        source: code of the source language.

    Returns:
        `method measure depth before after low high seeds`; the interval is of `after`.
    """
    targets = table.filter(pl.col("language") != source, pl.col("depth").is_not_null())
    keys = ["method", "measure", "depth"]
    seeds = targets.group_by(*keys, "seed", maintain_order=True).agg(pl.col("before", "after").mean())
    before = seeds.group_by(keys, maintain_order=True).agg(pl.col("before").mean())
    return before.join(summarised(seeds, keys, "after"), on=keys, maintain_order="left").sort("measure", "depth")


def _charts(results: Results) -> dict[str, Chart]:
    table = results.table("representation")
    if table is None:
        return {}
    return {"representation": by_depth(means_by_depth(table, results.source), results.methods, NAMES)}


def _representation(opened_run: OpenedRun, options: AnalysisOptions) -> AnalysisResult:
    parallel = parallel_sentences(opened_run, options)
    rows, chosen = [], model_cells(opened_run, options)
    with activity("representation: before training") as say:
        memory = parallel_states(parallel, opened_run.backbone)
        before = list(measures(memory.before, memory.languages))
        for number, (cell, stored) in enumerate(chosen, start=1):
            say(f"representation: {cell.label} seed {cell.seed} ({number} of {len(chosen)})")
            states = opened_run.trace(opened_run.stack(stored), memory)
            after = before if states is memory.before else list(measures(states, memory.languages))
            rows += [
                (cell.label, cell.seed, depth, language, measure, then, now, len(parallel))
                for (depth, language, measure, then), (_, _, _, now) in zip(before, after, strict=True)
            ]
    every = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    targets = every.filter(pl.col("language") != str(opened_run.data.source))
    table = ShellTable(
        "method", "measure", "before", "after", "last layer before", "after",
        title=f"source and {len(parallel.languages) - 1} targets, {len(parallel)} sentences; the mean over layers",
    )  # fmt: skip
    last = targets.filter(pl.col("depth") == targets["depth"].max())
    for (method, measure), rows_of in targets.filter(pl.col("depth") > 0).group_by(
        "method", "measure", maintain_order=True
    ):
        parts = rows_of, last.filter(method=method, measure=measure)
        shown = [f"{part[when].to_numpy().mean():.3f}" for part in parts for when in ("before", "after")]
        table.add_row(Text(str(method)), NAMES[str(measure)], *shown)
    return AnalysisResult({"representation": every}, [table])


ANALYSIS = Analysis(
    "representation",
    _representation,
    computes=True,
    section=Section(
        "Inside the model",
        "States of parallel sentences at every layer, those of the source against those of each target.",
        _charts,
        titled({}),
        small=True,
    ),
)
