"""Gaps over common languages, and what methods have over another, against scipy and statsmodels' definitions."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from isogloss.analysis.gap import gap_intervals, gaps, scores_intervals
from isogloss.stats.answers import Answers
from isogloss.stats.bootstrap import bootstrap
from isogloss.stats.intervals import crossed


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


def answered(right, missing=()):
    """Right or wrong by (methods, seeds, languages, examples), for methods `a` and `b`."""
    rows = [
        (method, seed, code, "test", str(i), "x", "x" if good else "y")
        for method, of_method in zip("ab", right, strict=False)
        for seed, of_seed in enumerate(of_method)
        for code, part in zip(("eng-Latn", "deu-Latn", "zho-Hans"), of_seed, strict=True)
        for i, good in enumerate(part)
        if (method, seed, code) not in missing
    ]
    names = ("method", "seed", "language", "split", "example", "gold", "predicted")
    table = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String) | {"seed": pl.Int64}, orient="row")
    return Answers(
        table, list(dict.fromkeys(table.select("method", "seed").iter_rows())), "eng-Latn", "classification",
        parallel=False,
    )  # fmt: skip


def test_intervals_are_around_the_means_of_the_gaps():
    chance = np.array([0.9, 0.6, 0.3])[:, None]
    right = np.random.default_rng(0).random((2, 3, 3, 50)) < chance
    found = answered(right, missing={("b", 1, "zho-Hans")})
    _, overall = bootstrap(found, "accuracy", [found.everywhere])
    table = gap_intervals(found, overall[found.everywhere])
    assert table.columns == ["method", "measure", "value", "low", "high", "seeds", "languages", "over"]
    assert table["languages"].unique().to_list() == [1]
    assert table["over"].unique().to_list() == ["seeds and examples"]
    for method, own in zip("ab", right, strict=True):
        source, target = own[:, 0].mean(axis=1), own[:, 1].mean(axis=1)
        values = {
            "source": source, "target": target, "gap": source - target, "relative-gap": (source - target) / source,
            "transfer-ratio": target / source,
        }  # fmt: skip
        for row in table.filter(method=method).iter_rows(named=True):
            assert row["value"] == pytest.approx(values[row["measure"]].mean())
            assert row["low"] < row["value"] < row["high"]
        expected = crossed(source, np.cov(own[:, 0]) / 50, 49)
        row = table.row(by_predicate=(pl.col("method") == method) & (pl.col("measure") == "source"), named=True)
        assert row["low"] == pytest.approx(expected.low, abs=0.02)


def test_scores_are_of_the_seeds_that_have_them_and_stay_scores():
    right = np.random.default_rng(0).random((2, 2, 3, 20)) < np.array([0.9, 0.5, 0.3])[:, None]
    right[0, :, 0, :] = True
    right[0, 1, 0, 0] = False
    found = answered(right, missing={("b", 1, "zho-Hans"), ("a", 0, "deu-Latn"), ("a", 1, "deu-Latn")})
    table = scores_intervals(found, {"accuracy": bootstrap(found, "accuracy")[0]})
    assert table.columns == ["method", "language", "metric", "value", "low", "high", "seeds", "n", "over"]
    assert not len(table.filter(method="a", language="deu-Latn"))
    single = table.row(by_predicate=(pl.col("method") == "b") & (pl.col("language") == "zho-Hans"), named=True)
    assert (single["seeds"], single["over"], single["n"]) == (1, "examples", 20)
    value = right[1, 0, 2].mean()
    half = stats.t.ppf(0.975, 19) * np.sqrt(value * (1 - value) / 19)
    assert single["high"] == pytest.approx(value + half, rel=0.05)
    nearly = table.row(by_predicate=(pl.col("method") == "a") & (pl.col("language") == "eng-Latn"), named=True)
    assert (nearly["value"], nearly["high"]) == (pytest.approx(0.975), 1)
    assert table["low"].min() >= 0
