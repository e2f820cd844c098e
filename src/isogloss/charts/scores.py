"""Scores of methods and languages."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import altair as alt
import polars as pl

from isogloss.charts.chart import Chart
from isogloss.charts.style import FREE, LABEL, SCHEME, layered, method_axis, method_colour, named, numbers

ROW = 31  # pixels of a method


def methods(
    scores: pl.DataFrame, methods: Sequence[str], *, metric: str, source: str, common: Collection[str]
) -> Chart:
    """Every language's score, a row a method: the source as a diamond, targets as ticks, their mean as a dot.

    Args:
        scores: `method language score`, the means over seeds.
        methods: labels in their order.
        metric: of the scores.
        source: code of the source language.
        common: codes of the target languages that means are over.
    """
    of_targets = f"mean of {len(common)} target{'s' * (len(common) > 1)}"
    means = scores.filter(pl.col("language").is_in(list(common))).group_by("method", maintain_order=True)
    table = pl.concat(
        [
            named(scores.select("method", "language", "score")).with_columns(
                kind=pl.when(pl.col("language") == source).then(pl.lit("source")).otherwise(pl.lit("target"))
            ),
            means.agg(pl.col("score").mean()).with_columns(
                kind=pl.lit("mean"), name=pl.lit(of_targets), language=pl.lit("")
            ),
        ],
        how="diagonal",
    ).select("method", "language", "name", "score", "kind")  # fmt: skip
    base = alt.Chart().encode(
        x=alt.X("score:Q", title=metric, scale=FREE), y=method_axis("method", methods),
        color=method_colour(methods, legend=False), tooltip=["name:N", "language:N", "method:N", *numbers(["score"])],
    )  # fmt: skip
    ticks = base.transform_filter(alt.datum.kind == "target").mark_tick(thickness=2, size=14, opacity=0.65)
    mean = base.transform_filter(alt.datum.kind == "mean").mark_circle(size=90, opacity=1)
    diamond = base.transform_filter(alt.datum.kind == "source").mark_point(
        shape="diamond", size=90, filled=True, opacity=1
    )
    return Chart(
        layered(ticks, mean, diamond), table, width=460, height=ROW * len(methods),
        note="A diamond is the source, a tick a target language, a dot the mean of the targets that every run has.",
    )  # fmt: skip


def languages(scores: pl.DataFrame, methods: Sequence[str], *, metric: str, source: str) -> Chart:
    """A heat map of every language and method, the source on top.

    Args:
        scores: `method language score`, the means over seeds.
        methods: labels in their order.
        metric: of the scores.
        source: code of the source language.
    """
    table = named(scores.select("method", "language", "score"))
    order = table.select("name", "language").unique().sort(pl.col("language") != source, "name")["name"].to_list()
    low, high = table["score"].min(), table["score"].max()
    assert isinstance(low, float)
    assert isinstance(high, float)
    base = alt.Chart().encode(
        x=alt.X(
            "method:N", sort=list(methods), title=None,
            axis=alt.Axis(orient="top", labelAngle=-35, labelLimit=LABEL, labelAlign="left"),
        ),
        y=alt.Y("name:N", sort=order, title=None),
        tooltip=["name:N", "language:N", "method:N", *numbers(["score"])],
    )  # fmt: skip
    colour = alt.Color("score:Q", scale=alt.Scale(scheme=SCHEME), legend=alt.Legend(title=metric, gradientLength=200))
    # The darker half of the palette is that of the lower scores.
    ink = alt.condition(f"datum.score < {(low + high) / 2}", alt.value("white"), alt.value("black"))
    text = base.mark_text(fontSize=9).encode(text=alt.Text("score:Q", format=".2f"), color=ink)
    return Chart(layered(base.mark_rect().encode(color=colour), text), table, width=alt.Step(54), height=alt.Step(14))
