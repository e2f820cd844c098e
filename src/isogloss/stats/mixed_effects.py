"""A linear mixed-effects model of scores: what methods do in languages and seeds that were not tried.

score = method + (language) + (seed) + (method by language) + (method by seed) + (seed by language) + residual, those in
brackets random and crossed. A method by seed is one trained model, whose scores go up and down together in all
languages, and no method gains the same in all of them: a model without these two takes every cell for a new
observation, and its p-values are far too small (Barr et al. 2013, Random effects structure for confirmatory hypothesis
testing: keep it maximal). Languages count as drawn at random, which kin are not.

Cells are balanced: one for each method, seed and language. The restricted likelihood (REML; Patterson and Thompson
1971) then depends on mean squares alone (Searle, Casella and McCulloch 1992, Variance components, chapter 4) and takes
no time. statsmodels' MixedLM finds the same, but would hold a matrix of 20,000 by 4,310 for 20,000 cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from math import prod
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy import optimize

from isogloss.stats.intervals import SAME, Estimate, combined, holm
from isogloss.store import rows

AXES = ("method", "seed", "language")
METHOD, SEED, LANGUAGE = range(3)
ROUNDS, CLOSE, LEAST = 1000, 1e-10, 1e-12
ESTIMATES: dict[str, Any] = {
    "method": pl.String, "reference": pl.String, "estimate": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "p": pl.Float64, "p_holm": pl.Float64, "seeds": pl.Int64, "languages": pl.Int64, "note": pl.String,
}  # fmt: skip
VARIANCES: dict[str, Any] = {
    "component": pl.String, "variance": pl.Float64, "share": pl.Float64, "levels": pl.Int64, "note": pl.String,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class BalancedScores:
    """Scores of target languages, as far as every method has every seed and language.

    Args:
        methods: the reference first.
        seeds: that all methods have.
        languages: that all these have.
        scores: of each cell.
    """

    methods: list[str]
    seeds: list[int]
    languages: list[str]
    scores: Float[np.ndarray, "methods seeds languages"]


def balanced(scores: pl.DataFrame, source: str, metric: str, methods: Sequence[str]) -> BalancedScores:
    """The cells of a run directory.

    Args:
        scores: in the columns of the contract.
        source: the source language, which is left out.
        metric: of its metrics.
        methods: in the order wanted.
    """
    targets = scores.filter(pl.col("language") != source, split="test", metric=metric)
    values = {tuple(cell): value for *cell, value in targets.select(*AXES, "value").iter_rows()}
    seeds = sorted(set.intersection(*({seed for one, seed, _ in values if one == method} for method in methods)))
    languages = sorted(
        code for code in {code for *_, code in values} if all((m, s, code) in values for m in methods for s in seeds)
    )
    table = [[[values[method, seed, code] for code in languages] for seed in seeds] for method in methods]
    return BalancedScores(
        list(methods), seeds, languages, np.array(table).reshape(len(methods), len(seeds), len(languages))
    )


@dataclass(frozen=True, eq=False)
class Strata:
    """Mean squares of balanced crossed cells, and what they are expected to be.

    Args:
        terms: the axes of each, methods alone left out; the last has all.
        squares: mean squares.
        freedom: their degrees of freedom.
        expected: how often each term's variance is in each mean square.
    """

    terms: list[tuple[int, ...]]
    squares: Float[np.ndarray, " terms"]
    freedom: Float[np.ndarray, " terms"]
    expected: Float[np.ndarray, "terms terms"]

    @classmethod
    def of(cls, values: Float[np.ndarray, "methods seeds languages"]) -> Strata:
        """Axes of a single level tell nothing and are left out."""
        levels = values.shape
        axes = [axis for axis in range(3) if levels[axis] > 1]
        terms = [term for size in range(1, len(axes) + 1) for term in combinations(axes, size) if term != (METHOD,)]
        freedom = [prod(levels[axis] - 1 for axis in term) for term in terms]
        squares = [
            values.size * (_effect(values, term) ** 2).mean() / df for term, df in zip(terms, freedom, strict=True)
        ]
        expected = [
            [prod(levels) / prod(levels[axis] for axis in other) if set(term) <= set(other) else 0 for other in terms]
            for term in terms
        ]
        return cls(terms, np.array(squares), np.array(freedom, dtype=float), np.array(expected, dtype=float))

    def variances(self) -> Float[np.ndarray, " terms"] | None:
        """The variance of each term that is most likely, none of them negative; None if none was found.

        The likelihood is stationary where weighted least squares, the weights being of the expected mean squares
        themselves, give those variances again. Where that goes round in a circle, half of every step is taken.
        """
        means = np.maximum(self.squares, LEAST * self.squares.max())
        for number in range(2 * ROUNDS):
            weights = np.sqrt(self.freedom) / means
            variances, _ = optimize.nnls(self.expected * weights[:, None], self.squares * weights)
            before, means = means, np.maximum(self.expected @ variances, LEAST * self.squares.max())
            if np.allclose(before, means, rtol=CLOSE, atol=0):
                return np.asarray(variances)
            if number >= ROUNDS:
                means = np.sqrt(before * means)
        return None

    def difference(self, value: float, variances: Float[np.ndarray, " terms"], levels: tuple[int, ...]) -> Estimate:
        """The difference of two methods' means, given the variances: what seeds and what languages make uncertain."""
        methods, seeds, languages = levels
        of = dict(zip(self.terms, variances.tolist(), strict=True))
        of_language = 2 * of.get((METHOD, LANGUAGE), 0.0) / languages
        of_seed = (
            2 * of.get((METHOD, SEED), 0.0) / seeds + 2 * of.get((METHOD, SEED, LANGUAGE), 0.0) / seeds / languages
        )
        few, many = (max(1, (methods - 1) * (size - 1)) for size in (seeds, languages))
        return combined(value, of_seed, of_language, few, many, seeds)


def _effect(values: np.ndarray, term: tuple[int, ...]) -> np.ndarray:
    """What the levels of these axes together add to what fewer of them add."""
    parts = []
    for size in range(len(term) + 1):
        for inner in combinations(term, size):
            others = tuple(axis for axis in range(3) if axis not in inner)
            parts.append((-1) ** (len(term) - size) * values.mean(axis=others, keepdims=True))
    return np.asarray(sum(parts))


def mixed(cells: BalancedScores) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What each method has over the first, and how much scores vary with what.

    Returns:
        `method reference estimate low high p p_holm seeds languages note`: 95 % intervals and p-values for new
        languages and new seeds, corrected by Holm over the methods; where there is a single seed or language, for it
        alone, and the note says so. And `component variance share levels note`. Where nothing can be told, the first
        has nulls and a note that says why, and the second has no rows.
    """
    (first, *others), seeds, languages = cells.methods, cells.seeds, cells.languages
    common = {"reference": first, "seeds": len(seeds), "languages": len(languages)}
    strata, note, components = None, None, None
    if cells.scores.size == 0:
        note = "no seed and language that all methods have"
    elif max(len(seeds), len(languages)) == 1:
        note = "a single seed and language"
    elif (strata := Strata.of(cells.scores)).squares.max() <= SAME**2:
        note = "scores do not vary"
    elif (components := strata.variances()) is None:
        note = "no most likely variances found"
    if strata is None or components is None:
        return rows(ESTIMATES, ({"method": method, **common, "note": note} for method in others)), rows(VARIANCES, [])
    if len(seeds) == 1:
        note = "these very models, in new languages"
    elif len(languages) == 1:
        note = "new seeds, in this language"
    means = cells.scores.mean(axis=(SEED, LANGUAGE))
    estimates = [strata.difference(float(mean - means[0]), components, cells.scores.shape) for mean in means[1:]]
    compared = [
        {"method": method, **common, **asdict(estimate), "estimate": estimate.value, "p_holm": p, "note": note}
        for method, estimate, p in zip(others, estimates, holm([estimate.p for estimate in estimates]), strict=True)
    ]
    parts = [
        {
            "component": "residual" if term == strata.terms[-1] else " by ".join(AXES[axis] for axis in term),
            "variance": variance, "share": variance / components.sum(),
            "levels": prod(cells.scores.shape[axis] for axis in term),
            "note": None if variance > 0 else "none found beside the others",
        }
        for term, variance in zip(strata.terms, components.tolist(), strict=True)
    ]  # fmt: skip
    return rows(ESTIMATES, compared), rows(VARIANCES, parts)
