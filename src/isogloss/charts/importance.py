"""What a group of weights does to scores and gap, when it is set back or put in alone."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from isogloss.charts.chart import Chart, Split
from isogloss.charts.style import DIVERGING, layered, numbers

WAYS = {"rewind": "rewound", "transplant": "transplanted"}
OUTCOMES = {"gap": "gap", "target": "mean target score", "source": "source score"}
EMBEDDINGS, NORM = "emb.", "norm"


def weights(effects: pl.DataFrame, method: str, kinds: Sequence[str]) -> Chart:
    """Effects of every group of weights of one method: layers across, kinds of weights down.

    Weights beside the layers (embeddings, the last norm) stand before the first. The head's effect is a number above:
    without it nothing is left of the task, and on one scale it would hide the rest.

    Args:
        effects: `method way layer weights of effect low high`; layers count from 0, null is beside them.
        method: whose effects are drawn.
        kinds: of weights in a layer, in their order.
    """
    bounds = ["effect", "low", "high"]
    shown = effects.filter(pl.col("method") == method).select("way", "of", "layer", "weights", *bounds)
    inside = shown.filter(pl.col("weights").is_in(list(kinds)), pl.col("layer").is_not_null())
    inside = inside.with_columns((pl.col("layer") + 1).cast(pl.String).alias("column"))
    beside = {"embeddings": EMBEDDINGS, "norms": NORM}
    outside = shown.filter(pl.col("layer").is_null(), pl.col("weights").is_in(list(beside)))
    outside = outside.with_columns(pl.col("weights").replace(beside).alias("column")).drop("weights")
    outside = outside.join(pl.DataFrame({"weights": list(kinds)}), how="cross")
    head = shown.filter(pl.col("layer").is_null(), pl.col("weights") == "head")
    words = [f"head: {round(value, 3) + 0.0:+.3f}" for value in head["effect"]]  # no minus before 0
    head = head.select("way", "of", pl.Series("head", words, pl.String))
    cells = pl.concat([outside.select(inside.columns), inside]).drop("layer")
    table = pl.concat([cells, head], how="diagonal").with_columns(
        pl.col("way").replace(WAYS), pl.col("of").replace(OUTCOMES)
    )
    layers = sorted(set(inside["column"]), key=int)
    columns = [*(name for name in beside.values() if name in set(outside["column"])), *layers]
    colour = alt.Scale(scheme=DIVERGING, domainMid=0)
    legend = alt.Legend(orient="bottom", gradientLength=290, format="+.3f", title=None)
    base = alt.Chart().transform_filter("datum.column !== null")
    across = alt.X("column:N", sort=columns, title="layer", axis=alt.Axis(labelAngle=0, labelFontSize=9))
    down = alt.Y("weights:N", sort=list(kinds), title=None)
    rect = base.mark_rect().encode(
        x=across, y=down, color=alt.Color("effect:Q", scale=colour, legend=legend),
        tooltip=["column:N", "weights:N", *numbers(bounds, "+.4f")],
    )  # fmt: skip
    # Unseen, of the other sign: so that the palette reaches as far to either side.
    mirror = base.transform_calculate(mirrored="-datum.effect").mark_rect(opacity=0)
    mirror = mirror.encode(x=across, y=down, color=alt.Color("mirrored:Q", scale=colour, legend=legend))
    text = alt.Chart().transform_filter("datum.head !== null").mark_text(align="right", baseline="bottom", dy=-4)
    text = text.encode(x=alt.value("width"), y=alt.value(0), text="head:N")
    return Chart(
        layered(rect, mirror, text), table,
        [Split("way", list(WAYS.values()), "group"), Split("of", list(OUTCOMES.values()), "effect on")],
        title="{of}, {way}", width=330, height=110, resolve={"color": "independent"},
        note=f"{method}. Rewound: what is lost without a group; of the gap, what is closed. Transplanted: what a group "
        "alone adds to the pre-trained model; of the gap, what is opened.",
    )  # fmt: skip
