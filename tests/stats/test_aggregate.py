"""Averages over targets and over seeds, by hand."""

import polars as pl
import pytest

from isogloss.stats.aggregate import by_language, by_seed, everywhere

SCORES = pl.DataFrame(
    [
        ("a", 0, "eng", 0.9), ("a", 0, "deu", 0.6), ("a", 0, "zho", 0.2),
        ("a", 1, "eng", 0.8), ("a", 1, "deu", 0.7),
        ("b", 0, "eng", 0.7), ("b", 0, "deu", 0.5), ("b", 0, "zho", 0.4),
    ],
    schema=["method", "seed", "language", "value"], orient="row",
)  # fmt: skip


def test_averages_are_over_what_every_run_has():
    assert everywhere(SCORES) == {"eng", "deu"}
    assert everywhere(SCORES.filter(seed=0)) == {"eng", "deu", "zho"}


def test_a_run_has_a_source_a_mean_target_and_a_gap():
    found = by_seed(SCORES, "eng", ["deu", "zho"])
    assert found.columns == ["method", "seed", "source", "target", "gap"]
    assert [row[:2] for row in found.rows()] == [("a", 0), ("a", 1), ("b", 0)]
    assert found["target"].to_list() == pytest.approx([0.4, 0.7, 0.45])
    assert found["gap"].to_list() == pytest.approx([0.5, 0.1, 0.25])
    assert by_seed(SCORES, "eng", [])["target"].to_list() == [None] * 3


def test_a_language_has_its_means_over_the_seeds_that_have_it():
    found = by_language(SCORES, "eng")
    assert found.columns == ["method", "language", "score", "deviation", "gap"]
    german, chinese = (found.filter(method="a", language=code).row(0, named=True) for code in ("deu", "zho"))
    assert (german["score"], german["gap"]) == pytest.approx((0.65, 0.2))
    assert german["deviation"] == pytest.approx(0.1 / 2**0.5)
    assert (chinese["score"], chinese["deviation"], chinese["gap"]) == (0.2, None, pytest.approx(0.7))
    assert found.filter(language="eng")["gap"].to_list() == [0, 0]
