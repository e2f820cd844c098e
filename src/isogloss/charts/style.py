"""The one style of all charts: colours that colour-blind readers tell apart, and sizes for a phone and for paper."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from isogloss.languages.language import Language

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C"]  # Okabe and Ito (2008)
CLASSES = [*COLOURS, "#F0E442"]
DASHES = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2]]
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]
GREY = "#8C8C8C"
SCHEME: Any = "viridis"
DIVERGING: Any = "purpleorange"
FREE = alt.Scale(zero=False)
MARGIN = 0.1  # of the range of means, that is shown beyond them
LABEL = 260  # pixels of a label, at most
LABELLED = 40  # languages whose codes are written beside their points, at most
PAPER: Any = {
    "view": {"stroke": "#dddddd"},
    "point": {"color": "#222222"},
    "axis": {"titleFontWeight": "normal", "labelLimit": LABEL, "gridColor": "#e8e8e8"},
    "legend": {"orient": "bottom", "titleFontWeight": "normal", "labelLimit": 2 * LABEL},
    "title": {"anchor": "start", "frame": "group", "fontSize": 12, "fontWeight": "normal"},
}


def layered(*charts: alt.Chart) -> alt.LayerChart:
    """Charts over one another, the first at the back; data that they lack are those of the whole."""
    whole: Any = alt.layer(*charts)
    return whole  # type: ignore[no-any-return]


def method_scale(methods: Sequence[str]) -> alt.Scale:
    """A colour for each method; past seven they come again."""
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(methods))]
    return alt.Scale(domain=list(methods), range=colours)


def method_colour(methods: Sequence[str], *, legend: bool = True, lines: bool = False) -> alt.Color:
    """A colour for each method; past seven they come again, and dashes tell them apart.

    Args:
        methods: labels in their order.
        legend: whether the colours are explained.
        lines: whether it is of lines with dashes.
    """
    key = method_legend(methods, lines=lines) if legend else None
    return alt.Color("method:N", scale=method_scale(methods), legend=key)


def method_dash(methods: Sequence[str]) -> Any:
    """A dash for each method, where there are more of them than colours."""
    if len(methods) <= len(COLOURS):
        return alt.Undefined
    dashes = [DASHES[number // len(COLOURS) % len(DASHES)] for number in range(len(methods))]
    scale = alt.Scale(domain=list(methods), range=dashes)
    return alt.StrokeDash("method:N", scale=scale, legend=method_legend(methods, lines=True))


def method_legend(methods: Sequence[str], *, lines: bool = False) -> alt.Legend | None:
    """Below the chart; a single method needs none, and more than there are colours are shown as lines with dashes."""
    if len(methods) == 1:
        return None
    drawn: dict[str, Any] = {}
    if lines and len(methods) > len(COLOURS):
        drawn = {"symbolType": "stroke", "symbolSize": 500, "symbolStrokeWidth": 2}
    return alt.Legend(orient="bottom", columns=2, labelLimit=2 * LABEL, title=None, symbolOpacity=1, **drawn)


def method_axis(column: str, methods: Sequence[str]) -> alt.Y:
    """A row for each method, in their order.

    Args:
        column: of the method's label.
        methods: labels in their order.
    """
    return alt.Y(f"{column}:N", sort=list(methods), title=None, axis=alt.Axis(labelLimit=LABEL))


def numbers(columns: Sequence[str], form: str = ".4f") -> list[alt.Tooltip]:
    """What a reader sees of numeric columns who points at a mark."""
    return [alt.Tooltip(f"{name}:Q", format=form) for name in columns]


def banded(base: alt.Chart, methods: Sequence[str], *, x: str, y: str, x_title: str) -> list[alt.Chart]:
    """A line for each method, and around it its interval, from `low` to `high`.

    Args:
        base: without marks.
        methods: labels in their order.
        x: the column along the lines.
        y: the column of their heights.
        x_title: of the axis.
    """
    colour, across = method_colour(methods, lines=True), alt.X(f"{x}:Q", title=x_title)
    up = alt.Y(f"{y}:Q", title=None, scale=FREE)
    area = base.mark_area(opacity=0.15).encode(
        x=across, y=alt.Y("low:Q", title=None, scale=FREE), y2="high:Q", color=colour
    )
    line = base.mark_line(point=alt.OverlayMarkDef(size=12)).encode(
        x=across, y=up, color=colour, strokeDash=method_dash(methods),
        tooltip=["method:N", f"{x}:Q", *numbers([y, "low", "high"])],
    )  # fmt: skip
    return [area, line]


def cut(table: pl.DataFrame, keys: Sequence[str], column: str) -> pl.DataFrame:
    """Intervals no wider than the means in their panel: over two or three seeds they may be wider than all scores are.

    Args:
        table: the column, `low` and `high`.
        keys: columns that tell panels apart.
        column: of the means.
    """
    means = pl.col(column).fill_nan(None)
    least, most = means.min().over(keys), means.max().over(keys)
    margin = pl.when(most > least).then(MARGIN * (most - least)).otherwise(0.05)
    low, high = pl.col("low").fill_nan(None), pl.col("high").fill_nan(None)
    known = low.is_not_null()
    return table.with_columns(
        low=pl.when(known).then(pl.max_horizontal(low, least - margin)),
        high=pl.when(known).then(pl.min_horizontal(high, most + margin)),
    )


def named(table: pl.DataFrame) -> pl.DataFrame:
    """A table with `name family script` beside its `language`; a name that two of them have is told by its code."""
    parsed = {code: Language.parse(code) for code in table["language"].unique(maintain_order=True)}
    names = [language.name for language in parsed.values()]
    rows = [
        {
            "language": code, "name": f"{language.name} ({code})" if names.count(language.name) > 1 else language.name,
            "family": language.family or "unknown", "script": language.script,
        }
        for code, language in parsed.items()
    ]  # fmt: skip
    facts = pl.DataFrame(rows, schema=dict.fromkeys(("language", "name", "family", "script"), pl.String))
    return table.join(facts, on="language", maintain_order="left")


def short_codes(codes: Collection[str]) -> dict[str, str]:
    """Languages without their script, where that still tells them apart."""
    names = {code: code.split("-")[0] for code in codes}
    every = list(names.values())
    return {code: code if every.count(name) > 1 else name for code, name in names.items()}


def with_codes(table: pl.DataFrame, keys: Sequence[str], height: str) -> pl.DataFrame:
    """A column `code`: of each language, once in each panel, at its highest point; none where languages are too many.

    Args:
        table: with a column `language`.
        keys: columns that tell panels apart.
        height: the column that is drawn upward.
    """
    codes: Mapping[str, str] = short_codes(table["language"].unique(maintain_order=True).to_list())
    if len(codes) > LABELLED:
        return table.with_columns(pl.lit(None, pl.String).alias("code"))
    order = pl.col(height).rank("ordinal", descending=True).over([*keys, "language"])
    return table.with_columns(pl.when(order == 1).then(pl.col("language").replace(dict(codes))).alias("code"))


def code_labels(base: alt.Chart, *, x: str, y: str) -> alt.Chart:
    """The codes of `with_codes`, beside their points."""
    shown = base.transform_filter("datum.code !== null")
    text = shown.mark_text(align="left", dx=4, dy=-4, fontSize=8, opacity=0.7)
    labels: alt.Chart = text.encode(x=f"{x}:Q", y=f"{y}:Q", text="code:N")
    return labels
