"""Whether a score is good enough, and the chance of being wrong about that.

Chances are read off the distribution around a score that its interval is made of (`intervals.combined`): of new seeds
and new examples, or of a single seed of new examples alone. They are no more certain than that interval is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np
from jaxtyping import Float
from scipy import special

from isogloss.stats.intervals import SAME, combined, crossed

SURE = 0.05  # the chance of being wrong that a decision may have
STEPS = 5  # thresholds that are looked at; their chances are multiplied by as many (Bonferroni)
LEAST_COVERAGE = 0.1  # share of texts that has to be answered for a threshold to be worth its while
FEW = 10  # examples that are wrong, or right: fewer are too few to see whether seeds are wrong together
MOST_LABELS = 100_000  # labelled texts that somebody may be asked for
SHIP, THRESHOLD, LABELS, DONT = "ship", "ship with a threshold", "needs labels", "don't"
DECISIONS = (SHIP, THRESHOLD, LABELS, DONT)  # in the order in which a reader wants them


@dataclass(frozen=True, eq=False)
class SeedScores:
    """What the seeds of a method score on the same examples.

    Args:
        values: of each seed.
        covariance: of these when examples are drawn anew.
        freedom: degrees of freedom of the covariance.
        examples: how many there are; of answers above a threshold, the fewest that a seed gives.
        coverage: share of the examples that are answered, the mean over seeds.
    """

    values: Float[np.ndarray, " seeds"]
    covariance: Float[np.ndarray, "seeds seeds"]
    freedom: int
    examples: int
    coverage: float = 1.0

    @property
    def score(self) -> float:
        """The mean over seeds."""
        return float(self.values.mean())

    def variances(self, good_enough: float) -> tuple[float, float]:
        """Of the mean: what seeds bring, of which few degrees of freedom are known, and what examples bring.

        Three things keep few seeds and few examples from seeming sure. Where seeds lie closer together than examples
        alone would scatter them, which is luck, what examples do to each seed apart stands for it, as if few degrees of
        freedom were known of it: two seeds that happen to agree are no proof that a third one would. A score near 1
        hardly varies on the examples that are there, and would on others if it were only just good enough: what
        examples bring is as large as it would be there, by the ratio of the variances of shares, if that is larger.
        That is a score test, as Wilson's interval (1927) is of a share. And where a model that is only just good enough
        would be wrong, or right, but a few times, whether seeds are wrong together cannot be seen: then they are taken
        to be.
        """
        seeds, score = len(self.values), self.score
        here, there = score * (1 - score), good_enough * (1 - good_enough)
        covariance = self.covariance * max(1.0, there / here if here > SAME else 1.0)
        if seeds == 1:
            return 0.0, float(covariance[0, 0])
        alone, together = float(covariance.diagonal().mean()), float(covariance[~np.eye(seeds, dtype=bool)].mean())
        if self.examples * min(good_enough, 1 - good_enough) < FEW:
            together = alone
        together = max(together, 0.0)
        between = max(float(self.values.var(ddof=1)), alone - together)
        return between / seeds, together

    def chance_below(self, good_enough: float) -> float:
        """The chance that the score in new seeds and examples is below what is good enough.

        Where all examples are right, or all wrong, nothing varies: then it is how probable that is of so many examples
        of a model that is only just good enough.

        Args:
            good_enough: between 0 and 1.
        """
        if not self.examples or not np.isfinite(self.values).all():
            return 0.5
        between, together = self.variances(good_enough)
        difference = self.score - good_enough
        if between + together <= SAME**2:
            chance = float((good_enough if difference > 0 else 1 - good_enough) ** self.examples)
        else:
            few, many = max(1, len(self.values) - 1), max(1, self.freedom)
            p = combined(difference, between, together, few, many, len(self.values)).p
            chance = 0.5 if p is None else p / 2
        return chance if difference > 0 else 1 - chance

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """The 95 % interval of the score, no less than 0 and no more than 1."""
        found = crossed(self.values, self.covariance, self.freedom)
        low, high = (None if end is None else min(1.0, max(0.0, end)) for end in (found.low, found.high))
        return low, high

    def labels(self, good_enough: float) -> int | None:
        """About how many labelled examples would tell, if the score stayed what it is; None: no number would.

        Args:
            good_enough: between 0 and 1.
        """
        between, together = self.variances(good_enough)
        quantile = float(special.stdtrit(max(1, self.freedom), 1 - SURE))
        room = ((self.score - good_enough) / quantile) ** 2 - between
        if room <= 0:
            return None
        wanted = ceil(self.examples * together / room)
        return wanted if self.examples < wanted <= MOST_LABELS else None


@dataclass(frozen=True)
class Decision:
    """What to do with a language.

    Args:
        decision: one of `DECISIONS`.
        wrong: the chance of being wrong: of a score that is not good enough where it is shipped, and of one that is
            where it is not.
        threshold: confidence below which no answer is given; None: all are.
        labels: about how many labelled examples would tell; None: not known, or not asked for.
    """

    decision: str
    wrong: float
    threshold: float | None = None
    labels: int | None = None


def thresholds(good_enough: float) -> list[float]:
    """The confidences that are looked at: what is good enough itself, and then each time half the way to 1."""
    return [1 - (1 - good_enough) / 2**step for step in range(STEPS)]


def decide(every: SeedScores, above: Mapping[float, SeedScores], good_enough: float) -> Decision:
    """What to do with a language whose test examples have labels.

    Args:
        every: the scores of all answers.
        above: of those alone whose confidence is a threshold's at least, by that threshold.
        good_enough: between 0 and 1.
    """
    below = every.chance_below(good_enough)
    if below <= SURE:
        return Decision(SHIP, below)
    for threshold in sorted(above):
        some = above[threshold]
        chance = min(1.0, len(above) * some.chance_below(good_enough))
        if some.coverage >= LEAST_COVERAGE and chance <= SURE:
            return Decision(THRESHOLD, chance, threshold)
    if 1 - below <= SURE:
        return Decision(DONT, 1 - below)
    return Decision(LABELS, 1 - below, labels=every.labels(good_enough))
