"""The gap as training goes on, and when it opens (Guo et al. 2023, arXiv 2305.11449, follow it in this way)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float
from scipy import stats

from isogloss.observing import MEASURES

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Onset:
    """When a gap opens.

    Args:
        step: the update after which the gap's growth is no longer explained by noise; None where it never is, or where
            there are fewer than two seeds to tell noise by.
        lowest: the update at which the mean gap was lowest before that.
        growth: from there to the end, the mean over seeds.
    """

    step: int | None
    lowest: int
    growth: float


def observations(history: pl.DataFrame) -> pl.DataFrame:
    """The rows of a history that looking on wrote: scores of the task without a loss."""
    own = history.filter(pl.col("value").is_not_null() & pl.col("loss").is_null())
    return own.filter(~pl.col("metric").is_in(MEASURES))


def gap_curve(history: pl.DataFrame, source: str) -> pl.DataFrame:
    """Source, mean target and gap at every observation.

    Args:
        history: of a run directory, in the columns of the contract.
        source: the source language.

    Returns:
        `method seed step epoch metric source target gap targets`, the last one the number of target languages.
    """
    seen = observations(history)
    of_source = seen.filter(language=source).select(
        "method", "seed", "step", "epoch", "metric", pl.col("value").alias("source")
    )
    of_targets = (
        seen.filter(pl.col("language") != source)
        .group_by("method", "seed", "step")
        .agg(pl.col("value").mean().alias("target"), pl.len().alias("targets"))
    )
    return (
        of_source.join(of_targets, on=["method", "seed", "step"])
        .with_columns((pl.col("source") - pl.col("target")).alias("gap"))
        .select("method", "seed", "step", "epoch", "metric", "source", "target", "gap", "targets")
        .sort("method", "seed", "step")
    )


def onset(gaps: Float[np.ndarray, "seeds observations"], steps: list[int]) -> Onset:
    """When the gap opens, noise being what differs between seeds.

    For each observation, the one with the lowest mean gap so far is what growth is counted from; the difference is
    paired by seed. The onset is the first observation from which on every one has grown by more than a one-sided
    t-interval allows for.

    Args:
        gaps: of each seed at each observation.
        steps: updates of the observations.
    """
    mean = gaps.mean(axis=0)
    lowest = np.array([int(mean[: place + 1].argmin()) for place in range(len(mean))])
    grown = _grown(gaps, lowest)
    opened = len(grown) - int(np.argmin(grown[::-1])) if not grown.all() else 0  # behind the last that has not grown
    found = opened < len(grown)
    start = int(lowest[opened if found else -1])
    return Onset(steps[opened] if found else None, steps[start], float(mean[-1] - mean[start]))


def _grown(gaps: Float[np.ndarray, "seeds observations"], lowest: np.ndarray) -> Bool[np.ndarray, "observations"]:
    """Whether the gap at each observation lies above its lowest so far beyond the noise."""
    seeds = len(gaps)
    if seeds < 2:  # noqa: PLR2004
        return np.zeros(gaps.shape[1], dtype=bool)
    grown = np.zeros(gaps.shape[1], dtype=bool)
    for place, before in enumerate(lowest):
        difference = gaps[:, place] - gaps[:, before]
        spread = difference.std(ddof=1) / np.sqrt(seeds)
        grown[place] = difference.mean() > stats.t.ppf(CONFIDENCE, seeds - 1) * spread and place != before
    return grown


def onsets(curve: pl.DataFrame) -> pl.DataFrame:
    """The onset of every method, from `gap_curve`.

    Returns:
        `method onset lowest growth seeds`
    """
    rows = []
    for (method,), own in curve.group_by(["method"], maintain_order=True):
        wide = own.pivot(on="seed", index="step", values="gap").sort("step").drop_nulls()
        found = onset(wide.drop("step").to_numpy().T, wide["step"].to_list())
        rows.append(
            {
                "method": method, "onset": found.step, "lowest": found.lowest, "growth": found.growth,
                "seeds": own["seed"].n_unique(),
            }
        )  # fmt: skip
    schema = {"method": pl.String, "onset": pl.Int64, "lowest": pl.Int64, "growth": pl.Float64, "seeds": pl.Int64}
    return pl.DataFrame(rows, schema=schema)
