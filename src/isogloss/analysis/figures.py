"""Figures of analyses: drawn without a screen, in the colours of Okabe and Ito (2008), with text that stays text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isogloss.analysis.importance import grid
from isogloss.analysis.intervals import half_width
from isogloss.backbones.anatomy import INSIDE
from isogloss.cache import atomic_file

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999"]
DASHES = ["-", "--", ":"]  # more methods than colours repeat them with another line
WIDTH = 9.0  # inches
OF = {"source": "source score", "target": "mean target score", "gap": "gap"}
STYLE: Any = {"svg.fonttype": "none", "pdf.fonttype": 42, "font.size": 9, "svg.hashsalt": "isogloss"}
NAMES = {"cka": "linear CKA with the pre-trained states", "retrieval": "retrieval of translations"}


def save(figure: Figure, stem: Path) -> None:
    """Write a figure as SVG and PDF, the same bytes for the same figure."""
    with rc_context(STYLE):
        for kind in ("svg", "pdf"):
            with atomic_file(stem.with_name(f"{stem.name}.{kind}")) as file:
                figure.savefig(file, format=kind, metadata={"Date": None} if kind == "svg" else {"CreationDate": None})


def gap_curves(curve: pl.DataFrame, onsets: pl.DataFrame) -> Figure:
    """Source, mean target and gap of each method over training, the onset marked: means over seeds with intervals.

    Args:
        curve: of `dynamics.gap_curve`.
        onsets: of `dynamics.onsets`.
    """
    with rc_context(STYLE):
        figure = Figure((WIDTH, 3.4), layout="constrained")
        axes = figure.subplots(1, 3, sharex=True)
        opened = dict(onsets.select("method", "onset").iter_rows())
        for number, (method, own) in enumerate(_by_method(curve)):
            for place, column in zip(axes, ("source", "target", "gap"), strict=True):
                steps, mean, half = _over_seeds(own, "step", column)
                _band(place, number, method, steps, mean, half)
                if column == "gap" and opened.get(method) is not None:
                    at = steps.tolist().index(opened[method])
                    place.plot(steps[at], mean[at], "o", color=COLOURS[number % len(COLOURS)], markersize=6)
        for place, name in zip(axes, OF.values(), strict=True):
            place.set(title=name, xlabel="updates")
            place.grid(alpha=0.3)
        axes[2].annotate("● onset of growth beyond noise", (0.02, 0.97), xycoords="axes fraction", va="top", fontsize=7)
        _legend(figure, axes[0])
        return figure


def importance_map(effects: pl.DataFrame, method: str) -> Figure:
    """Effects of every group of weights of one method: layers across, kinds of weights down.

    Args:
        effects: of `importance.effects`.
        method: whose.
    """
    own = effects.filter(method=method)
    titles = {
        "rewind": dict.fromkeys(OF, "lost when rewound") | {"gap": "closed when rewound"},
        "transplant": dict.fromkeys(OF, "gained when transplanted") | {"gap": "opened when transplanted"},
    }
    with rc_context(STYLE):
        figure = Figure((WIDTH * 1.2, 4.4), layout="constrained")
        panels: Any = figure.subfigures(2, 3)
        for row, (way, title) in zip(panels, titles.items(), strict=True):
            for panel, (of, name) in zip(row, OF.items(), strict=True):
                _heat(panel, own.filter(way=way, of=of), f"{name}: {title[of]}")
        figure.suptitle(method)
        return figure


def _heat(panel: Any, own: pl.DataFrame, title: str) -> None:
    cells = grid(own)
    alone = {row["weights"]: row["effect"] for row in own.filter(pl.col("layer").is_null()).iter_rows(named=True)}
    sides = {"emb.": alone.get("embeddings"), "norm": alone.get("norms")}
    there = {name: value for name, value in sides.items() if value is not None}
    columns = [np.full((len(INSIDE), 1), value) for value in there.values()]
    whole = np.concatenate([*columns, cells], axis=1)
    limit = np.nanmax(np.abs(whole), initial=0.0) or 1.0
    axes = panel.subplots()
    image = axes.imshow(whole, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
    labels = [*there, *map(str, range(1, cells.shape[1] + 1))]
    axes.set_xticks(range(len(labels)), labels, fontsize=7)
    axes.set_yticks(range(len(INSIDE)), INSIDE, fontsize=7)
    head = alone.get("head")  # without it nothing is left of the task: on the same scale it would hide the rest
    axes.set_title(title if head is None else f"{title} (head: {head:+.2f})", fontsize=8)
    for place in range(len(there)):
        axes.axvline(place + 0.5, color="white", linewidth=3)
    panel.colorbar(image, ax=axes, shrink=0.8).ax.tick_params(labelsize=7)


def memory_by_depth(table: pl.DataFrame) -> Figure:
    """What is remembered at every depth, the mean over target languages and seeds; dotted, before training.

    Args:
        table: rows of `forgetting.SCHEMA`, of target languages.
    """
    inside = table.filter(pl.col("depth").is_not_null())
    measures = [name for name in NAMES if name in set(inside["measure"])]
    with rc_context(STYLE):
        figure = Figure((WIDTH * 0.8, 3.4), layout="constrained")
        for place, measure in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True):
            shown = inside.filter(measure=measure)
            for number, (method, own) in enumerate(_by_method(shown)):
                means = own.group_by("seed", "depth").agg(pl.col("before", "after").mean())
                depth, mean, half = _over_seeds(means, "depth", "after")
                _band(place, number, method, depth, mean, half)
                if measure == "retrieval" and number == 0:
                    depth, mean, _ = _over_seeds(means, "depth", "before")
                    place.plot(depth, mean, ":", color="#444444", label="pre-trained")
            place.set(title=NAMES[measure], xlabel="layer")
            place.grid(alpha=0.3)
            _legend(figure, place)
        return figure


def gap_against_memory(table: pl.DataFrame) -> Figure:
    """The gap at every checkpoint against what is forgotten by then, a line a run.

    Args:
        table: of `forgetting.checkpoints`.
    """
    known = table.drop_nulls("gap")
    measures = [name for name in NAMES if name in set(known["measure"])]
    with rc_context(STYLE):
        figure = Figure((WIDTH * 0.8, 3.4), layout="constrained")
        places = figure.subplots(1, len(measures), squeeze=False, sharey=True)[0]
        for place, measure in zip(places, measures, strict=True):
            for number, (method, own) in enumerate(_by_method(known.filter(measure=measure))):
                for first, (_, run) in enumerate(own.group_by("seed", maintain_order=True)):
                    place.plot(
                        run["fallen"], run["gap"], marker="o", markersize=3, linewidth=0.8, alpha=0.8,
                        color=COLOURS[number % len(COLOURS)], linestyle=DASHES[number // len(COLOURS) % 3],
                        label=None if first else method,
                    )  # fmt: skip
            place.set(xlabel=f"fall of {NAMES[measure]}")
            place.grid(alpha=0.3)
        places[0].set_ylabel("gap")
        _legend(figure, places[0])
        return figure


def _by_method(table: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    return [(str(method), own) for (method,), own in table.group_by(["method"], maintain_order=True)]


def _over_seeds(own: pl.DataFrame, across: str, column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places, means and half widths."""
    groups = [
        (key, part[column].to_numpy()) for (key,), part in own.sort(across).group_by([across], maintain_order=True)
    ]
    keys, values = zip(*groups, strict=True)
    return np.array(keys), np.array([part.mean() for part in values]), np.array([half_width(part) for part in values])


def _band(axes: Axes, number: int, name: str, x: np.ndarray, mean: np.ndarray, half: np.ndarray) -> None:
    colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
    axes.plot(x, mean, dash, color=colour, label=name, linewidth=1.4)
    if np.isfinite(half).any():
        axes.fill_between(x, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)


def _legend(figure: Figure, axes: Axes) -> None:
    """One legend under the panels."""
    handles, labels = axes.get_legend_handles_labels()
    for legend in figure.legends:
        legend.remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)


def methods(table: pl.DataFrame) -> Sequence[str]:
    """The methods of a table in order."""
    return [name for name, _ in _by_method(table)]
