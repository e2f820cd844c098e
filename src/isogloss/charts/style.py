"""What all charts have in common: colours that colour-blind readers can tell apart, and sizes that fit a phone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from isogloss.languages.language import Language

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C"]  # Okabe and Ito (2008)
CLASSES = [*COLOURS, "#F0E442"]
DASHES = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2]]
SCHEME: Any = "viridis"
DIVERGING: Any = "purpleorange"
FREE = alt.Scale(zero=False)
HEIGHT = 300
Chart = alt.Chart | alt.LayerChart  # one view: only those can be as wide as the page


def method_colour(methods: Sequence[str]) -> alt.Color:
    """A colour for each method; past seven they come again, and dashes tell them apart."""
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(methods))]
    return alt.Color("method:N", scale=alt.Scale(domain=list(methods), range=colours), legend=_legend(methods))


def method_dash(methods: Sequence[str]) -> Any:
    """A dash for each method, where there are more of them than colours."""
    if len(methods) <= len(COLOURS):
        return alt.Undefined
    dashes = [DASHES[place // len(COLOURS) % len(DASHES)] for place in range(len(methods))]
    return alt.StrokeDash("method:N", scale=alt.Scale(domain=list(methods), range=dashes), legend=_legend(methods))


def _legend(methods: Sequence[str]) -> alt.Legend | None:
    return alt.Legend(orient="bottom", columns=2, labelLimit=400, title=None) if len(methods) > 1 else None


def choice(name: str, options: Sequence[str], label: str, *, first: str | None = None) -> alt.Parameter:
    """A menu of a chart; `first` is chosen when the page opens, or else the first of them."""
    return alt.param(
        name=name, value=first or options[0], bind=alt.binding_select(options=list(options), name=f"{label} ")
    )


def named(table: pl.DataFrame) -> pl.DataFrame:
    """A table with `name family script` beside its `language`."""
    parsed = {code: Language.parse(code) for code in table["language"].unique(maintain_order=True)}
    rows = [
        {"language": code, "name": own.name, "family": own.family or "unknown", "script": own.script}
        for code, own in parsed.items()
    ]
    facts = pl.DataFrame(rows, schema=dict.fromkeys(("language", "name", "family", "script"), pl.String))
    return table.join(facts, on="language", maintain_order="left")


def titled(chart: Any, text: str) -> Any:
    """With a title that follows the menus, so that it still says what is shown on paper.

    Args:
        chart: whose menus it is.
        text: a Vega expression.
    """
    return chart.properties(title=alt.TitleParams(alt.expr(text), anchor="start", fontSize=12, fontWeight="normal"))


def wide(chart: Any, height: int = HEIGHT) -> Any:
    """As wide as the page."""
    return chart.properties(width="container", height=height)
