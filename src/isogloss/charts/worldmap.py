"""The world, one dot a language."""

from __future__ import annotations

from functools import cache
from importlib import resources

import altair as alt
import numpy as np
import polars as pl

from isogloss.charts.style import SCHEME, Chart, choice, named, titled, wide
from isogloss.languages.language import Language
from isogloss.report.run_group import RunGroup
from isogloss.report.summary import ranked

CELL = 2.5  # degrees of a cell of land.txt
NORTH = 83.75  # the middle of its first row
VIEWS = {  # in degrees; the zoom is in widths of the page, the size that of a cell of land
    "the world": {"east": 11, "north": 15, "zoom": 0.182, "size": 12},
    "Europe": {"east": 20, "north": 53, "zoom": 0.6, "size": 90},
    "Africa and West Asia": {"east": 30, "north": 15, "zoom": 0.42, "size": 60},
    "South and East Asia": {"east": 100, "north": 22, "zoom": 0.42, "size": 60},
}


@cache
def land() -> pl.DataFrame:
    """`latitude longitude` of cells of land."""
    text = (resources.files("isogloss.charts") / "land.txt").read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if not row.startswith("# ")]
    row, column = np.nonzero(np.array([[cell == "#" for cell in row] for row in rows]))
    return pl.DataFrame({"latitude": NORTH - CELL * row, "longitude": CELL * (column + 0.5) - 180})


def placed(run_group: RunGroup) -> tuple[pl.DataFrame, list[str]]:
    """Score and gap of each method and language where it is at home; and the names of those without a place."""
    table = run_group.by_language
    codes = sorted(set(table["language"]))
    places = {code: Language.parse(code).place for code in codes}
    known = [
        {"language": code, "latitude": place[0], "longitude": place[1]}
        for code, place in _apart({code: place for code, place in places.items() if place is not None}).items()
    ]
    at = pl.DataFrame(known, schema={"language": pl.String, "latitude": pl.Float64, "longitude": pl.Float64})
    missing = [Language.parse(code).name for code, place in places.items() if place is None]
    shown = named(table.drop("deviation").join(at, on="language", maintain_order="left"))
    return shown.with_columns(pl.col("score", "gap").round(4)), missing


def _apart(places: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Languages of one place (scripts and regions of one language) side by side."""
    seen: dict[tuple[float, float], int] = {}
    out = {}
    for code, place in places.items():
        out[code] = place[0], place[1] + CELL * seen.get(place, 0)
        seen[place] = seen.get(place, 0) + 1
    return out


def world(run_group: RunGroup, table: pl.DataFrame) -> list[Chart]:
    """The map: colour is score or gap of one method, on the world or a part of it, all from menus.

    Args:
        run_group: of the report.
        table: of `placed`.
    """
    if not len(table):
        return []
    facts = [name for name in table.columns if name not in {"score", "gap"}]
    long = table.unpivot(["score", "gap"], index=facts).drop_nulls("value")
    method = choice("method", run_group.methods, "method", first=next(iter(ranked(run_group)), None))
    of = choice("of", ["score", "gap"], "show")
    view = choice("view", list(VIEWS), "of")
    ground = alt.Chart(land()).mark_square(size=alt.expr(_by_view("size")), opacity=0.3, color="#888888", clip=True)
    ground = ground.encode(latitude="latitude:Q", longitude="longitude:Q")
    is_source = f"datum.language === '{run_group.source}'"
    chosen = alt.Chart(long).transform_filter((alt.datum.method == method) & (alt.datum.variable == of))
    home = {"latitude": "latitude:Q", "longitude": "longitude:Q"}
    tips = ["name:N", "language:N", "family:N", alt.Tooltip("value:Q", format=".3f")]
    colour = alt.Color(
        "value:Q", scale=alt.Scale(scheme=SCHEME),
        legend=alt.Legend(orient="bottom", title=None, format=".2f", gradientLength=240),
    )  # fmt: skip
    dots = chosen.transform_filter(f"!({is_source})").mark_circle(
        size=110, opacity=1, stroke="white", strokeWidth=1, clip=True
    )
    star = chosen.transform_filter(is_source).mark_point(shape="diamond", size=140, strokeWidth=2.5, clip=True)
    layers = [ground, star.encode(**home, tooltip=tips), dots.encode(**home, color=colour, tooltip=tips)]
    chart = alt.layer(*layers).add_params(method, of, view)
    projection = alt.Projection(
        type="equalEarth", scale=alt.expr(f"width * ({_by_view('zoom')})"),
        rotate=alt.expr(f"[-({_by_view('east')}), 0, 0]"), center=alt.expr(f"[0, {_by_view('north')}]"),
    )  # fmt: skip
    return [titled(wide(chart, 420).properties(projection=projection), "of + ' of ' + method")]


def _by_view(column: str) -> str:
    """A Vega expression: the value of the view that is chosen."""
    *others, (_, last) = [(name, str(own[column])) for name, own in VIEWS.items()]
    return "".join(f"view === '{name}' ? {value} : " for name, value in others) + last
