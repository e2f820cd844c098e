"""Charts of what is inside the models: states by depth, the boundary, what weights do, what is forgotten."""

from __future__ import annotations

import altair as alt
import numpy as np
import polars as pl

from isogloss.charts.style import (
    CLASSES,
    DIVERGING,
    FREE,
    Chart,
    choice,
    method_colour,
    method_dash,
    named,
    titled,
    wide,
)
from isogloss.optim.weight_places import INSIDE
from isogloss.report.run_group import RunGroup

KEPT = "cka with the pre-trained states"
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]


def depths(run_group: RunGroup) -> list[Chart]:
    """Each measure of states by depth: before training dotted, after it a line a method."""
    columns = ["method", "depth", "measure", "before", "after"]
    parts = []
    for title, name in (("representation", None), ("forgetting", "cka")):  # retrieval is in both
        found = run_group.table(title)
        if found is not None:
            own = found.filter(pl.col("language") != str(run_group.source), pl.col("depth").is_not_null()).select(
                columns
            )
            parts.append(own if name is None else own.filter(measure=name).with_columns(measure=pl.lit(KEPT)))
    if not parts:
        return []
    table = pl.concat(parts, how="diagonal_relaxed").with_columns(pl.col("before", "after").fill_nan(None))
    means = table.group_by("method", "depth", "measure", maintain_order=True).agg(
        pl.col("before", "after").mean().round(4)
    )
    charts = []
    for (measure,), own in means.group_by(["measure"], maintain_order=True):
        base = alt.Chart(own.drop("measure"))
        x, y = alt.X("depth:Q", title="layer"), alt.Y("after:Q", title=str(measure), scale=alt.Scale(zero=False))
        after = base.mark_line(point=True).encode(
            x=x, y=y, color=method_colour(run_group.methods), strokeDash=method_dash(run_group.methods),
            tooltip=["method:N", "depth:Q", "before:Q", "after:Q"],
        )  # fmt: skip
        before = base.mark_line(strokeDash=[2, 3], color="#8C8C8C").encode(x=x, y="before:Q", detail="method:N")
        charts.append(wide(alt.layer(before, after), 220))
    return charts


def boundary(run_group: RunGroup) -> list[Chart]:
    """Source and target examples in two dimensions, by class, with the regions of the trained head."""
    points, regions = run_group.table("boundary-points"), run_group.table("boundary-regions")
    if points is None:
        return []
    points = named(points).with_columns(pl.col("pca_x", "pca_y", "tsne_x", "tsne_y").round(3))
    classes = sorted(set(points["gold"]))
    scale = alt.Scale(domain=classes, range=CLASSES)
    colour = alt.Color(
        "gold:N", scale=scale, legend=alt.Legend(orient="bottom", columns=2, title="class", symbolOpacity=1),
    )  # fmt: skip
    languages = points["name"].unique(maintain_order=True).to_list()
    shape = alt.Shape(
        "name:N",
        scale=alt.Scale(domain=languages, range=SHAPES),
        legend=alt.Legend(orient="bottom", columns=2, title="language"),
    )
    charts = []
    for method in [name for name in run_group.methods if name in set(points["method"])]:
        own = points.filter(method=method)
        tips = ["name:N", "gold:N", "predicted:N", "example:N"]
        dots = alt.Chart(own).mark_point(filled=True, size=45, opacity=0.8)
        plane = dots.encode(
            x=alt.X("pca_x:Q", title=f"{method}: principal components", axis=AXIS),
            y=alt.Y("pca_y:Q", title=None, axis=AXIS), color=colour, shape=shape, tooltip=tips,
        )  # fmt: skip
        layers = [plane]
        if regions is not None and len(ground := regions.filter(method=method)):
            back = alt.Chart(_tiles(ground)).mark_rect(opacity=0.2, strokeWidth=0)
            layers.insert(0, back.encode(x="x:Q", x2="x2:Q", y="y:Q", y2="y2:Q", color=colour))
        charts.append(wide(alt.layer(*layers), 340))
        if own["tsne_x"].null_count() < len(own):
            charts.append(
                wide(
                    dots.encode(
                        x=alt.X("tsne_x:Q", title=f"{method}: t-SNE", axis=AXIS),
                        y=alt.Y("tsne_y:Q", title=None, axis=AXIS), color=colour, shape=shape, tooltip=tips,
                    ),
                    340,
                )
            )  # fmt: skip
    return charts


def _tiles(ground: pl.DataFrame) -> pl.DataFrame:
    """Rectangles of a grid of points, of which about `GRID` columns and rows are kept, so that the page opens fast."""
    for axis in ("x", "y"):
        places = np.array(sorted(ground[axis].unique()))
        kept = places[:: max(1, len(places) // GRID)]
        step = float(kept[1] - kept[0]) if len(kept) > 1 else 1.0
        ground = ground.filter(pl.col(axis).is_in(kept.tolist())).with_columns((pl.col(axis) + step).alias(f"{axis}2"))
    return ground.rename({"label": "gold"}).with_columns(pl.col("x", "x2", "y", "y2").round(3))


GRID = 33
BOUNDS = ("effect", "low", "high")
AXIS = alt.Axis(labels=False, ticks=False, grid=False)


def importance(run_group: RunGroup) -> list[Chart]:
    """What a group of weights does when it is set back or put in alone, layer by layer."""
    table = run_group.table("importance-effects")
    if table is None:
        return []
    own = table.filter(pl.col("layer").is_not_null())
    own = own.with_columns(pl.col("layer") + 1, pl.col("effect", "low", "high").fill_nan(None).round(4))
    methods = [name for name in run_group.methods if name in set(own["method"])]
    method = choice("method", methods, "method")
    way, of = choice("way", ["rewind", "transplant"], "do"), choice("of", ["gap", "target", "source"], "effect on")
    chart = (
        alt.Chart(own)
        .add_params(method, way, of)
        .transform_filter((alt.datum.method == method) & (alt.datum.way == way) & (alt.datum.of == of))
        .mark_rect()
        .encode(
            x=alt.X("layer:O", axis=alt.Axis(labelAngle=0)), y=alt.Y("weights:N", sort=list(INSIDE), title=None),
            color=alt.Color(
                "effect:Q", scale=alt.Scale(scheme=DIVERGING, domainMid=0),
                legend=alt.Legend(orient="bottom", gradientLength=240, format="+.3f"),
            ),
            tooltip=["layer:O", "weights:N", *(alt.Tooltip(f"{name}:Q", format="+.4f") for name in BOUNDS)],
        )
    )  # fmt: skip
    return [titled(wide(chart, 180), "method + ': effect on ' + of + ', ' + way")]


def memory(run_group: RunGroup) -> list[Chart]:
    """The gap at every checkpoint against what is forgotten by then."""
    table = run_group.table("forgetting-checkpoints")
    if table is None:
        return []
    charts = []
    for (measure,), own in table.drop_nulls("gap").group_by(["measure"], maintain_order=True):
        base = alt.Chart(
            own.with_columns(pl.col("fallen", "gap").round(4)).select("method", "seed", "step", "fallen", "gap")
        )
        line = base.mark_line(point=True, opacity=0.7).encode(
            x=alt.X("fallen:Q", title=f"fall of {measure}", scale=alt.Scale(zero=False)),
            y=alt.Y("gap:Q", scale=FREE), color=method_colour(run_group.methods), detail="seed:N", order="step:Q",
            tooltip=["method:N", "seed:N", "step:Q", "fallen:Q", "gap:Q"],
        )  # fmt: skip
        charts.append(wide(line, 240))
    return charts
