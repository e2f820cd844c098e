"""What one method has over another, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from isogloss.charts.chart import Chart, Split
from isogloss.charts.style import COLOURS, GREY, layered, method_axis, named, numbers

BEYOND = 0.05  # p-values below it are called beyond chance
VERDICTS = [f"p < {BEYOND}", "not told apart", "not tested"]
ROW = 34  # pixels of a method
LINE = 15  # pixels of a language
NUMBERS = ("difference", "low", "high", "p", "p_holm", "p_items", "p_items_holm")


def methods(pairs: pl.DataFrame, methods: Sequence[str], reference: str) -> Chart:
    """What every method has over another in mean target score; a menu chooses the other.

    Args:
        pairs: `one other difference low high p p_holm p_items p_items_holm`, one less the other.
        methods: labels in their order.
        reference: the other on paper, and at first on the page.
    """
    table = pairs.select("one", "other", *NUMBERS).drop_nulls("difference").with_columns(said=_said(pl.col("p_holm")))
    others = [reference, *(method for method in methods if method != reference)]
    base = alt.Chart().encode(y=method_axis("one", methods))
    rule = base.mark_rule(strokeWidth=2, color=COLOURS[0]).encode(
        x=alt.X("low:Q", title="difference in mean target score"), x2="high:Q"
    )
    dot = base.mark_point(filled=True, size=80, opacity=1, color=COLOURS[0]).encode(
        x="difference:Q", tooltip=["one:N", "other:N", *numbers(NUMBERS)]
    )
    text = base.mark_text(dy=-9, fontSize=9).encode(x="difference:Q", text="said:N")
    return Chart(
        layered(_zero(), rule, dot, text), table, [Split("other", others, menu="over", paper=[reference])],
        title="over {other}", width=420, height=alt.Step(ROW), page_height=ROW * max(2, len(methods) - 1),
        note="p-values for new seeds and examples, corrected by Holm over the methods shown.",
    )  # fmt: skip


def languages(pairs: pl.DataFrame, methods: Sequence[str], reference: str) -> Chart:
    """The difference of two methods in each target language, the largest first; a menu chooses the two.

    Args:
        pairs: `one other language difference low high p p_holm p_items p_items_holm`, one less the other.
        methods: labels in their order.
        reference: the pairs with it come first, and are the ones on paper.
    """
    label = pl.col("one") + " over " + pl.col("other")
    first = ((pl.col("one") == reference) | (pl.col("other") == reference)).not_()
    order = {method: number for number, method in enumerate(methods)}
    table = named(pairs.select("one", "other", "language", *NUMBERS).drop_nulls("difference")).with_columns(
        pair=label, verdict=_verdict(pl.col("p_holm")), later=first,
    ).sort("later", pl.col("other").replace_strict(order), pl.col("one").replace_strict(order))  # fmt: skip
    values = table["pair"].unique(maintain_order=True).to_list()
    paper = table.filter(~pl.col("later"))["pair"].unique(maintain_order=True).to_list()
    colour = alt.Color(
        "verdict:N", scale=alt.Scale(domain=VERDICTS, range=[COLOURS[1], GREY, COLOURS[5]]),
        legend=alt.Legend(orient="bottom", title="corrected by Holm"),
    )  # fmt: skip
    base = alt.Chart().encode(
        y=alt.Y("name:N", sort=alt.EncodingSortField("difference", order="descending"), title=None), color=colour
    )
    rule = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q", title="difference"), x2="high:Q")
    dot = base.mark_point(filled=True, size=45, opacity=1).encode(
        x="difference:Q", tooltip=["name:N", "language:N", *numbers(NUMBERS)]
    )
    return Chart(
        layered(_zero(), rule, dot), table.drop("one", "other", "later"),
        [Split("pair", values, "show", paper or None)], title="{pair}", height=alt.Step(LINE),
        page_height=LINE * max(4, table["name"].n_unique()), width=260,
    )  # fmt: skip


def _zero() -> alt.Chart:
    rule: alt.Chart = (
        alt.Chart(alt.InlineData([{"zero": 0}])).mark_rule(strokeDash=[4, 3], opacity=0.6).encode(x="zero:Q")
    )
    return rule


def _said(p: pl.Expr) -> pl.Expr:
    shown = pl.when(p < 0.001).then(pl.lit("p < 0.001")).otherwise(pl.format("p = {}", p.round(3)))  # noqa: PLR2004
    return pl.when(p.is_null()).then(pl.lit("")).otherwise(shown)


def _verdict(p: pl.Expr) -> pl.Expr:
    beyond, within, untested = map(pl.lit, VERDICTS)
    return pl.when(p.is_null()).then(untested).when(p < BEYOND).then(beyond).otherwise(within)
