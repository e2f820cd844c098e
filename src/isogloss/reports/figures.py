"""The figures of a report that are of no analysis: scores of methods and languages, the map, and training."""

from __future__ import annotations

import polars as pl

from isogloss.charts import scores, training, worldmap
from isogloss.charts.chart import Chart
from isogloss.reports.ranking import ranked
from isogloss.reports.run_group import RunGroup
from isogloss.stats.intervals import summarised


def figures(run_group: RunGroup) -> dict[str, Chart]:
    """Each by its title, those that there is something to draw for."""
    metric, source = run_group.metric, str(run_group.source)
    table, methods = run_group.by_language, run_group.methods
    order = [*ranked(run_group)[:1], *(method for method in methods if method not in ranked(run_group)[:1])]
    charts = {
        "methods": scores.methods(table, methods, metric=metric, source=source, common=run_group.common),
        "languages": scores.languages(table, methods, metric=metric, source=source),
        "map": worldmap.world(table, order, source=source) if run_group.targets else None,
        "map-part": worldmap.part(table, order, source=source) if run_group.targets else None,
        "learning": _learning(run_group),
    }
    return {title: chart for title, chart in charts.items() if chart is not None}


def _learning(run_group: RunGroup) -> Chart | None:
    """Training loss and the source's development score over updates."""
    history = run_group.history
    losses = history.filter(pl.col("learning_rate").is_not_null()).with_columns(
        pl.col("loss").alias("value"), pl.lit(training.LOSS).alias("curve")
    )
    developed = history.filter(pl.col("loss").is_not_null(), pl.col("metric").is_not_null()).with_columns(
        pl.lit(training.SCORE).alias("curve")
    )
    table = pl.concat([losses, developed]).drop_nulls("value")
    if not len(table):
        return None
    means = summarised(table, ["method", "curve", "step"], "value")
    return training.learning(means, run_group.methods, metric=run_group.metric)
