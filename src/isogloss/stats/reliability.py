"""How often answers are right that a model gives with some confidence (Guo et al. 2017, arXiv 1706.04599)."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

BINS = 10  # of equal width
SCHEMA: Any = {
    "low": pl.Float64, "high": pl.Float64, "confidence": pl.Float64, "right": pl.Float64, "n": pl.Int64,
}  # fmt: skip


def reliability(confidence: Float[np.ndarray, "n"], right: Float[np.ndarray, "n"]) -> pl.DataFrame:
    """Answers by confidence, in bins that hold their upper ends; empty ones are left out.

    Args:
        confidence: from 0 to 1.
        right: 1 or 0, or the share of an answer that is right.

    Returns:
        `low high confidence right n`: the ends of a bin, means of what is in it, and how many answers these are.
    """
    places = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    rows = [
        {
            "low": place / BINS, "high": (place + 1) / BINS, "confidence": float(confidence[inside].mean()),
            "right": float(right[inside].mean()), "n": int(inside.sum()),
        }
        for place in range(BINS)
        if (inside := places == place).any()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SCHEMA)


def calibration_error(bins: pl.DataFrame) -> float | None:
    """The expected calibration error: the mean distance of confidence and right over answers; None of no answer.

    Args:
        bins: of `reliability`.
    """
    apart = (pl.col("confidence") - pl.col("right")).abs()
    error: float | None = bins.select((apart * pl.col("n")).sum() / pl.col("n").sum()).item() if len(bins) else None
    return error
