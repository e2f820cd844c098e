"""Scores that are forecast for languages, and how far the forecasts miss."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from isogloss.charts.chart import Chart, Split
from isogloss.charts.style import COLOURS, GREY, code_labels, layered, named, numbers, with_codes

LINE = 15  # pixels of a language
SCORED, UNSCORED = "scored, left out of the fit", "without labels"
BOUNDS = ("expected", "low", "high", "score")


def check(table: pl.DataFrame, methods: Sequence[str]) -> Chart:
    """The score of every language against what the others had led to expect, with 90 % intervals.

    Args:
        table: `method language score expected low high`.
        methods: labels in their order.
    """
    points = named(table.select("method", "language", *BOUNDS)).with_columns(kind=pl.lit("language"))
    ends = [min(table["score"].min(), table["low"].min()), max(table["score"].max(), table["high"].max())]  # type: ignore[type-var]
    present = table["method"].unique(maintain_order=True).to_list()
    corners = pl.DataFrame({"method": [name for name in present for _ in ends], "score": ends * len(present)})
    corners = corners.with_columns(expected=pl.col("score"), kind=pl.lit("equal"))
    long = pl.concat([with_codes(points, ["method"], "expected"), corners], how="diagonal_relaxed")
    base = alt.Chart().transform_filter(alt.datum.kind == "language")
    across, up = alt.X("score:Q", title="score"), alt.Y("expected:Q", title="expected from the others")
    equal = alt.Chart().transform_filter(alt.datum.kind == "equal").mark_line(strokeDash=[2, 3], color=GREY)
    rule = base.mark_rule(opacity=0.5, color=COLOURS[0]).encode(x=across, y="low:Q", y2="high:Q")
    dot = base.mark_point(filled=True, size=30, opacity=0.9, color=COLOURS[0])
    dot = dot.encode(x=across, y=up, tooltip=["name:N", "language:N", *numbers(BOUNDS)])
    view = layered(equal.encode(x=across, y=up), rule, dot, code_labels(base, x="score", y="expected"))
    return Chart(
        view, long.drop("family", "script"), [Split("method", methods, "method")], title="{method}", height=260,
        width=260,
        note="Each language is forecast from all others; bars are 90 % intervals, and on the dotted line a forecast "
        "is right.",
    )  # fmt: skip


def languages(
    forecasts: pl.DataFrame | None, checked: pl.DataFrame | None, methods: Sequence[str], *, metric: str
) -> Chart:
    """Expected scores with intervals: of languages without labels, and, to judge it by, of those that were scored.

    Args:
        forecasts: `method language expected low high` of languages without labels.
        checked: the same columns, and `score`, of languages that were scored.
        methods: labels in their order.
        metric: of the scores.
    """
    parts = [
        table.with_columns(pl.lit(kind).alias("kind"))
        for table, kind in ((forecasts, UNSCORED), (checked, SCORED))
        if table is not None
    ]
    table = pl.concat(parts, how="diagonal_relaxed")
    if "score" not in table.columns:
        table = table.with_columns(pl.lit(None, pl.Float64).alias("score"))
    table = named(table.select("method", "language", *BOUNDS, "kind"))
    base = alt.Chart().encode(y=alt.Y("name:N", sort=alt.EncodingSortField("expected", order="descending"), title=None))
    most = max(part["name"].n_unique() for part in table.partition_by("kind"))
    tips = ["name:N", "language:N", *numbers(BOUNDS, ".3f")]
    rule = base.mark_rule(strokeWidth=2, opacity=0.6, color=COLOURS[0])
    # Given, since of languages without labels there is no score to find it from.
    ends = [table.select(pl.min_horizontal(pl.col("low", "score").min())).item(),
            table.select(pl.max_horizontal(pl.col("high", "score").max())).item()]  # fmt: skip
    scale = alt.Scale(domain=ends)
    rule = rule.encode(x=alt.X("low:Q", title=metric, scale=scale), x2="high:Q")
    dot = base.mark_point(filled=True, size=60, opacity=1, color=COLOURS[0]).encode(
        x=alt.X("expected:Q", scale=scale), tooltip=tips
    )
    cross = base.transform_filter("isValid(datum.score)").mark_point(shape="cross", filled=True, size=50, opacity=1)
    view = layered(rule, dot, cross.encode(x=alt.X("score:Q", scale=scale), tooltip=tips, color=alt.value(COLOURS[1])))
    return Chart(
        view, table.drop("family", "script"),
        [Split("method", methods, "method"), Split("kind", [UNSCORED, SCORED], "languages")],
        title="{method}: languages {kind}", height=alt.Step(LINE), page_height=LINE * max(4, most),
        width=260, columns=2,
        note="Dots are forecasts with 90 % intervals, crosses scores.",
    )  # fmt: skip
