"""Charts of training: loss, development score of the source, and the gap where it was looked at."""

from __future__ import annotations

import altair as alt
import polars as pl

from isogloss.charts.style import FREE, Chart, method_colour, method_dash, wide
from isogloss.report.run_group import RunGroup
from isogloss.stats.intervals import summarised

POINTS = 120  # of a curve, at most
PARTS = {"loss": "training loss", "score": "source, development split"}


def learning(run_group: RunGroup) -> list[Chart]:
    """Loss and development score over updates, the mean over seeds."""
    history = run_group.history
    loss = history.filter(pl.col("learning_rate").is_not_null()).select(
        "method", "seed", "step", pl.col("loss").alias("value"), pl.lit("loss").alias("part")
    )
    score = history.filter(pl.col("loss").is_not_null() & pl.col("metric").is_not_null()).select(
        "method", "seed", "step", "value", pl.lit("score").alias("part")
    )
    table = (
        pl.concat([loss, score])
        .group_by("method", "part", "step", maintain_order=True)
        .agg(pl.col("value").mean().round(5))
    )
    table = _thinned(table.sort("method", "part", "step"), ["method", "part"])
    if not len(table):
        return []
    table = table.with_columns(pl.col("part").replace(PARTS))
    return _panels(table, run_group.methods, list(PARTS.values()), "part")


def opening(run_group: RunGroup) -> list[Chart]:
    """Source, mean target and gap on samples of development data."""
    table = run_group.table("dynamics")
    if table is None:
        return []
    long = table.unpivot(["source", "target", "gap"], index=["method", "seed", "step"], variable_name="part")
    means = summarised(long, ["method", "part", "step"], "value").sort("method", "part", "step")
    means = _thinned(means, ["method", "part"]).with_columns(pl.col("value", "low", "high").fill_nan(None).round(5))
    return _panels(means, run_group.methods, ["source", "target", "gap"], "part", band=True)


def _thinned(table: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """At most so many points of each curve, evenly spread, its last among them."""
    place, size = pl.int_range(pl.len()).over(keys), pl.len().over(keys)
    step = (size + POINTS - 1) // POINTS
    return table.filter((place % step == 0) | (place == size - 1))


def _panels(table: pl.DataFrame, methods: list[str], parts: list[str], by: str, *, band: bool = False) -> list[Chart]:
    panels = []
    for part in parts:
        base = alt.Chart(table.filter(pl.col(by) == part).drop(by))
        x = alt.X("step:Q", title="updates")
        colour = method_colour(methods)
        line = base.mark_line(point=alt.OverlayMarkDef(size=12)).encode(
            x=x, y=alt.Y("value:Q", title=part, scale=FREE), color=colour, strokeDash=method_dash(methods),
            tooltip=["method:N", "step:Q", alt.Tooltip("value:Q", format=".4f")],
        )  # fmt: skip
        area = base.mark_area(opacity=0.15).encode(x=x, y="low:Q", y2="high:Q", color=colour)
        panels.append(wide(alt.layer(area, line) if band else line, 220))
    return panels
