"""Correlations and differences of groups against scipy, closed forms and all permutations."""

import itertools

import numpy as np
import polars as pl
import pytest
from scipy import stats

from isogloss.stats.aggregate import by_language
from isogloss.stats.correlation import correlations, group_differences, holm, spearman, welch

Y = [21, 4, 9, 12, 35, 18, 10, 22, 24, 1, 6, 8, 13, 16, 19]
X = [67, 28, 30, 28, 52, 40, 25, 37, 44, 10, 14, 20, 28, 40, 51]


def test_the_interval_is_that_of_bonett_and_wright():
    """The example of Bonett's own package, statpsych (`ci.spear`), with ties."""
    found = spearman(np.array(X, float), np.array(Y, float))
    assert found["spearman"] == pytest.approx(0.8699639, abs=1e-7)
    assert (found["low"], found["high"]) == pytest.approx((0.5840951, 0.9638297), abs=1e-6)
    assert found["spearman"] == pytest.approx(stats.spearmanr(X, Y).statistic)


def test_p_is_the_share_of_all_permutations_that_go_as_far():
    one, other = np.array([1.0, 2, 3, 5, 4, 2]), np.array([2.0, 1, 4, 5, 6, 3])
    seen = spearman(one, other)
    every = [stats.spearmanr(list(order), other).statistic for order in itertools.permutations(one)]
    assert seen["p"] == pytest.approx(2 * np.mean(np.array(every) >= seen["spearman"] - 1e-9))
    generator = np.random.default_rng(2)
    many, noise = generator.normal(size=(2, 40))
    assert spearman(many, noise)["p"] == pytest.approx(stats.spearmanr(many, noise).pvalue, abs=0.02)


@pytest.mark.parametrize(("one", "other"), [([1, 2, 3], [1, 3, 2]), ([1, 1 + 1e-12, 1, 1], [1, 2, 3, 4]), ([], [])])
def test_what_cannot_be_known_is_null(one, other):
    assert set(spearman(np.array(one, float), np.array(other, float)).values()) == {None}


def test_of_a_perfect_order_no_interval_is_known():
    found = spearman(np.arange(5.0), -np.arange(5.0))
    assert (found["spearman"], found["low"], found["p"]) == (pytest.approx(-1), None, pytest.approx(2 / 120))


def table():
    generator = np.random.default_rng(0)
    rows = []
    for method, seed, (place, code) in itertools.product("ab", (0, 1), enumerate(["eng", *"vwxyz"])):
        for metric in ("accuracy", "f1"):
            value = 0.9 if code == "eng" else 0.5 + 0.05 * place + generator.normal(scale=0.02)
            rows.append(("test", method, seed, code, metric, "eng", value))
    names = ["split", "method", "seed", "language", "metric", "source", "value"]
    return pl.DataFrame(rows, schema=names, orient="row")


def of_targets():
    return by_language(table().filter(metric="f1"), "eng").filter(pl.col("language") != "eng")


def test_the_gap_goes_the_other_way_than_the_score_and_holm_is_over_all_of_each():
    scores = of_targets()
    measured = pl.DataFrame(
        {"language": ["eng", *"vwxyz"], "m": [9, 5, 4, 2, 3, 1], "few": [1, 2, 3, None, None, None], "same": [1] * 6}
    )
    found = correlations(measured, scores, ["m", "few", "same"])
    m = found.filter(measure="m")
    assert m["n"].to_list() == [5] * 4
    assert np.allclose(m.filter(of="score")["spearman"], -m.filter(of="gap")["spearman"].to_numpy())
    for (method, of), own in m.group_by("method", "of"):
        part = scores.filter(method=method)
        assert own["spearman"].item() == pytest.approx(stats.spearmanr([5, 4, 2, 3, 1], part[of]).statistic)
    assert found.filter(pl.col("measure") != "m")["spearman"].is_null().all()
    assert found.filter(measure="few")["n"].to_list() == [2] * 4
    p = m.filter(of="gap")["p"].to_list()
    assert m.filter(of="gap")["p_holm"].to_list() == pytest.approx(holm(p))
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_differences_are_welchs():
    one, other = np.array([1.0, 2, 4]), np.array([3.0, 7, 5, 9])
    found = welch(one, other)
    test = stats.ttest_ind(one, other, equal_var=False)
    low, high = test.confidence_interval(0.95)
    assert (found["p"], found["low"], found["high"]) == pytest.approx((test.pvalue, low, high))
    assert (found["inside"], found["outside"], found["difference"]) == pytest.approx((7 / 3, 6, 7 / 3 - 6))
    third = np.array([5 / 6, 5 / 6])
    assert "p" not in welch(np.ones(2), third)
    assert 0 < welch(other, third)["p"] < 1


def test_groups_are_targets_alone_and_neither_side_is_a_single_language():
    scores = of_targets()
    measured = pl.DataFrame({"language": ["eng", *"vwxyz"], "m": [100, 1, 2, 3, 4, 5], "few": [1, 2, None, 3, 4, None]})
    found = group_differences(measured, scores, ["m", "few"], ["eng", "v", "w"])
    own = found.filter(of="m").row(0, named=True)
    assert (own["inside"], own["outside"], own["n_inside"], own["n_outside"]) == (1.5, 4, 2, 3)
    assert "few" not in set(found["of"])
    assert found["method"].to_list() == [None, "a", "a", "b", "b"]
    assert len(group_differences(measured, scores, ["m"], ["v"])) == 0
