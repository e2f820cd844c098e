"""The world, one dot a language."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import altair as alt
import polars as pl

from isogloss.charts.chart import EXTENT, Chart, Menu, Split
from isogloss.charts.style import LABELLED, SCHEME, layered, named
from isogloss.languages.language import Language

CELL = 2.5  # degrees of a cell of land.txt
NORTH = 83.75  # the middle of its first row
WORLD = {"east": 10, "north": 17, "zoom": 0.18}  # the middle, in degrees; the zoom in widths of the chart
PARTS = {
    "Europe": {"east": 15, "north": 52, "zoom": 0.92},
    "Africa and West Asia": {"east": 30, "north": 12, "zoom": 0.44},
    "South and East Asia": {"east": 100, "north": 22, "zoom": 0.5},
    "America": {"east": -85, "north": 12, "zoom": 0.3},
}
SEAMS = {(view["east"] + 360) % 360 - 180 for view in (WORLD, *PARTS.values())}  # meridians at which a map is cut
ASPECT = 0.42  # height of the world for its width: from the north of Greenland to Cape Horn
PART_ASPECT = 0.6
NARROW = 480  # pixels of a map below which dots and letters are smaller
THICKNESS = 0.048  # of a row of land, in parts of the globe's radius: rows overlap a little, so that none shows
LAND = "#d7dde4"  # without transparency, which would show where rows overlap; the page has its own on dark
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
    """The map: colour is score or gap of one method; the source is a diamond.

    Args:
        scores: `method language score gap`, the means over seeds.
        methods: labels in order; the first is what the page shows at first.
        source: code of the source language.

    Returns:
        None where no language has a place.
    """
    table = _located(scores, source)
    if not len(table):
        return None
    view = {name: str(value) for name, value in WORLD.items()}
    return Chart(
        _drawn(view, ASPECT, size=(25, 60)), table, _splits(methods), title="{outcome} of {method}", width=560,
        height=round(560 * ASPECT), aspect=ASPECT, columns=2, extent=True,
    )  # fmt: skip


def part(scores: pl.DataFrame, methods: Sequence[str], *, source: str) -> Chart | None:
    """The same of one part of the world, with the languages' codes; at first of the one that most of them are in.

    Args:
        scores: `method language score gap`, the means over seeds.
        methods: labels in order; the first is what the page shows at first.
        source: code of the source language.

    Returns:
        None where no language is in any of them.
    """
    table = _located(scores, source)
    places = table.select("language", "latitude", "longitude").unique(maintain_order=True)
    reach = {code: _reached(north, east) for code, north, east in places.iter_rows()}
    nearest = Counter(next(iter(parts)) for parts in reach.values() if parts)
    order = [name for name, _ in nearest.most_common()]
    if not order:
        return None
    shown = Counter(name for parts in reach.values() for name in parts)
    crowded = {code for code, parts in reach.items() if any(shown[name] > LABELLED for name in parts)}
    # Scripts and regions of one language lie side by side, and have one label: the easternmost has it.
    last = {code.split("-")[0]: code for code in sorted(reach) if code not in crowded}
    codes = {code: short for short, code in last.items()}
    table = table.with_columns(code=pl.col("language").replace_strict(codes, default=None, return_dtype=pl.String))
    view = {column: _chosen(order, column) for column in WORLD}
    labels = alt.Chart().mark_text(align="left", dx=6, fontSize=alt.expr(_sized(9, 11)), clip=True).encode(
        latitude="latitude:Q", longitude="longitude:Q", text="code:N"
    ).transform_filter("datum.code !== null")  # fmt: skip
    return Chart(
        _drawn(view, PART_ASPECT, labels, size=(45, 110)), table, _splits(methods), [Menu("region", order, "of")],
        title="{outcome} of {method}, {region}", width=560, height=round(560 * PART_ASPECT), aspect=PART_ASPECT,
        columns=2, extent=True,
    )  # fmt: skip


def _located(scores: pl.DataFrame, source: str) -> pl.DataFrame:
    """A row for every method, language with a place, and outcome that is known."""
    places, _ = placed(sorted(set(scores["language"])))
    table = named(scores.join(places, on="language", maintain_order="left")).drop_nulls("latitude")
    facts = ["method", "language", "name", "family", "latitude", "longitude"]
    table = table.unpivot(["score", "gap"], index=facts, variable_name="outcome").drop_nulls("value")
    return table.with_columns(source=pl.col("language") == source)


def _reached(north: float, east: float) -> list[str]:
    """The parts that show a place, nearly, since they have no straight sides; the one whose middle is nearest first."""
    away = {}
    for name, view in PARTS.items():
        aside = abs((east - view["east"] + 180) % 360 - 180) * math.cos(math.radians(north))
        above = abs(north - view["north"])
        half = math.degrees(0.5 / view["zoom"])  # of the width, in degrees at the equator
        if aside < half and above < half * PART_ASPECT:
            away[name] = math.hypot(aside, above)
    return sorted(away, key=lambda name: away[name])


def _splits(methods: Sequence[str]) -> list[Split]:
    return [Split("method", methods, "method"), Split("outcome", ["score", "gap"], "show", ["score"])]


def _drawn(view: Mapping[str, str], aspect: float, *above: alt.Chart, size: tuple[int, int]) -> alt.LayerChart:
    """Land, languages, and what is above them.

    Args:
        view: Vega expressions of `east`, `north` and `zoom`.
        aspect: height for the width.
        above: further marks.
        size: of a dot, in square pixels, where there is little room and where there is more.
    """
    ground = alt.Chart(land()).mark_rule(
        strokeWidth=alt.expr(f"{EXTENT} * {THICKNESS} * ({view['zoom']})"), color=LAND, clip=True
    )
    ground = ground.encode(latitude="latitude:Q", longitude="west:Q", latitude2="latitude:Q", longitude2="east:Q")
    base = alt.Chart().encode(
        latitude="latitude:Q", longitude="longitude:Q",
        tooltip=["name:N", "language:N", "family:N", alt.Tooltip("value:Q", format=".3f")],
    )  # fmt: skip
    colour = alt.Color(
        "value:Q", scale=alt.Scale(scheme=SCHEME),
        legend=alt.Legend(
            orient="top", direction="horizontal", title=None, format=".2f", gradientLength=260, gradientThickness=12,
            labelFontSize=12, tickCount=5, offset=2,
        ),
    )  # fmt: skip
    dots = base.transform_filter("!datum.source").mark_circle(
        size=alt.expr(_sized(*size)), opacity=1, stroke="white", strokeWidth=0.8, clip=True
    )
    star = base.transform_filter("datum.source").mark_point(
        shape="diamond", size=alt.expr(f"1.3 * ({_sized(*size)})"), strokeWidth=2.5, opacity=1, clip=True
    )
    projection = alt.Projection(
        type="equalEarth", scale=alt.expr(f"{EXTENT} * ({view['zoom']})"),
        rotate=alt.expr(f"[-({view['east']}), 0, 0]"), center=alt.expr(f"[0, {view['north']}]"),
        translate=alt.expr(f"[{EXTENT} / 2, {aspect / 2} * {EXTENT}]"),
    )  # fmt: skip
    return layered(ground, star, dots.encode(color=colour), *above).properties(projection=projection)


def _sized(small: int, large: int) -> str:
    """A Vega expression: one size on a narrow map, another on a wide one."""
    return f"{EXTENT} < {NARROW} ? {small} : {large}"


def _chosen(order: Sequence[str], column: str) -> str:
    """A Vega expression: the value of the part that is chosen."""
    *others, last = order
    return "".join(f"region === '{name}' ? {PARTS[name][column]} : " for name in others) + str(PARTS[last][column])
