"""Training as it goes on: the loss, the source's development score, and the gap where it was looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import polars as pl

from isogloss.charts.chart import Chart, Split
from isogloss.charts.style import banded, cut, layered, method_colour

POINTS = 120  # of a curve, at most
LOSS, SCORE = "training loss", "development split of the source"
GAP = ("source", "target", "gap")


def learning(history: pl.DataFrame, methods: Sequence[str], *, metric: str) -> Chart:
    """Training loss and the source's development score over updates, with intervals over seeds.

    Args:
        history: `method curve step value low high`, means over seeds; a curve is `LOSS` or `SCORE`.
        methods: labels in their order.
        metric: of the development score.
    """
    titles = {SCORE: f"{metric}, {SCORE}"}
    return _curves(history, methods, [Split("curve", [LOSS, SCORE], titles=titles)])


def gap(curves: pl.DataFrame, methods: Sequence[str], onsets: Mapping[str, int | None]) -> Chart:
    """Source, mean target and gap of each method over training, with intervals over seeds; a dot where the gap opens.

    Args:
        curves: `method curve step value low high`, means over seeds; a curve is one of `GAP`.
        methods: labels in their order.
        onsets: the update at which each method's gap opens; none: it never does.
    """
    opens = pl.DataFrame(
        {"method": list(onsets), "opens": list(onsets.values())}, schema={"method": pl.String, "opens": pl.Int64}
    )
    table = curves.join(opens, on="method", how="left", maintain_order="left").with_columns(
        onset=((pl.col("curve") == "gap") & (pl.col("step") == pl.col("opens"))).fill_null(value=False)
    )
    opened = any(step is not None for step in onsets.values())
    words = "● growth beyond noise begins" if opened else "no lasting growth beyond noise"
    titles = {"source": "source score", "target": "mean target score", "gap": f"gap ({words})"}
    split = Split("curve", GAP, titles=titles)
    dot = alt.Chart().transform_filter("datum.onset").mark_point(filled=True, size=110, opacity=1)
    return _curves(
        table.drop("opens"), methods, [split], dot.encode(x="step:Q", y="value:Q", color=method_colour(methods))
    )


def _curves(table: pl.DataFrame, methods: Sequence[str], splits: Sequence[Split], *above: alt.Chart) -> Chart:
    keep = pl.lit(value=False) if "onset" not in table.columns else pl.col("onset")
    table = cut(_thinned(table.sort("method", "curve", "step"), ["method", "curve"], keep), ["curve"], "value")
    lines = banded(alt.Chart(), methods, x="step", y="value", x_title="updates")
    return Chart(
        layered(*lines, *above), table, splits, title="{curve}", height=220, width=280,
        note="Bands are 95 % intervals over seeds, cut where they are wider than the range of the means.",
    )  # fmt: skip


def _thinned(table: pl.DataFrame, keys: Sequence[str], keep: pl.Expr) -> pl.DataFrame:
    """At most so many points of each curve, evenly spread, its last and those to keep among them."""
    number, size = pl.int_range(pl.len()).over(keys), pl.len().over(keys)
    step = (size + POINTS - 1) // POINTS
    return table.filter((number % step == 0) | (number == size - 1) | keep)
