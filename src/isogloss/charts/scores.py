"""Charts of scores: how the methods differ, overall and language by language."""

from __future__ import annotations

import altair as alt
import polars as pl

from isogloss.analysis.significance import both_ways
from isogloss.charts.style import Chart, choice, method_colour, named, titled, wide
from isogloss.report.run_group import RunGroup
from isogloss.report.summary import BEYOND

BAR = 22  # pixels of a row


def spread(run_group: RunGroup) -> list[Chart]:
    """Every language's score, a row a method: the source as a diamond, targets as ticks, their mean as a dot."""
    table = named(run_group.by_language.select("method", "language", pl.col("score").round(4)))
    is_source = pl.col("language") == str(run_group.source)
    y = alt.Y("method:N", sort=run_group.methods, title=None, axis=alt.Axis(labelLimit=220))
    x = alt.X("score:Q", title=run_group.metric, scale=alt.Scale(zero=False))
    colour = method_colour(run_group.methods).legend(None)
    tips = ["name:N", "language:N", "method:N", alt.Tooltip("score:Q", format=".3f")]
    targets = alt.Chart(table.filter(~is_source))
    ticks = targets.mark_tick(thickness=2, size=14, opacity=0.65).encode(x=x, y=y, color=colour, tooltip=tips)
    common = alt.Chart(table.filter(pl.col("language").is_in(run_group.common)))
    middle = common.mark_circle(size=90).encode(x="mean(score):Q", y=y, color=colour)
    source = alt.Chart(table.filter(is_source)).mark_point(shape="diamond", size=90, filled=True)
    source = source.encode(x=x, y=y, color=colour, tooltip=tips)
    return [wide(alt.layer(ticks, middle, source), round(BAR * 1.4) * len(run_group.methods))]


def forest(run_group: RunGroup) -> list[Chart]:
    """What one method has over another in mean target score, with intervals; the menu chooses the other."""
    table = run_group.table("significance")
    if table is None:
        return []
    pairs = both_ways(table.filter(scope="target")).with_columns(pl.col(*MIRRORED).round(5))
    others = [method for method in run_group.methods if method in set(pairs["other"])]
    other = choice("other", others, "over")
    base = alt.Chart(pairs).add_params(other).transform_filter(alt.datum.other == other)
    y = alt.Y("one:N", sort=run_group.methods, title=None, axis=alt.Axis(labelLimit=220))
    tips = ["one:N", "other:N", *(alt.Tooltip(f"{name}:Q", format=".4f") for name in NUMBERS)]
    rule = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title="difference in mean target score"), x2="high:Q", y=y
    )
    dot = base.mark_point(filled=True, size=80).encode(x="difference:Q", y=y, tooltip=tips)
    zero = alt.Chart(pl.DataFrame({"x": [0.0]})).mark_rule(strokeDash=[4, 3], opacity=0.6).encode(x="x:Q")
    return [
        titled(wide(alt.layer(zero, rule, dot), round(BAR * 1.5) * max(2, len(run_group.methods))), "'over ' + other")
    ]


VERDICTS = [f"p < {BEYOND}", "not told apart", "not tested"]
NUMBERS = ("difference", "low", "high", "p", "p_holm", "p_items", "p_items_holm")
MIRRORED = ("difference", "low", "high")


def _verdict(p: pl.Expr) -> pl.Expr:
    beyond, within, untested = map(pl.lit, VERDICTS)
    return pl.when(p.is_null()).then(untested).when(p < BEYOND).then(beyond).otherwise(within)


def by_language(run_group: RunGroup) -> list[Chart]:
    """The difference of two methods in each language, with intervals, largest first."""
    table = run_group.table("significance")
    if table is None:
        return []
    own = table.filter(scope="language")
    if not len(own):
        return []
    own = named(own).with_columns(
        (pl.col("one") + " over " + pl.col("other")).alias("pair"),
        _verdict(pl.col("p_holm")).alias("Holm"),
        pl.col(*MIRRORED).round(5),
    )
    pairs = own["pair"].unique(maintain_order=True).to_list()
    pair = choice("pair", pairs, "show")
    languages = own["language"].n_unique()
    base = alt.Chart(own).add_params(pair).transform_filter(alt.datum.pair == pair)
    y = alt.Y("name:N", sort=alt.EncodingSortField("difference", order="descending"), title=None)
    colour = alt.Color(
        "Holm:N",
        scale=alt.Scale(domain=VERDICTS, range=["#D55E00", "#8C8C8C", "#56B4E9"]),
        legend=alt.Legend(orient="top", title="corrected by Holm"),
    )
    tips = ["name:N", "language:N", *(alt.Tooltip(f"{name}:Q", format=".4f") for name in NUMBERS)]
    rule = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q", title="difference"), x2="high:Q", y=y, color=colour)
    dot = base.mark_point(filled=True, size=45).encode(x="difference:Q", y=y, color=colour, tooltip=tips)
    zero = alt.Chart(pl.DataFrame({"x": [0.0]})).mark_rule(strokeDash=[4, 3], opacity=0.6).encode(x="x:Q")
    return [titled(wide(alt.layer(zero, rule, dot), 15 * max(4, languages)), "pair")]
