"""Charts of what languages are like: their distance to the source, how they are cut into tokens, and the forecast."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import polars as pl

from isogloss.analysis.distance.coordinates import DISTANCES
from isogloss.analysis.tokenization import MEASURES, comparable
from isogloss.charts.style import FREE, Chart, choice, method_colour, named, titled, wide
from isogloss.report.run_group import RunGroup


def _against(run_group: RunGroup, measures: pl.DataFrame, names: Mapping[str, str], label: str) -> list[Chart]:
    """Score or gap of every language against a measure of it; both, and the measure, from menus."""
    targets = measures.filter(pl.col("language") != str(run_group.source))
    there = [name for name in names if name in targets.columns and targets[name].drop_nulls().n_unique() > 1]
    if not there:
        return []
    targets = targets.with_columns(pl.col(there).cast(pl.Float64))
    long = targets.unpivot(there, index=["run", "language"], variable_name="measure", value_name="x").drop_nulls("x")
    long = long.with_columns(pl.col("measure").replace(dict(names)))
    scores = run_group.by_language.with_columns(pl.col("method").replace(run_group.runs).alias("run"))
    table = named(long).join(scores, on=["run", "language"], maintain_order="left")
    table = table.unpivot(
        ["gap", "score"], index=["language", "measure", "x", "method", "name", "family"], variable_name="of",
        value_name="y",
    ).drop_nulls("y")  # fmt: skip
    table = table.with_columns(pl.col("x", "y").round(4))
    measure, of = choice("measure", [names[name] for name in there], label), choice("of", ["gap", "score"], "show")
    base = (
        alt.Chart(table).add_params(measure, of).transform_filter((alt.datum.measure == measure) & (alt.datum.of == of))
    )
    colour = method_colour(run_group.methods)
    points = base.mark_circle(size=55, opacity=0.75).encode(
        x=alt.X("x:Q", title=None, scale=FREE), y=alt.Y("y:Q", title=None, scale=FREE),
        color=colour,
        tooltip=["name:N", "language:N", "family:N", "method:N", alt.Tooltip("x:Q"), alt.Tooltip("y:Q")],
    )  # fmt: skip
    line = base.transform_regression("x", "y", groupby=["method"]).mark_line(opacity=0.6).encode(
        x="x:Q", y="y:Q", color=colour
    )  # fmt: skip
    return [titled(wide(alt.layer(points, line)), "of + ' against ' + measure")]


def distance(run_group: RunGroup) -> list[Chart]:
    """Gap or score against distances to the source."""
    table = run_group.table("distance")
    return [] if table is None else _against(run_group, table, DISTANCES, "distance")


def tokenization(run_group: RunGroup) -> list[Chart]:
    """Gap or score against how a language is cut into tokens."""
    table = run_group.table("tokenization")
    return [] if table is None else _against(run_group, comparable(table), MEASURES, "measure")


def forecast(run_group: RunGroup) -> list[Chart]:
    """Expected scores with intervals: of languages without labels, and, to judge it by, of those that were scored."""
    made, tried = run_group.table("forecast"), run_group.table("forecast-check")
    if made is None and tried is None:
        return []
    columns = ["method", "language", "expected", "low", "high"]
    parts = [
        table.with_columns(pl.lit(kind).alias("kind"), pl.lit(None, pl.Float64).alias("score"))
        if "score" not in table.columns
        else table.with_columns(pl.lit(kind).alias("kind"))
        for table, kind in ((made, "without labels"), (tried, "scored, left out of the fit"))
        if table is not None
    ]
    table = pl.concat([part.select(*columns, "kind", "score") for part in parts])
    table = named(table).with_columns(pl.col("expected", "low", "high", "score").round(4))
    table = table.with_columns(pl.coalesce("score", "expected").alias("at"))  # of the unscored, drawn as nothing
    methods = [method for method in run_group.methods if method in set(table["method"])]
    kinds = table["kind"].unique(maintain_order=True).to_list()
    method, kind = choice("method", methods, "method"), choice("kind", kinds, "languages")
    base = (
        alt.Chart(table)
        .add_params(method, kind)
        .transform_filter((alt.datum.method == method) & (alt.datum.kind == kind))
    )
    y = alt.Y("name:N", sort=alt.EncodingSortField("expected", order="descending"), title=None)
    tips = ["name:N", "language:N", *(alt.Tooltip(f"{name}:Q", format=".3f") for name in (*columns[2:], "score"))]
    rule = base.mark_rule(strokeWidth=2, opacity=0.6).encode(x=alt.X("low:Q", title=run_group.metric), x2="high:Q", y=y)
    dot = base.mark_point(filled=True, size=60).encode(x="expected:Q", y=y, tooltip=tips)
    there = alt.condition("isValid(datum.score)", alt.value(1), alt.value(0))
    cross = base.mark_point(shape="cross", size=50, color="#D55E00").encode(x="at:Q", y=y, tooltip=tips, opacity=there)
    rows = max(len(table.filter(method=methods[0], kind=one)) for one in kinds)
    return [titled(wide(alt.layer(rule, dot, cross), 15 * max(4, rows)), "method + ', languages ' + kind")]
