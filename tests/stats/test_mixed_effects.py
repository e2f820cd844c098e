"""The mixed model of scores, against statsmodels, the likelihood written out, and Student's tests where they apply."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.formula.api as smf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from isogloss.stats.mixed_effects import BalancedScores, Strata, balanced, mixed

SHAPE = (3, 4, 6)  # methods, seeds, languages
SPREADS = {(1,): 0.3, (2,): 1.0, (0, 1): 0.4, (0, 2): 0.5, (1, 2): 0.35, (0, 1, 2): 0.3}


def drawn(generator, shape=SHAPE, spreads=SPREADS, means=()):
    """Scores with effects of that spread for the levels of those axes together."""
    values = np.zeros(shape)
    for axes, spread in spreads.items():
        values = values + generator.normal(0, spread, [size if axis in axes else 1 for axis, size in enumerate(shape)])
    for number, mean in enumerate(means):
        values[number] += mean
    return values


def cells(values):
    names = [[f"{letter}{i}" for i in range(size)] for letter, size in zip("msl", values.shape, strict=True)]
    return BalancedScores(names[0], list(range(values.shape[1])), names[2], values)


def designs(shape):
    """For each term the matrix that says which cells share a level; and the methods'."""
    at = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3)
    terms = [axes for axes in SPREADS if all(shape[axis] > 1 for axis in axes)]
    same = {axes: (at[:, None, list(axes)] == at[None, :, list(axes)]).all(axis=2).astype(float) for axes in terms}
    return same, np.eye(shape[0])[at[:, 0]]


def minus_likelihood(variances, values, same, fixed):
    """REML written out: minus twice the log, up to a constant."""
    covariance = sum(variance * matrix for variance, matrix in zip(variances, same.values(), strict=True))
    inverse = np.linalg.inv(covariance)
    information = fixed.T @ inverse @ fixed
    flat = values.ravel()
    residual = flat - fixed @ np.linalg.solve(information, fixed.T @ inverse @ flat)
    return (
        np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(information)[1] + residual @ inverse @ residual
    ), np.linalg.inv(information)


@pytest.mark.parametrize("spreads", [SPREADS, SPREADS | {(0, 1): 0.0, (1, 2): 0.0, (1,): 0.0}])
@pytest.mark.parametrize("seed", range(4))
def test_variances_are_the_most_likely_ones(spreads, seed):
    values = drawn(np.random.default_rng(seed), spreads=spreads)
    same, fixed = designs(SHAPE)
    strata = Strata.of(values)
    found = dict(zip(strata.terms, strata.variances(), strict=True))
    ours = np.array([found[axes] for axes in same])
    best, covariance = minus_likelihood(ours, values, same, fixed)
    for start in (ours + 0.01, np.full(6, 0.1)):
        other = optimize.minimize(
            lambda logs: minus_likelihood(np.exp(logs), values, same, fixed)[0], np.log(start), method="Nelder-Mead",
            options={"maxiter": 4000, "maxfev": 4000, "xatol": 1e-6, "fatol": 1e-10},
        )  # fmt: skip
        assert best <= other.fun + 1e-6
        assert best == pytest.approx(other.fun, abs=0.01)
    # the standard error of a difference of methods, from the information matrix
    error = np.sqrt(covariance[1, 1] + covariance[0, 0] - 2 * covariance[0, 1])
    estimate = strata.difference(0.0, strata.variances(), values.shape)
    between = 2 * (found[0, 1] / 4 + found[0, 1, 2] / 24)
    share = between / error**2
    quantile = share * stats.t.ppf(0.975, 2 * 3) + (1 - share) * stats.t.ppf(0.975, 2 * 5)
    assert estimate.high == pytest.approx(error * quantile)


@pytest.mark.filterwarnings("ignore")  # its optimiser says much
def test_statsmodels_finds_the_same():
    values = drawn(np.random.default_rng(11), shape=(2, 5, 8), means=(0, 0.5))
    strata = Strata.of(values)
    assert strata.variances().min() > 0
    rows = [
        {"method": m, "seed": s, "language": c, "both": f"{m}{s}", "kind": f"{m}{c}", "pair": f"{s} {c}",
         "value": values[m, s, c]}
        for m, s, c in np.ndindex(values.shape)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    names = {"seed": (1,), "language": (2,), "both": (0, 1), "kind": (0, 2), "pair": (1, 2)}
    model = smf.mixedlm(
        "value ~ C(method)", table, groups=np.ones(len(table)), vc_formula={name: f"0 + C({name})" for name in names}
    )
    theirs = model.fit(reml=True, method=["lbfgs", "bfgs"], gtol=1e-8)
    found = dict(zip(strata.terms, strata.variances(), strict=True))
    of_theirs = dict(zip(model.exog_vc.names, theirs.vcomp, strict=True))
    for name, axes in names.items():
        assert found[axes] == pytest.approx(of_theirs[name], rel=0.01)
    assert found[0, 1, 2] == pytest.approx(theirs.scale, rel=0.01)
    estimates, variances = mixed(cells(values))
    assert estimates["estimate"].item() == pytest.approx(theirs.fe_params.iloc[1])
    error = theirs.bse_fe.iloc[1]
    between = 2 * (found[0, 1] / 5 + found[0, 1, 2] / 40)
    share = between / error**2
    quantile = share * stats.t.ppf(0.975, 4) + (1 - share) * stats.t.ppf(0.975, 7)
    assert estimates["high"].item() - estimates["estimate"].item() == pytest.approx(error * quantile, rel=0.01)
    assert variances["component"].to_list() == [
        "seed", "language", "method by seed", "method by language", "seed by language", "residual",
    ]  # fmt: skip
    assert variances["levels"].to_list() == [5, 8, 10, 16, 40, 80]
    assert variances["share"].sum() == pytest.approx(1)


@given(st.integers(0, 2**32), st.tuples(st.integers(2, 4), st.integers(2, 4), st.integers(2, 5)))
@example(70602311, (2, 2, 2))  # whole steps go round in a circle
@settings(deadline=None, max_examples=30)
@example(13968, (2, 3, 2))
@example(527, (2, 2, 2))
def test_a_likeliest_answer_is_always_found(seed, shape):
    values = drawn(np.random.default_rng(seed), shape, dict.fromkeys(SPREADS, 0.0) | {(0, 1, 2): 1.0})
    found = Strata.of(values).variances()
    assert found is not None
    assert found.min() >= 0
    same, fixed = designs(shape)
    ordered = dict(zip(Strata.of(values).terms, found, strict=True))
    best = minus_likelihood([ordered[axes] for axes in same], values, same, fixed)[0]
    for axes in same:  # no step to either side is better
        for factor in (0.9, 1.1):
            other = ordered | {axes: ordered[axes] * factor + (factor > 1) * 1e-4}
            assert minus_likelihood([other[one] for one in same], values, same, fixed)[0] >= best - 1e-9


@pytest.mark.parametrize("shape", [(2, 1, 9), (2, 6, 1)])
def test_with_one_seed_or_one_language_it_is_students_paired_test(shape):
    values = drawn(np.random.default_rng(2), shape)
    estimates, variances = mixed(cells(values))
    test = stats.ttest_rel(values[1].ravel(), values[0].ravel())
    row = estimates.row(0, named=True)
    assert row["p"] == row["p_holm"] == pytest.approx(test.pvalue)
    assert (row["low"], row["high"]) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert ("these very models" in row["note"]) == (shape[1] == 1)
    assert len(variances) == 2


def test_what_cannot_be_told_is_null_and_says_why():
    for values, note in (
        (np.zeros((2, 3, 4)), "scores do not vary"), (np.ones((3, 1, 1)), "a single seed and language"),
        (np.zeros((2, 0, 0)), "no seed and language that all methods have"),
    ):  # fmt: skip
        estimates, variances = mixed(cells(values))
        assert estimates["note"].to_list() == [note] * (len(values) - 1)
        assert estimates["estimate"].is_null().all()
        assert len(variances) == 0
    additive = np.arange(2)[:, None, None] + np.arange(3)[:, None] + np.arange(4) * 1.0
    estimates, variances = mixed(cells(additive))
    assert estimates["estimate"].item() == pytest.approx(1)
    assert variances.filter(component="method by seed")["variance"].item() == pytest.approx(0, abs=1e-9)


def test_cells_are_those_that_every_method_has():
    rows = [
        {"method": m, "seed": s, "language": c, "split": split, "metric": "f1", "value": ord(m) + s / 10 + len(c)}
        for m in "ab" for s in (0, 1, 2) for c in ("eng-Latn", "deu-Latn", "por-Latn-BR", "fin-Latn")
        for split in ("dev", "test")
        if (m, s) != ("b", 0) and (m, s, c) != ("a", 2, "fin-Latn")
    ]  # fmt: skip
    found = balanced(pl.DataFrame(rows), "eng-Latn", "f1", ["b", "a"])
    assert (found.methods, found.seeds, found.languages) == (["b", "a"], [1, 2], ["deu-Latn", "por-Latn-BR"])
    assert found.scores[1, 0, 1] == pytest.approx(ord("a") + 0.1 + 11)
    assert balanced(pl.DataFrame(rows), "eng-Latn", "accuracy", ["b", "a"]).scores.size == 0


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 3, 30), (3, 5, 12)])
def test_intervals_cover_and_a_model_without_runs_does_not(shape):
    generator, repeats = np.random.default_rng(0), 1000
    covered = naive = 0
    for _ in range(repeats):
        values = drawn(generator, shape, SPREADS | {(0, 2): 0.2})
        row = mixed(cells(values))[0].row(0, named=True)
        covered += row["low"] <= 0 <= row["high"]
        difference = values[1] - values[0]
        alone = difference - difference.mean()
        naive += abs(difference.mean()) < 1.96 * np.sqrt((alone**2).mean() / alone.size)  # every cell for itself
    error = np.sqrt(0.05 * 0.95 / repeats)
    assert 0.93 <= covered / repeats <= 0.975 + 2 * error
    assert naive / repeats < 0.8


def test_thousands_of_cells_take_no_time():
    values = drawn(np.random.default_rng(0), (10, 10, 200), means=range(10))
    estimates, variances = mixed(cells(values))
    assert len(estimates) == 9
    assert (estimates["low"] < estimates["estimate"]).all()
    assert estimates["estimate"].to_list() == pytest.approx(range(1, 10), abs=1.5)
    found = dict(variances.select("component", "variance").iter_rows())
    assert found["residual"] == pytest.approx(0.09, rel=0.05)
    assert found["language"] == pytest.approx(1, rel=0.3)
