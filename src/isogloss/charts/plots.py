"""How figures are drawn: without a screen, in the colours of Okabe and Ito (2008), with text that stays text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isogloss.runtime.files import atomic_file
from isogloss.stats.intervals import half_width

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999"]
DASHES = ["-", "--", ":"]  # more methods than colours repeat them with another line
WIDTH = 9.0  # inches
OF = {"source": "source score", "target": "mean target score", "gap": "gap"}
STYLE: Any = {"svg.fonttype": "none", "pdf.fonttype": 42, "font.size": 9, "svg.hashsalt": "isogloss"}


def save(figure: Figure, stem: Path) -> None:
    """Write a figure as SVG and PDF, the same bytes for the same figure."""
    with rc_context(STYLE):
        for kind in ("svg", "pdf"):
            with atomic_file(stem.with_name(f"{stem.name}.{kind}")) as file:
                figure.savefig(file, format=kind, metadata={"Date": None} if kind == "svg" else {"CreationDate": None})


def by_method(table: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """The rows of each method."""
    return [(str(method), own) for (method,), own in table.group_by(["method"], maintain_order=True)]


def over_seeds(own: pl.DataFrame, across: str, column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places, means and half widths."""
    groups = [
        (key, part[column].to_numpy()) for (key,), part in own.sort(across).group_by([across], maintain_order=True)
    ]
    keys, values = zip(*groups, strict=True)
    return np.array(keys), np.array([part.mean() for part in values]), np.array([half_width(part) for part in values])


def band(axes: Axes, number: int, name: str, x: np.ndarray, mean: np.ndarray, half: np.ndarray) -> None:
    """A line with an interval around it."""
    colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
    axes.plot(x, mean, dash, color=colour, label=name, linewidth=1.4)
    if np.isfinite(half).any():
        axes.fill_between(x, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)


def legend(figure: Figure, axes: Axes) -> None:
    """One legend under the panels."""
    handles, labels = axes.get_legend_handles_labels()
    for legend in figure.legends:
        legend.remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)
