"""What every run would have scored on other examples: a bootstrap (Efron 1979) of examples, the same for all runs.

Seeds are not drawn. Every measure is a mean over seeds, so what drawing them would give is known in closed form
(`intervals.crossed`) and without the noise of draws. Examples count as drawn one by one: where several share a passage
or a template, as questions of SQuAD's kind do, they tell less than their number says, and intervals are too narrow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from isogloss.runtime.seeding import derive
from isogloss.stats.answers import Answers, ScoreTerms
from isogloss.stats.intervals import Estimate, crossed

RESAMPLES = 1000
AT_ONCE = 100  # draws, for the sake of memory
MEASURES = ("source", "target", "gap", "relative-gap", "transfer-ratio")


@dataclass(frozen=True, eq=False)
class BootstrapEstimate:
    """A measure of every run, and how it would vary with the examples.

    Args:
        values: of each run; NaN where it lacks a language.
        covariance: of the runs when examples are drawn anew.
        examples: how many there are.
        freedom: degrees of freedom of the covariance.
    """

    values: Float[np.ndarray, " runs"]
    covariance: Float[np.ndarray, "runs runs"]
    examples: int
    freedom: int

    @classmethod
    def of(cls, drawn: Float[np.ndarray, "runs draws"], examples: int, freedom: int) -> BootstrapEstimate:
        """From the measure on the examples as they are, and then on each draw."""
        with np.errstate(invalid="ignore"):  # a ratio to a score of 0
            return cls(drawn[:, 0], np.cov(drawn[:, 1:]).reshape(len(drawn), len(drawn)), examples, freedom)

    def mean(self, runs: Collection[int]) -> Estimate:
        """The mean over some runs: those of one method."""
        chosen = np.array(list(runs), dtype=int)
        return crossed(self.values[chosen], self.covariance[np.ix_(chosen, chosen)], self.freedom)

    def difference(self, runs: Collection[int], others: Collection[int]) -> Estimate:
        """The mean difference between the runs of two methods, which are paired in their order."""
        one, other = (np.array(list(some), dtype=int) for some in (runs, others))
        crosswise = self.covariance[np.ix_(one, other)]
        alone = self.covariance[np.ix_(one, one)] + self.covariance[np.ix_(other, other)]
        return crossed(self.values[one] - self.values[other], alone - crosswise - crosswise.T, self.freedom)


def measures(
    source: Float[np.ndarray, "runs draws"], target: Float[np.ndarray, "runs draws"]
) -> dict[str, Float[np.ndarray, "runs draws"]]:
    """`MEASURES`: the two, their difference, and that and the second relative to the first."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return dict(zip(MEASURES, (source, target, source - target, 1 - target / source, target / source), strict=True))


def resampled(answers: Answers, language: str, metric: str, draws: int) -> Float[np.ndarray, "runs draws_and_one"]:
    """Every run's score in a language: first on the examples as they are, then on each draw of as many.

    The draws are the same for all runs and, where examples are parallel, for all languages. Draws vary by (n - 1) / n
    of the variance of new examples; they are spread out by as much. Runs that lack the language have NaN.
    """
    return redrawn(answers, language, answers.sums(language, metric), draws)


def redrawn(answers: Answers, language: str, sums: ScoreTerms, draws: int) -> Float[np.ndarray, "runs draws_and_one"]:
    """The same of terms that may leave some of the answers out.

    Args:
        answers: of all runs.
        language: that the terms are of.
        sums: what each example adds to every run's score.
        draws: how many.
    """
    name, examples, positions = answers.drawn_from(language)
    generator = np.random.default_rng(derive("resampling", name))
    scores = [sums.scores(np.ones((1, len(positions))))]
    for start in range(0, draws, AT_ONCE):
        size = min(AT_ONCE, draws - start)
        drawn = generator.integers(0, examples, (size, examples)) + examples * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        scores.append(sums.scores(times[:, positions].astype(float)))
    values = np.full((len(answers.runs), 1 + draws), np.nan)
    values[sums.runs] = np.concatenate(scores, axis=1)
    spread = np.sqrt(examples / (examples - 1)) if examples > 1 else np.nan
    values[:, 1:] = values[:, :1] + spread * (values[:, 1:] - values[:, :1])
    return values


def bootstrap(
    answers: Answers, metric: str, together: Iterable[frozenset[str]] = (), *, draws: int = RESAMPLES
) -> tuple[dict[str, BootstrapEstimate], dict[frozenset[str], dict[str, BootstrapEstimate]]]:
    """How scores would vary with the examples.

    Args:
        answers: of all runs.
        metric: one of the data set's.
        together: sets of languages; the source and the mean of the others are measured over each.
        draws: how many.

    Returns:
        The spread of the score in each language; and of `MEASURES` over each set.
    """
    shape = (len(answers.runs), 1 + draws)
    sources = {codes: np.full(shape, np.nan) for codes in together}
    totals = {codes: np.zeros(shape) for codes in sources}
    languages = {}
    for code in answers.languages:
        drawn, examples = resampled(answers, code, metric, draws), len(answers.examples[code])
        languages[code] = BootstrapEstimate.of(drawn, examples, examples - 1)
        for codes in sources:
            if code == answers.source and code in codes:
                sources[codes] = drawn
            elif code in codes:
                totals[codes] += drawn
    overall = {}
    for codes, source in sources.items():
        targets = sorted(codes - {answers.source})
        target = totals[codes] / len(targets) if targets else np.full(shape, np.nan)
        measured = measures(source, target)
        sizes = {name: counts(answers, targets if name == "target" else sorted(codes)) for name in MEASURES}
        if answers.source in codes:
            sizes["source"] = counts(answers, [answers.source])
        overall[codes] = {name: BootstrapEstimate.of(measured[name], *sizes[name]) for name in MEASURES}
    return languages, overall


def counts(answers: Answers, languages: Collection[str]) -> tuple[int, int]:
    """Different examples of some languages, and the degrees of freedom of a variance over them."""
    if answers.parallel:
        examples = len(set().union(*(answers.examples[code] for code in languages)))
        return examples, examples - 1
    examples = sum(len(answers.examples[code]) for code in languages)
    return examples, examples - len(languages)
