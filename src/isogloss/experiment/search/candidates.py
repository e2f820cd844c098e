"""The candidates of a search: every combination of lists, or points spread over intervals on the log scale."""

from __future__ import annotations

import itertools
import math
from typing import Any

from scipy.stats import qmc

from isogloss.errors import IsoglossError
from isogloss.experiment.search.space import MOST, Interval, Space
from isogloss.runtime.checked import check

PER_TRAINING = 4  # candidates for each training of the budget, where intervals leave the number open
SEED = 0  # of where in their strata points lie


def candidates(space: Space) -> list[dict[str, Any]]:
    """The settings of each candidate besides those that are fixed.

    Where there are lists alone, every combination. Else as many points as the budget allows, a Latin hypercube: of each
    interval every part is tried, and each value of a list equally often. Values have two significant digits, so that
    they can be read and pasted; where a setting is a whole number, they are whole.

    Raises:
        IsoglossError: a combination cannot be, or there are too many or only one.
    """
    if space.forms is not None:
        made = [dict(form) for form in space.forms.values()]
    elif all(isinstance(values, list) for values in space.tried.values()):
        lists = [values for values in space.tried.values() if isinstance(values, list)]
        if (count := math.prod(map(len, lists))) > MOST:
            raise IsoglossError(
                f"methods.{space.name}.search has {count:,} combinations; expected at most {MOST}, or an interval, of "
                "which only some points are tried"
            )
        made = [dict(zip(space.tried, values, strict=True)) for values in itertools.product(*lists)]
    else:
        made = _spread(space)
    if len(made) == 1:
        raise IsoglossError(f"methods.{space.name}.search has one candidate; expected more, or no search")
    for one in made:
        check(space.method.settings, {**space.fixed, **one}, where=f"methods.{space.name}.search")
    return made


def _spread(space: Space) -> list[dict[str, Any]]:
    count = min(MOST, round(PER_TRAINING * space.budget))
    points = qmc.LatinHypercube(len(space.tried), rng=SEED).random(count)
    made: dict[str, dict[str, Any]] = {}
    for point in points.tolist():
        one = {key: _at(values, share) for (key, values), share in zip(space.tried.items(), point, strict=True)}
        made[repr(one)] = one
    return list(made.values())


def _at(values: list[Any] | Interval, share: float) -> Any:
    if isinstance(values, list):
        return values[min(len(values) - 1, int(share * len(values)))]
    low, high = math.log(values.least), math.log(values.greatest)
    value = math.exp(low + share * (high - low))
    if values.WHOLE:
        return round(value)
    return min(max(float(f"{value:.1e}"), values.least), values.greatest)
