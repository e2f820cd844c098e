"""Figures for paper, beside the page: the heat map of languages and methods, the world, and learning curves."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.figure import Figure

from isogloss.charts.plots import STYLE, WIDTH, band, by_method, legend, over_seeds
from isogloss.charts.worldmap import land, placed
from isogloss.report.run_group import RunGroup
from isogloss.report.tables import by_language

FACTS = 5  # columns of `by_language` before the methods
LINE = 0.17  # inches of a row


def drawn(run_group: RunGroup) -> dict[str, Figure]:
    """Every figure by its name."""
    made = {"languages": heat(run_group), "map": world(run_group), "learning": learning(run_group)}
    return {name: figure for name, figure in made.items() if figure is not None}


def heat(run_group: RunGroup) -> Figure:
    """Scores of every language and method, the source on top."""
    table = by_language(run_group)
    methods = table.columns[FACTS:]
    values = table.select(methods).to_numpy().astype(float)
    with rc_context(STYLE):
        figure = Figure((2.5 + 0.9 * len(methods), 1.6 + LINE * len(table)), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(values, cmap="viridis", aspect="auto")
        middle = (np.nanmin(values) + np.nanmax(values)) / 2
        axes.set_xticks(range(len(methods)), methods, rotation=30, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(table)), table["name"].to_list(), fontsize=7)
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                colour = "white" if value < middle else "black"
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=6, color=colour)
        figure.colorbar(image, ax=axes, label=run_group.metric, shrink=0.6)
        return figure


def world(run_group: RunGroup) -> Figure | None:
    """The world, one dot a language, a panel a method: colour is the score."""
    table, _ = placed(run_group)
    if not len(table):
        return None
    ground = land()
    methods = [method for method in run_group.methods if method in set(table["method"])]
    low, high = float(table["score"].min() or 0), float(table["score"].max() or 1)  # type: ignore[arg-type]
    with rc_context(STYLE):
        figure = Figure((WIDTH, 3.6 * len(methods)), layout="constrained")
        for axes, method in zip(figure.subplots(len(methods), 1, squeeze=False)[:, 0], methods, strict=True):
            own = table.filter(method=method)
            axes.scatter(ground["longitude"], ground["latitude"], s=1.5, color="#bbbbbb", rasterized=True)
            dots = axes.scatter(
                own["longitude"], own["latitude"], c=own["score"].to_numpy(), s=36, cmap="viridis", vmin=low, vmax=high,
                edgecolors="white", linewidths=0.6, zorder=2,
            )  # fmt: skip
            axes.set(title=method, aspect=1.2, xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            figure.colorbar(dots, ax=axes, label=run_group.metric, shrink=0.7)
        return figure


def learning(run_group: RunGroup) -> Figure | None:
    """Training loss and the source's development score over updates."""
    history = run_group.history
    parts = {
        "training loss": history.filter(pl.col("learning_rate").is_not_null()).with_columns(value=pl.col("loss")),
        f"source {run_group.metric}, development split": history.filter(
            pl.col("loss").is_not_null() & pl.col("metric").is_not_null()
        ),
    }
    if not any(map(len, parts.values())):
        return None
    with rc_context(STYLE):
        figure = Figure((WIDTH, 3.4), layout="constrained")
        places = figure.subplots(1, len(parts))
        for axes, (title, table) in zip(places, parts.items(), strict=True):
            for number, (method, own) in enumerate(by_method(table)):
                band(axes, number, method, *over_seeds(own, "step", "value"))
            axes.set(title=title, xlabel="updates")
            axes.grid(alpha=0.3)
        legend(figure, places[1])
        return figure
