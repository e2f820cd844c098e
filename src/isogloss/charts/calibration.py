"""Confidence against how often it is right."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from isogloss.charts.chart import Chart, Split
from isogloss.charts.style import COLOURS, GREY, layered, named, numbers

BEFORE, AFTER = "before the temperature", "after the temperature"
TARGETS = "all targets"  # together, where a language's code stands


def reliability_diagram(bins: pl.DataFrame, methods: Sequence[str], source: str) -> Chart:
    """Of each bin of confidence, how many answers in it are right, before the temperature and after.

    Args:
        bins: `method language temperature low high confidence right n`.
        methods: labels in their order.
        source: its code.
    """
    together = pl.lit(TARGETS).alias("name")
    of_all = bins.filter(language=TARGETS).with_columns(together)
    of_one = named(bins.filter(pl.col("language") != TARGETS)).drop("family", "script")
    table = pl.concat([of_all, of_one]).with_columns(kind=pl.lit("bin"))
    names = dict(of_one.select("language", "name").unique(maintain_order=True).iter_rows())
    order = [TARGETS, *([names[source]] if source in names else []), *sorted(set(names.values()) - {names.get(source)})]
    panels = table.select("method", "name").unique(maintain_order=True)
    ends = pl.DataFrame({"confidence": [0.0, 1.0], "right": [0.0, 1.0], "kind": ["equal"] * 2})
    table = pl.concat([table, panels.join(ends, how="cross")], how="diagonal_relaxed").drop("language")
    base = alt.Chart().transform_filter(alt.datum.kind == "bin")
    whole = alt.Scale(domain=[0, 1])
    ticks = alt.Axis(tickCount=5)
    across = alt.X("confidence:Q", title="confidence", scale=whole, axis=ticks)
    up = alt.Y("right:Q", title="share that is right", scale=whole, axis=ticks)
    key = alt.Legend(orient="bottom", title=None, symbolOpacity=1)
    colour = alt.Color("temperature:N", scale=alt.Scale(domain=[BEFORE, AFTER], range=COLOURS[1::-1]), legend=key)
    equal = alt.Chart().transform_filter(alt.datum.kind == "equal").mark_line(strokeDash=[2, 3], color=GREY)
    line = base.mark_line(strokeWidth=1.5, opacity=0.7).encode(x=across, y=up, color=colour)
    size = alt.Size("n:Q", legend=None, scale=alt.Scale(range=[15, 250]))
    dot = base.mark_point(filled=True, opacity=0.9).encode(
        x=across, y=up, color=colour, size=size,
        tooltip=["name:N", "temperature:N", *numbers(["confidence", "right"], ".3f"), "n:Q"],
    )  # fmt: skip
    view = layered(equal.encode(x=across, y=up), line, dot)
    return Chart(
        view, table,
        [Split("method", methods, "method"), Split("name", order, "language", paper=[*order[:2]])],
        title="{method}: {name}", width=230, height=260, columns=4,
        note="A dot is a tenth of the confidences, as large as the answers in it are many, over all seeds.",
    )  # fmt: skip
