"""Temperature scaling (Guo et al. 2017, arXiv 1706.04599): one number that makes probabilities of a model's scores.

Scores are divided by it before the softmax. It changes no answer, only how sure each one is.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

LOWEST, HIGHEST = 0.01, 100.0
EXACT = 1e-6  # of its logarithm
DIGITS = 6


def fit_temperature(scores: Float[np.ndarray, "units C"], gold: Int[np.ndarray, "units"]) -> float:
    """The temperature under which what is right is most probable: the least mean negative log-likelihood.

    That mean has one minimum, so that the same scores give the same temperature. Where every answer is right it has
    none, for the surer the better: such data do not tell how often the model errs, and the temperature is 1. So it is
    of scores that are no numbers.

    Args:
        scores: of each class, before a softmax.
        gold: the class that is right.
    """
    if len(gold) == 0 or not np.isfinite(scores).all():
        return 1.0
    exact = scores.astype(np.float64)
    ahead = exact - np.take_along_axis(exact, gold[:, None], axis=1)  # of what is right, whose own place holds zero
    if ((ahead >= 0).sum(axis=1) == 1).all():
        return 1.0

    def loss(logarithm: float) -> float:
        return float(logsumexp(ahead * np.exp(-logarithm), axis=1).mean())

    bounds = (float(np.log(LOWEST)), float(np.log(HIGHEST)))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": EXACT})
    return round(float(np.exp(found.x)), DIGITS)
