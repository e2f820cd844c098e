"""Boundaries between classes, and the states around them."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import polars as pl

from isogloss.charts.chart import Chart, Split
from isogloss.charts.style import (
    CLASSES,
    FREE,
    GREY,
    LABEL,
    SHAPES,
    code_labels,
    layered,
    method_colour,
    named,
    numbers,
    with_codes,
)

TILES = 50  # of a plane, a side
BARE = alt.Axis(labels=False, ticks=False, grid=False)
ACCURACIES = ("source_on_target", "target_on_target", "angle")


def accuracies(table: pl.DataFrame, methods: Sequence[str]) -> Chart:
    """Of every target, how well a boundary fitted to it does beside one that was fitted to the source.

    Args:
        table: `method language source_on_target target_on_target angle` of targets, the means over seeds.
        methods: labels in their order.
    """
    points = named(table.drop_nulls(ACCURACIES[:2]).select("method", "language", *ACCURACIES))
    points = with_codes(points.with_columns(kind=pl.lit("target")), [], "target_on_target")
    equal = pl.DataFrame({"source_on_target": [0.0, 1.0], "target_on_target": [0.0, 1.0], "kind": ["equal"] * 2})
    x = alt.X("source_on_target:Q", title="accuracy in the target of a boundary fitted to the source")
    y = alt.Y("target_on_target:Q", title="of one fitted to the target")
    base = alt.Chart().transform_filter(alt.datum.kind == "target")
    line = alt.Chart().transform_filter(alt.datum.kind == "equal").mark_line(color=GREY, strokeWidth=1)
    dots = base.mark_circle(size=45, opacity=0.85).encode(
        x=x, y=y, color=method_colour(methods), tooltip=["name:N", "language:N", "method:N", *numbers(ACCURACIES)]
    )
    view = layered(line.encode(x=x, y=y), dots, code_labels(base, x="source_on_target", y="target_on_target"))
    return Chart(view, pl.concat([points, equal], how="diagonal").drop("family", "script"), width=340, height=340)


def angles(table: pl.DataFrame, methods: Sequence[str], source: str) -> Chart:
    """Of every target, how the source's boundary does there, and how far it is turned from the target's.

    Args:
        table: `method language source_on_target target_on_target angle`, the means over seeds; in the source's rows
            the angle is that between its own halves.
        methods: labels in their order.
        source: code of the source language.
    """
    is_source = pl.col("language") == source
    points = named(table.select("method", "language", *ACCURACIES)).with_columns(
        kind=pl.when(is_source).then(pl.lit("source")).otherwise(pl.lit("target"))
    )
    points = with_codes(points, ["kind"], "source_on_target")
    x = alt.X("angle:Q", title="angle between the two, in degrees", scale=FREE)
    colour = method_colour(methods)
    base = alt.Chart().transform_filter(alt.datum.kind == "target")
    dots = base.mark_circle(size=45, opacity=0.85).encode(
        x=x, y=alt.Y("source_on_target:Q", title="accuracy in the target of the source's boundary", scale=FREE),
        color=colour,
        tooltip=["name:N", "language:N", "method:N", *numbers(ACCURACIES)],
    )  # fmt: skip
    halves = alt.Chart().transform_filter(alt.datum.kind == "source").mark_rule(strokeDash=[2, 3])
    view = layered(halves.encode(x=x, color=colour), dots, code_labels(base, x="angle", y="source_on_target"))
    return Chart(
        view, points.drop("family", "script"), width=340, height=340,
        note="Dotted: the angle between boundaries that were fitted to either half of the source's examples.",
    )  # fmt: skip


def plane(
    points: pl.DataFrame,
    methods: Sequence[str],
    *,
    axes: tuple[str, str],
    regions: pl.DataFrame | None = None,
    planes: pl.DataFrame | None = None,
) -> Chart:
    """Examples of the source and targets in two dimensions, by class, with the regions of the trained head.

    Args:
        points: `method language gold predicted example` and two axes.
        methods: labels in their order.
        axes: the columns of both.
        regions: `method x y label` of a grid of points in the same plane.
        planes: `method variance faithful`: what the plane holds of the states, and of the head's answers.
    """
    x, y = axes
    dots = named(points.drop_nulls(list(axes))).select(
        "method", "name", "gold", "predicted", "example", pl.col(x).alias("x"), pl.col(y).alias("y"),
        pl.lit("example").alias("kind"),
    )  # fmt: skip
    parts = [dots]
    if regions is not None:
        parts += [_tiles(part).with_columns(kind=pl.lit("region")) for part in regions.partition_by("method")]
    table = pl.concat(parts, how="diagonal")
    classes = sorted(set(table["gold"]))
    languages = dots["name"].unique(maintain_order=True).to_list()
    colour = alt.Color(
        "gold:N", scale=alt.Scale(domain=classes, range=CLASSES),
        legend=alt.Legend(orient="bottom", columns=2, title="class", symbolOpacity=1, labelLimit=LABEL),
    )  # fmt: skip
    shape = alt.Shape(
        "name:N", scale=alt.Scale(domain=languages, range=SHAPES),
        legend=alt.Legend(orient="bottom", columns=3, title="language", labelLimit=LABEL),
    )  # fmt: skip
    close = alt.Scale(zero=False, nice=False, padding=12 if regions is None else 0)
    across, up = (alt.X("x:Q", title=None, axis=BARE, scale=close), alt.Y("y:Q", title=None, axis=BARE, scale=close))
    examples = alt.Chart().transform_filter(alt.datum.kind == "example").mark_point(filled=True, size=45, opacity=0.85)
    examples = examples.encode(
        x=across, y=up, color=colour, shape=shape, tooltip=["name:N", "gold:N", "predicted:N", "example:N"]
    )
    ground = alt.Chart().transform_filter(alt.datum.kind == "region").mark_rect(opacity=0.2, strokeWidth=0)
    ground = ground.encode(x=across, x2="x2:Q", y=up, y2="y2:Q", color=colour)
    titles = {}
    if planes is not None:
        for method, variance, faithful in planes.select("method", "variance", "faithful").iter_rows():
            titles[method] = f"{method}: {variance:.0%} of variance, {faithful:.0%} of answers"
    return Chart(
        examples if regions is None else layered(ground, examples), table, [Split("method", methods, titles=titles)],
        title="{method}", width=330, height=330, columns=2,
    )  # fmt: skip


def _tiles(grid: pl.DataFrame) -> pl.DataFrame:
    """Rectangles of a grid of points, of which some columns and rows are kept, so that a page opens fast."""
    for axis in ("x", "y"):
        steps = np.array(sorted(grid[axis].unique()))
        kept = steps[:: max(1, len(steps) // TILES)]
        width = float(kept[1] - kept[0]) if len(kept) > 1 else 1.0
        grid = grid.filter(pl.col(axis).is_in(kept.tolist())).with_columns((pl.col(axis) + width).alias(f"{axis}2"))
    return grid.select("method", pl.col("label").alias("gold"), "x", "x2", "y", "y2")
