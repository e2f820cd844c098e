"""Scores forecast by a ridge regression, with intervals that hold whatever the regression is worth: jackknife+.

Everything that is chosen (how strongly to shrink, on what scale to be linear, whether to use the predictors at all) is
chosen within a fit, from the languages that it is given, so that what a fit says of a language it was not given is an
honest test of all of it.

Of a language that lies beyond all that a line was fitted to, nobody knows how far the line goes on. What is expected
there is halfway between the line and its value at the farthest it was fitted to, and the interval holds those of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit

PENALTIES = (np.inf, *10.0 ** np.arange(3, -2.5, -0.5))  # the first: the mean of the scores, whatever the predictors
EDGE = 0.005  # scores are kept this far from 0 and 1 where they become log odds
SCALES = ("plain", "logit")
MISS = 0.1  # share of intervals that may miss


@dataclass(frozen=True)
class RidgeFit:
    """A line in the predictors.

    Args:
        centre: of each predictor; also stands for one that is not known.
        spread: of each predictor; 1 where it does not vary.
        level: what is expected at the centre.
        slopes: a spread's worth of each predictor.
        scale: `plain` or `logit`.
        least: the least value of each predictor that it was fitted to.
        most: the greatest value of each.
    """

    centre: Float[np.ndarray, "predictors"]
    spread: Float[np.ndarray, "predictors"]
    level: float
    slopes: Float[np.ndarray, "predictors"]
    scale: str
    least: Float[np.ndarray, "predictors"]
    most: Float[np.ndarray, "predictors"]

    def both(self, predictors: Float[np.ndarray, "n predictors"]) -> Float[np.ndarray, "2 n"]:
        """Scores from 0 to 1: along the line, and as if no predictor were beyond those that it was fitted to."""
        ways = np.stack([predictors, np.clip(predictors, self.least, self.most)])
        return _score(self.level + _standard(ways, self.centre, self.spread) @ self.slopes, self.scale)

    def expected(self, predictors: Float[np.ndarray, "n predictors"]) -> Float[np.ndarray, "n"]:
        """Halfway between both."""
        halfway: Float[np.ndarray, "n"] = self.both(predictors).mean(axis=0)
        return halfway


def fit(predictors: Float[np.ndarray, "n predictors"], scores: Float[np.ndarray, "n"]) -> RidgeFit:
    """Ridge regression on the scale and with the penalty whose leave-one-out mean absolute error is the smallest.

    The errors are in closed form (Golub, Heath and Wahba 1979, Technometrics 21(2), section 1), for predictors as
    standardised over all that are given. Of equal ones, the stronger penalty.

    Args:
        predictors: NaN is not known, and stands at the mean of those that are.
        scores: from 0 to 1; two at least.
    """
    known = np.isfinite(predictors)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, predictors, 0).sum(axis=0) / count
    spread = np.sqrt((np.where(known, predictors - centre, 0) ** 2).sum(axis=0) / count)
    spread = np.where(spread > 1e-12 * np.maximum(1, np.abs(centre)), spread, 1)
    design = _standard(predictors, centre, spread)
    shift = design.mean(axis=0)  # 0 but where predictors are not known
    left, singular, right = np.linalg.svd(design - shift, full_matrices=False)
    best: tuple[float, str, np.ndarray] = (np.inf, SCALES[0], np.zeros(len(singular)))
    for scale in SCALES:
        values = _value(scores, scale)
        projected = left.T @ (values - values.mean())
        for penalty in PENALTIES:
            kept = singular**2 / (singular**2 + penalty)
            residual = values - values.mean() - left @ (kept * projected)
            leverage = 1 / len(values) + left**2 @ kept
            without = _score(values - residual / np.maximum(1 - leverage, EDGE), scale)
            error = float(np.abs(scores - without).mean())
            if error < best[0] * (1 - 1e-9):
                best = error, scale, kept
    _, scale, kept = best
    values = _value(scores, scale)
    shrunk = np.divide(kept, singular, out=np.zeros_like(kept), where=singular > 0)
    slopes = right.T @ (shrunk * (left.T @ (values - values.mean())))
    least, most = np.where(known, predictors, np.inf).min(axis=0), np.where(known, predictors, -np.inf).max(axis=0)
    return RidgeFit(centre, spread, float(values.mean() - shift @ slopes), slopes, scale, least, most)


def _standard(
    predictors: Float[np.ndarray, "*n predictors"],
    centre: Float[np.ndarray, "predictors"],
    spread: Float[np.ndarray, "predictors"],
) -> Float[np.ndarray, "*n predictors"]:
    return np.where(np.isfinite(predictors), (predictors - centre) / spread, 0)


def _value(scores: Float[np.ndarray, "n"], scale: str) -> Float[np.ndarray, "n"]:
    odds: Float[np.ndarray, "n"] = logit(np.clip(scores, EDGE, 1 - EDGE))
    return scores if scale == "plain" else odds


def _score(values: Float[np.ndarray, "*n"], scale: str) -> Float[np.ndarray, "*n"]:
    chances: Float[np.ndarray, "*n"] = expit(values)
    return np.clip(values, 0, 1) if scale == "plain" else chances


@dataclass(frozen=True)
class Forecast:
    """What is expected of each of some languages, and its interval."""

    expected: Float[np.ndarray, "n"]
    low: Float[np.ndarray, "n"]
    high: Float[np.ndarray, "n"]


def forecast(
    predictors: Float[np.ndarray, "n predictors"],
    scores: Float[np.ndarray, "n"],
    others: Float[np.ndarray, "m predictors"],
) -> Forecast:
    """What to expect of other languages, with 90 % intervals by jackknife+ (Barber et al. 2021, arXiv 1905.02928).

    Intervals miss one in ten languages that are drawn like those with scores, one in five at worst (theorem 1). With
    fewer than nine scores they are from 0 to 1: so few cannot say more.

    Args:
        predictors: of languages with scores; NaN is not known.
        scores: theirs.
        others: predictors of the others.
    """
    keep = ~np.eye(len(scores), dtype=bool)
    fits = [fit(predictors[rest], scores[rest]) for rest in keep]
    unseen = np.stack([left.both(row[None])[:, 0] for left, row in zip(fits, predictors, strict=True)])
    low, high = _bounds(np.stack([left.both(others) for left in fits]), np.abs(scores[:, None] - unseen))
    return Forecast(fit(predictors, scores).expected(others), low, high)


def expected_without(
    predictors: Float[np.ndarray, "n predictors"], scores: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """What is expected of each language from all the others; intervals would take as many fits again for each."""
    every = np.arange(len(scores))
    without = [fit(predictors[every != one], scores[every != one]).expected(predictors[[one]])[0] for one in every]
    return np.asarray(without)


def left_out(predictors: Float[np.ndarray, "n predictors"], scores: Float[np.ndarray, "n"]) -> Forecast:
    """What `forecast` says of each language from all the others: nothing of it is known to any choice."""
    count = len(scores)
    every = np.arange(count)
    expected, (low, high) = expected_without(predictors, scores), np.empty((2, count))
    apart = np.empty((count, count, 2))  # both ways, of the first where the second is left out too
    for one in every:
        for other in every[:one]:
            rest = (every != one) & (every != other)
            apart[one, other], apart[other, one] = fit(predictors[rest], scores[rest]).both(predictors[[one, other]]).T
    for one in every:
        rest = every != one
        bounds = _bounds(apart[one, rest][:, :, None], np.abs(scores[rest, None] - apart[rest, one]))
        low[one], high[one] = (float(bound[0]) for bound in bounds)
    return Forecast(expected, low, high)


def _bounds(
    expected: Float[np.ndarray, "n 2 m"], errors: Float[np.ndarray, "n 2"]
) -> tuple[Float[np.ndarray, "m"], Float[np.ndarray, "m"]]:
    """The interval of each of m languages, from the n fits that each lack another score, and their errors on it.

    Each way has its own, and the interval holds both.
    """
    count = len(errors)
    below, above = floor(MISS * (count + 1)), ceil((1 - MISS) * (count + 1))
    lower, upper = (np.sort(expected + sign * errors[:, :, None], axis=0) for sign in (-1, 1))
    low = lower[below - 1].min(axis=0) if below >= 1 else np.zeros(expected.shape[2])
    high = upper[above - 1].max(axis=0) if above <= count else np.ones(expected.shape[2])
    return np.clip(low, 0, 1), np.clip(high, 0, 1)
