"""The world, one dot a language."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources

import altair as alt
import polars as pl

from isogloss.charts.chart import EXTENT, Chart, Menu, Split
from isogloss.charts.style import SCHEME, layered, named
from isogloss.languages.language import Language

CELL = 2.5  # degrees of a cell of land.txt
NORTH = 83.75  # the middle of its first row
VIEWS = {  # the middle, in degrees; the zoom in widths of the chart
    "the world": {"east": 10, "north": 15, "zoom": 0.182},
    "Europe": {"east": 20, "north": 53, "zoom": 0.6},
    "Africa and West Asia": {"east": 30, "north": 15, "zoom": 0.42},
    "South and East Asia": {"east": 100, "north": 22, "zoom": 0.42},
}
SEAMS = {(view["east"] + 360) % 360 - 180 for view in VIEWS.values()}  # meridians at which a map is cut
MIDDLE = 0.22  # of its width, that the middle of a map is below its top
THICKNESS = 0.032  # of a row of land, in parts of the globe's radius
INSET = 0.02  # degrees that keep a stretch of land off a seam


@cache
def land() -> pl.DataFrame:
    """`latitude west east` of stretches of land along the rows of a grid, none across the seam of a map."""
    text = (resources.files("isogloss.charts") / "land.txt").read_text(encoding="utf-8")
    stretches = []
    for number, row in enumerate(row for row in text.splitlines() if not row.startswith("# ")):
        begin: int | None = None
        for column in range(len(row) + 1):
            inside = column < len(row) and row[column] == "#"
            if begin is not None and (not inside or _degrees(column) in SEAMS):
                west, east = _degrees(begin) + INSET, _degrees(column) - INSET
                stretches.append((NORTH - CELL * number, west, east))
                begin = None
            if inside and begin is None:
                begin = column
    return pl.DataFrame(stretches, schema=["latitude", "west", "east"], orient="row")


def _degrees(column: int) -> float:
    """The western edge of a column."""
    return CELL * column - 180


def placed(languages: Sequence[str]) -> tuple[pl.DataFrame, list[str]]:
    """`language latitude longitude` of languages where they are at home; and the names of those without a place."""
    places = {code: Language.parse(code).place for code in languages}
    seen: dict[tuple[float, float], int] = {}
    rows = []
    for code, home in places.items():
        if home is not None:  # languages of one place (scripts and regions of one language) stand side by side
            rows.append((code, home[0], home[1] + CELL * seen.get(home, 0)))
            seen[home] = seen.get(home, 0) + 1
    schema = {"language": pl.String, "latitude": pl.Float64, "longitude": pl.Float64}
    missing = [Language.parse(code).name for code, home in places.items() if home is None]
    return pl.DataFrame(rows, schema=schema, orient="row"), missing


def world(scores: pl.DataFrame, methods: Sequence[str], *, source: str) -> Chart | None:
    """The map: colour is score or gap of one method, on the world or a part of it; the source is a diamond.

    Args:
        scores: `method language score gap`, the means over seeds.
        methods: labels in order; the first is what the page shows at first.
        source: code of the source language.

    Returns:
        None where no language has a place.
    """
    places, _ = placed(sorted(set(scores["language"])))
    table = named(scores.join(places, on="language", maintain_order="left"))
    facts = ["method", "language", "name", "family", "latitude", "longitude"]
    table = table.unpivot(["score", "gap"], index=facts, variable_name="outcome").drop_nulls("value")
    table = table.with_columns(source=pl.col("language") == source)
    if not len(table):
        return None
    ground = alt.Chart(land()).mark_rule(
        strokeWidth=alt.expr(f"{EXTENT} * {THICKNESS} * ({_by_view('zoom')})"), opacity=0.35, color="#888888", clip=True
    )
    ground = ground.encode(latitude="latitude:Q", longitude="west:Q", latitude2="latitude:Q", longitude2="east:Q")
    base = alt.Chart().encode(
        latitude="latitude:Q", longitude="longitude:Q",
        tooltip=["name:N", "language:N", "family:N", alt.Tooltip("value:Q", format=".3f")],
    )  # fmt: skip
    colour = alt.Color(
        "value:Q", scale=alt.Scale(scheme=SCHEME),
        legend=alt.Legend(orient="bottom", title=None, format=".2f", gradientLength=240),
    )  # fmt: skip
    dots = base.transform_filter("!datum.source").mark_circle(
        size=110, opacity=1, stroke="white", strokeWidth=1, clip=True
    )
    star = base.transform_filter("datum.source").mark_point(
        shape="diamond", size=140, strokeWidth=2.5, opacity=1, clip=True
    )
    projection = alt.Projection(
        type="equalEarth", scale=alt.expr(f"{EXTENT} * ({_by_view('zoom')})"),
        rotate=alt.expr(f"[-({_by_view('east')}), 0, 0]"), center=alt.expr(f"[0, {_by_view('north')}]"),
        translate=alt.expr(f"[{EXTENT} / 2, {MIDDLE} * {EXTENT}]"),
    )  # fmt: skip
    return Chart(
        layered(ground, star, dots.encode(color=colour)).properties(projection=projection), table,
        [Split("method", methods, "method"), Split("outcome", ["score", "gap"], "show", ["score"])],
        [Menu("region", list(VIEWS), "of")], title="{outcome} of {method}", width=560, height=270, page_height=420,
        columns=2, extent=True,
    )  # fmt: skip


def _by_view(column: str) -> str:
    """A Vega expression: the value of the view that is chosen."""
    *others, (_, last) = [(name, str(view[column])) for name, view in VIEWS.items()]
    return "".join(f"region === '{name}' ? {value} : " for name, value in others) + last
