"""What is measured of a model's states at every layer, before and after training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import polars as pl

from isogloss.charts.chart import Chart, Split
from isogloss.charts.style import GREY, banded, cut, layered


def by_depth(table: pl.DataFrame, methods: Sequence[str], measures: Mapping[str, str]) -> Chart:
    """Each measure over depth with intervals over seeds; dotted, before training.

    Args:
        table: `method measure depth before after low high`, means over target languages and seeds.
        methods: labels in their order.
        measures: what each measure is called, in their order.
    """
    before = alt.Chart().mark_line(strokeDash=[2, 3], color=GREY)
    before = before.encode(x="depth:Q", y="before:Q", detail="method:N")
    lines = banded(alt.Chart(), methods, x="depth", y="after", x_title="layer")
    return Chart(
        layered(*lines, before), cut(table, ["measure"], "after"),
        [Split("measure", list(measures), titles=measures)], title="{measure}",
        height=220, width=260, note="The mean over target languages; dotted, before training. Bands are 95 % intervals "
        "over seeds, cut where they are wider than the range of the means.",
    )  # fmt: skip
