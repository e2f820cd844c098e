"""The gap against what a model forgets while it is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import polars as pl

from isogloss.charts.chart import Chart, Split
from isogloss.charts.style import FREE, method_colour, method_dash, numbers


def gap(table: pl.DataFrame, methods: Sequence[str], measures: Mapping[str, str]) -> Chart:
    """The gap at every checkpoint against what is forgotten by then, a line a run.

    Args:
        table: `method seed step measure fallen gap`.
        methods: labels in their order.
        measures: what each measure is called, in their order.
    """
    line = alt.Chart().mark_line(point=alt.OverlayMarkDef(size=20), opacity=0.7).encode(
        x=alt.X("fallen:Q", title="fall since the start", scale=FREE), y=alt.Y("gap:Q", title="gap", scale=FREE),
        color=method_colour(methods), strokeDash=method_dash(methods), detail="seed:N", order="step:Q",
        tooltip=["method:N", "seed:N", "step:Q", *numbers(["fallen", "gap"])],
    )  # fmt: skip
    return Chart(
        line, table.drop_nulls("gap").select("method", "seed", "step", "measure", "fallen", "gap"),
        [Split("measure", list(measures), titles=measures)], title="{measure}", note="A point is the end of an epoch.",
    )  # fmt: skip
