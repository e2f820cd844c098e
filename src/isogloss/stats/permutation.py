"""Permutation tests over examples: what two methods answered to an example, exchanged.

The answers of all seeds of the one method are exchanged for those of the other, together, for each example by the toss
of a coin. If the two sets of models answer alike, so do the exchanged ones (Fisher 1935, The design of experiments,
section 21). That is a test of these very models on new examples. Seeds stay as they are: with others the difference
would be another, and p-values for new seeds are larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from isogloss.runtime.seeding import derive
from isogloss.stats.answers import Answers, ScoreTerms

PERMUTATIONS = 2000  # at the least
FOR_EACH = 50  # p-value of a family, so that the smallest there can be survives the correction
AT_ONCE = 500  # for the sake of memory
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Pair:
    """Two methods and what they have in common.

    Args:
        one: the method that has something over the other.
        other: that.
        runs: the places of the first's runs.
        others: of the other's, of the same seeds in the same order.
        languages: that all these runs have.
    """

    one: str
    other: str
    runs: list[int]
    others: list[int]
    languages: frozenset[str]


def pairs(answers: Answers, methods: Sequence[str]) -> list[Pair]:
    """Every two methods with a seed in common, the later of the two as the one."""
    seeds = {method: {answers.runs[run][1]: run for run in runs} for method, runs in answers.of_method.items()}
    matched = []
    for number, one in enumerate(methods):
        for other in methods[:number]:
            common = sorted(seeds[one].keys() & seeds[other].keys())
            runs, others = ([seeds[method][seed] for seed in common] for method in (one, other))
            languages = (code for code, runs_scored in answers.languages.items() if runs_scored >= {*runs, *others})
            if common:
                matched.append(Pair(one, other, runs, others, frozenset(languages)))
    return sorted(matched, key=lambda pair: methods.index(pair.other))


class ExchangedDifference:
    """The mean difference of two methods in a language, when answers are exchanged.

    Args:
        sums: of the language.
        pair: which has the language.
    """

    def __init__(self, sums: ScoreTerms, pair: Pair) -> None:
        self.sums = sums
        one, other = sums.rows(pair.runs), sums.rows(pair.others)
        self.totals = [(sums.above[rows].sum(axis=1), sums.below[rows].sum(axis=1)) for rows in (one, other)]
        self.moved: tuple[csr_array, csr_array] = (
            sums.above[other] - sums.above[one],
            sums.below[other] - sums.below[one],
        )

    @cached_property
    def plain(self) -> tuple[float, Float[np.ndarray, " examples"]] | None:
        """Where it is a plain sum over the examples: the difference, and what each adds if it is exchanged."""
        (above, below), (over, under) = self.totals
        if self.sums.classes != 1 or self.moved[1].nnz or not below.all():
            return None
        return float((above / below - over / under).mean()), 2 * (self.moved[0].T @ (1 / below) / len(below))

    def differences(self, exchanged: Float[np.ndarray, "draws examples"]) -> Float[np.ndarray, " draws"]:
        """Means over seeds, for each draw of which examples are exchanged."""
        if self.plain is not None:
            start, added = self.plain
            return np.asarray(start + exchanged @ added)
        (above, below), (over, under) = self.totals
        up, down = (np.asarray(moved @ exchanged.T) for moved in self.moved)
        one = self.sums.ratio(above[:, None] + up, below[:, None] + down)
        return np.asarray((one - self.sums.ratio(over[:, None] - up, under[:, None] - down)).mean(axis=0))


def exchange(
    answers: Answers, metric: str, chosen: Sequence[Pair]
) -> tuple[dict[tuple[int, str], float], dict[tuple[int, str], float]]:
    """P-values of every pair's difference, two-sided, counting the answers as they are among the permutations.

    Args:
        answers: of all runs.
        metric: one of the data set's.
        chosen: the pairs.

    Returns:
        By place of the pair and language; and by place and scope, which is target (the mean over target languages),
        source or gap. Where examples are parallel, an example is exchanged in all languages at once.
    """
    count = max(PERMUTATIONS, FOR_EACH * max(len(answers.languages), len(chosen)))
    sources, targets = np.full((len(chosen), 1 + count), np.nan), np.zeros((len(chosen), 1 + count))
    of_language = {}
    for code in answers.languages:
        sums = answers.sums(code, metric)
        compared = {
            number: ExchangedDifference(sums, pair) for number, pair in enumerate(chosen) if code in pair.languages
        }
        name, examples, positions = answers.drawn_from(code)
        generator = np.random.default_rng(derive("exchange", name))
        drawn_of = {number: [one.differences(np.zeros((1, len(positions))))] for number, one in compared.items()}
        for start in range(0, count, AT_ONCE):
            size = min(AT_ONCE, count - start)
            tossed = generator.integers(0, 2, (size, examples), dtype=np.int8)[:, positions].astype(float)
            for number, one in compared.items():
                drawn_of[number].append(one.differences(tossed))
        for number, parts in drawn_of.items():
            drawn = np.concatenate(parts)
            of_language[number, code] = _share(drawn)
            if code == answers.source:
                sources[number] = drawn
            else:
                targets[number] += drawn / len(chosen[number].languages - {answers.source})
    overall: dict[tuple[int, str], float] = {}
    for number, pair in enumerate(chosen):
        if not pair.languages - {answers.source}:
            targets[number] = np.nan
        scopes = {"source": sources[number], "target": targets[number], "gap": sources[number] - targets[number]}
        overall |= {(number, scope): _share(drawn) for scope, drawn in scopes.items() if not np.isnan(drawn).any()}
    return of_language, overall


def _share(drawn: Float[np.ndarray, " draws"]) -> float:
    """The share of draws, the first among them, that are as far from 0 as the first."""
    return float((np.abs(drawn) >= abs(drawn[0]) - ROUNDING).mean())
