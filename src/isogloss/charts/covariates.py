"""What is measured of languages, such as their distance to the source or their tokens, against score and gap."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import altair as alt
import polars as pl

from isogloss.charts.chart import Chart, Split
from isogloss.charts.style import (
    FREE,
    code_labels,
    layered,
    method_legend,
    method_scale,
    named,
    numbers,
    with_codes,
)


def against(
    table: pl.DataFrame,
    methods: Sequence[str],
    measures: Mapping[str, str],
    *,
    label: str,
    hollow: Collection[str] = (),
    called: str = "",
) -> Chart | None:
    """Gap or score of every target language against each measure that varies, with a line a method.

    Args:
        table: `method language gap score` and a column for each measure.
        methods: labels in their order.
        measures: what each column is called.
        label: words before the menu of measures.
        hollow: languages that are drawn hollow.
        called: what these are called; none: that is not said.

    Returns:
        None where no measure varies.
    """
    varying = [name for name in measures if name in table.columns and table[name].drop_nulls().n_unique() > 1]
    if not varying:
        return None
    wide = table.select("method", "language", "gap", "score", pl.col(varying).cast(pl.Float64))
    long = wide.unpivot(varying, index=["method", "language", "gap", "score"], variable_name="measure", value_name="x")
    long = long.drop_nulls("x").with_columns(pl.col("measure").replace(dict(measures)))
    keys = ["method", "language", "measure", "x"]
    long = named(long.unpivot(["gap", "score"], index=keys, variable_name="outcome", value_name="y").drop_nulls("y"))
    long = with_codes(long, ["measure", "outcome"], "y").with_columns(
        pl.col("language").is_in(list(hollow)).alias("hollow")
    )
    known = set(long["outcome"])
    outcomes = [name for name in ("gap", "score") if name in known]  # there is no gap where the source has no score
    if not outcomes:
        return None
    base = alt.Chart()
    across, up = alt.X("x:Q", title=None, scale=FREE), alt.Y("y:Q", title=None, scale=FREE)
    points = base.mark_point(size=40, strokeWidth=1.2, opacity=0.8).encode(
        x=across, y=up, stroke=alt.Stroke("method:N", scale=method_scale(methods), legend=method_legend(methods)),
        fill=alt.Fill("method:N", scale=method_scale(methods), legend=method_legend(methods)),
        fillOpacity=alt.condition("datum.hollow", alt.value(0), alt.value(0.8)),
        tooltip=["name:N", "language:N", "family:N", "method:N", *numbers(["x", "y"])],
    )  # fmt: skip
    trend = base.transform_regression("x", "y", groupby=["method"]).mark_line(opacity=0.5, strokeWidth=1.5)
    trend = trend.encode(
        x="x:Q", y="y:Q", stroke=alt.Stroke("method:N", scale=method_scale(methods), legend=method_legend(methods))
    )
    return Chart(
        layered(points, trend, code_labels(base, x="x", y="y")), long.drop("script"),
        [
            Split("measure", [measures[name] for name in varying], label),
            Split("outcome", outcomes, "show", outcomes[:1]),
        ],
        title="{outcome} against {measure}", width=250, height=240, note=f"Hollow: {called}." if called else "",
    )  # fmt: skip
