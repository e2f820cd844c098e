"""How boundaries and the states around them are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isogloss.analysis.boundary.plane import GRID
from isogloss.charts.plots import COLOURS, STYLE, WIDTH, by_method, legend

MARKERS = "o^sDvP"  # of the source and the other languages
COLUMNS = 3  # panels side by side


def boundaries(table: pl.DataFrame, source: str) -> Figure:
    """Of every target, how well its own boundary does beside the source's, and how far the two lie apart.

    Args:
        table: rows of `boundary.SCHEMA`.
        source: the source language.
    """
    means = (
        table.drop_nulls("angle")
        .group_by("method", "language", maintain_order=True)
        .agg(pl.col("angle", "source_on_target", "target_on_target").mean())
    )
    with rc_context(STYLE):
        figure = Figure((WIDTH, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        for number, (method, own) in enumerate(by_method(means)):
            colour, targets = COLOURS[number % len(COLOURS)], own.filter(pl.col("language") != source)
            known = targets.drop_nulls(["source_on_target", "target_on_target"])
            left.scatter(known["source_on_target"], known["target_on_target"], s=16, color=colour, label=method)
            right.scatter(known["angle"], known["source_on_target"], s=16, color=colour)
            for noise in own.filter(language=source)["angle"]:
                right.axvline(noise, linestyle=":", color=colour)
        left.axline((0, 0), slope=1, color="#888888", linewidth=0.8)
        left.set(xlabel="accuracy in the target of a boundary fitted to the source")
        left.set(ylabel="of one fitted to the target", xlim=(0, 1), ylim=(0, 1), aspect="equal")
        right.set(xlabel="angle between the two, degrees; dotted: source's halves")
        right.set(ylabel="accuracy in the target of the source's boundary")
        for place in (left, right):
            place.grid(alpha=0.3)
        legend(figure, left)
        return figure


def plane(points: pl.DataFrame, regions: pl.DataFrame, planes: pl.DataFrame, labels: Sequence[str]) -> Figure:
    """The states in the plane of their first two principal components, and what the trained head answers there.

    Args:
        points: rows of `boundary_plane.POINT`.
        regions: rows of `boundary_plane.REGION`.
        planes: rows of `boundary_plane.PLANE`.
        labels: of the classes.
    """
    colours = _colours(labels, points["gold"], regions["label"])

    def behind(place: Axes, method: str) -> str:
        own = regions.filter(method=method)
        x, y = (own[name].to_numpy().reshape(GRID, GRID) for name in "xy")
        numbers = {label: number for number, label in enumerate(colours)}
        found = np.asarray([numbers[label] for label in own["label"]]).reshape(GRID, GRID)
        shown = ListedColormap(list(colours.values()))
        place.pcolormesh(x, y, found, cmap=shown, vmin=-0.5, vmax=len(colours) - 0.5, alpha=0.25, rasterized=True)
        variance, faithful = planes.filter(method=method).select("variance", "faithful").row(0)
        return f"{method}\nin the plane: {variance:.0%} of variance, {faithful:.0%} of answers"

    return _panels(points, colours, ("pca_x", "pca_y"), behind)


def neighbours(points: pl.DataFrame, labels: Sequence[str]) -> Figure:
    """The states by t-SNE: near ones are near; distances and directions mean nothing.

    Args:
        points: rows of `boundary_plane.POINT`.
        labels: of the classes.
    """
    return _panels(points, _colours(labels, points["gold"]), ("tsne_x", "tsne_y"), lambda _, method: method)


def _panels(
    points: pl.DataFrame, colours: dict[str, str], across: tuple[str, str], behind: Callable[[Axes, str], str]
) -> Figure:
    """A panel a method: colours are right classes, markers languages, the first of them the source."""
    methods, languages = by_method(points), points["language"].unique(maintain_order=True).to_list()
    columns = min(COLUMNS, len(methods))
    rows = -(-len(methods) // columns)
    with rc_context(STYLE):
        figure = Figure((WIDTH / 2 * max(2, columns), 4.2 * rows), layout="constrained")
        places = figure.subplots(rows, columns, squeeze=False).ravel()
        for place, (method, own) in zip(places, methods, strict=False):
            place.set_title(behind(place, method), fontsize=8)
            place.set(xticks=[], yticks=[])
            for language, marker in zip(languages, MARKERS, strict=False):
                part = own.filter(language=language).drop_nulls(list(across))
                shown = [colours[label] for label in part["gold"]]
                place.scatter(*part.select(across), s=14, c=shown, marker=marker, linewidths=0.3, edgecolors="#222222")
        for place in places[len(methods) :]:
            place.set_axis_off()
        handles = [
            Line2D([], [], linestyle="", marker=marker, color="#444444", label=language)
            for language, marker in zip(languages, MARKERS, strict=False)
        ]
        handles += [
            Line2D([], [], linestyle="", marker="s", color=colour, label=label) for label, colour in colours.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(5, len(handles)), frameon=False)
        return figure


def _colours(labels: Sequence[str], *shown: pl.Series) -> dict[str, str]:
    """One for each class that is shown."""
    there = set[str]().union(*shown)
    return dict(zip([label for label in labels if label in there], COLOURS, strict=False))
