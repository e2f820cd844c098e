"""Gaps over common languages, and what methods have over another, against scipy and statsmodels' definitions."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from isogloss.analysis.gap import against, gaps


def scores(values, missing=()):
    return pl.DataFrame(
        [
            {"method": method, "seed": seed, "language": code, "split": split, "metric": "f1", "value": value}
            for method, by_seed in values.items()
            for seed, by_code in enumerate(by_seed)
            for code, value in by_code.items()
            for split in ("test",)
            if (method, code) not in missing
        ]
    )  # fmt: skip


def made(shift, seed):
    generator = np.random.default_rng(seed)
    return [
        {"eng-Latn": 0.9 + shift, "deu-Latn": 0.6 + shift + noise, "zho-Hans": 0.4 + 2 * noise}
        for noise in generator.normal(0, 0.02, 4)
    ]


def test_gaps_are_over_the_languages_that_all_have():
    table = scores({"a": made(0, 0), "b": made(0.05, 1)}, missing={("b", "zho-Hans")})
    found = gaps(table, "eng-Latn", "f1")
    assert found["targets"].unique().to_list() == [1]
    own = table.filter(method="a", seed=2)
    german = own.filter(language="deu-Latn")["value"].item()
    row = found.filter(method="a", seed=2)
    assert row["target"].item() == german
    assert row["gap"].item() == pytest.approx(0.9 - german)


def test_differences_are_paired_and_corrected():
    found = gaps(scores({"a": made(0, 0), "b": made(0.05, 1), "c": made(0.01, 5)}), "eng-Latn", "f1")
    than = against(found, "a").filter(measure="target")
    raw = {}
    for method in "bc":
        one, other = (found.filter(method=name)["target"].to_numpy() for name in (method, "a"))
        row = than.filter(method=method)
        assert row["difference"].item() == pytest.approx((one - other).mean())
        test = stats.ttest_rel(one, other)
        raw[method] = test.pvalue
        low, high = test.confidence_interval(0.95)
        assert (row["low"].item(), row["high"].item()) == pytest.approx((low, high))
    lower, higher = sorted(raw, key=raw.get)
    expected = {lower: min(1, 2 * raw[lower])}
    expected[higher] = max(expected[lower], raw[higher])
    for method, p in expected.items():
        assert than.filter(method=method)["p"].item() == pytest.approx(p)


def test_one_method_has_nothing_over_itself():
    assert len(against(gaps(scores({"a": made(0, 0)}), "eng-Latn", "f1"), "a")) == 0


def test_what_never_differs_has_no_p():
    found = gaps(scores({"a": made(0, 0), "b": made(0, 0)}), "eng-Latn", "f1")
    assert against(found, "a")["p"].is_null().all()
