"""Curves: what a deep prompt costs against K, the length of texts, their number and the number of languages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import altair as alt
import polars as pl

from benchmarks.cells import EVALUATION, TRAINING
from isogloss.charts.chart import Chart, Split
from isogloss.charts.export import save
from isogloss.charts.style import layered, method_colour, numbers

Cost = Callable[[float, Mapping[str, Any]], float]  # of an example's seconds, and what a round had


def _update(seconds: float, cell: Mapping[str, Any]) -> float:
    return 1e3 * seconds * float(cell["batch"])


def _example(seconds: float, _: Mapping[str, Any]) -> float:
    return 1e3 * seconds


def _all(seconds: float, cell: Mapping[str, Any]) -> float:
    return seconds * float(cell["test"] * cell["languages"])


CURVES: dict[str, tuple[str, str, Cost]] = {  # what lies on the axes, and the cost
    "runs": ("K, runs that learn together", "ms an update of one run", _update),
    "length": ("tokens of a text on average", "ms an example", _example),
    "rows": ("texts", "seconds", _all),
    "languages": ("languages", "seconds", _all),
}


def points(records: Sequence[Mapping[str, Any]], curve: str) -> pl.DataFrame:
    """The points of a curve: `method` (the contestant), `doing`, `x`, and `y low high` over the rounds.

    Args:
        records: of one machine.
        curve: its name.
    """
    cost = CURVES[curve][2]
    made = []
    for record in records:
        cell = record["cell"]
        if cell.get("curve") != curve:
            continue
        by_runs = {
            did["runs"] for name, did in record["contestants"].items() if "failed" not in did and "isogloss" in name
        }
        for name, did in record["contestants"].items():
            for what in (TRAINING, EVALUATION):
                if what not in did or "failed" in did:
                    continue
                costs = [cost(1 / rate, cell) for rate in did[what]["examples_per_second"]]
                own = {"method": name.partition(" K=")[0], "doing": what}
                numbers = {"y": median(costs), "low": min(costs), "high": max(costs)}
                # A rival trains one run after the other: what one costs does not depend on how many there are.
                places = [cell["at"]] if curve != "runs" else [did["runs"]] if "isogloss" in name else sorted(by_runs)
                made += [{**own, "x": float(x), **numbers} for x in places]
    schema = {"method": pl.String, "doing": pl.String, **dict.fromkeys(("x", "y", "low", "high"), pl.Float64)}
    return pl.DataFrame(made, schema=schema).sort("method", "doing", "x")


def chart(table: pl.DataFrame, curve: str) -> Chart:
    """A curve, drawn: a line for each contestant, a panel for training and one for evaluation."""
    across, up, _ = CURVES[curve]
    contestants = table["method"].unique(maintain_order=True).to_list()
    colour = method_colour(contestants)
    place = alt.X("x:Q", title=across, scale=alt.Scale(zero=True))
    # A cost of nothing is where costs begin.
    heights = [alt.Y(f"{name}:Q", title=None, scale=alt.Scale(zero=True)) for name in ("low", "y")]
    area = alt.Chart().mark_area(opacity=0.15).encode(x=place, y=heights[0], y2="high:Q", color=colour)
    line = alt.Chart().mark_line(point=True).encode(
        x=place, y=heights[1], color=colour, tooltip=["method:N", *numbers(["x", "y", "low", "high"])]
    )  # fmt: skip
    view = layered(area, line)
    return Chart(view, table, [Split("doing", [TRAINING, EVALUATION])], title=f"{{doing}}: {up}")


def draw(records: Sequence[Mapping[str, Any]], folder: Path) -> list[str]:
    """Write every curve that has two points or more, of each kind of device, as SVG, PDF and PNG.

    Args:
        records: the newest of each cell.
        folder: for the files.

    Returns:
        The files' names without their ends.
    """
    drawn = []
    for device in dict.fromkeys(record["about"]["machine"]["device"] for record in records):
        own = [record for record in records if record["about"]["machine"]["device"] == device]
        last = own[-1]["about"]["machine"]["name"]
        for curve in CURVES:
            table = points([record for record in own if record["about"]["machine"]["name"] == last], curve)
            if table["x"].n_unique() > 1:
                drawn.append(f"{curve}-{device}")
                save(chart(table, curve), folder / drawn[-1])
    return drawn
