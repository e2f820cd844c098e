"""How numbers are written: a value with its interval, and a p-value."""

from __future__ import annotations

import math

FEWEST_THOUSANDTHS = 0.001  # p-values below it are only said to be


def estimate(value: float | None, low: float | None, high: float | None, *, places: int = 3, sign: bool = False) -> str:
    """A value and its interval, `0.528 [0.511, 0.545]`; without what is not known."""
    form = f"{'+' if sign else ''}z.{places}f"  # what rounds to zero has no sign of its own
    if value is None or math.isnan(value):
        return ""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return format(value, form)
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def p_value(p: float | None) -> str:
    """A p-value to three places, or that it is smaller; nothing where it is not known."""
    return "" if p is None else f"{p:.3f}" if p >= FEWEST_THOUSANDTHS else "< 0.001"
