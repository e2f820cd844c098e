"""Means over seeds, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy import stats

CONFIDENCE = 0.95


def half_width(values: np.ndarray) -> float:
    """Half of a t-interval around the mean of values that are drawn alike; nothing is known of fewer than two."""
    if len(values) < 2:  # noqa: PLR2004
        return float("nan")
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def summarised(table: pl.DataFrame, keys: Sequence[str], column: str) -> pl.DataFrame:
    """The mean of a column over the rows of each group, which are seeds, with its interval.

    Returns:
        The keys, the column, `low`, `high` and `seeds`.
    """
    rows = []
    for names, part in table.group_by(list(keys), maintain_order=True):
        values = part[column].drop_nulls().to_numpy()
        mean, half = (float(values.mean()) if len(values) else float("nan")), half_width(values)
        bounds = {"low": mean - half, "high": mean + half, "seeds": len(values)}
        rows.append({**dict(zip(keys, names, strict=True)), column: mean, **bounds})
    schema = {key: table.schema[key] for key in keys} | {
        column: pl.Float64, "low": pl.Float64, "high": pl.Float64, "seeds": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)
