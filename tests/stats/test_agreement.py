"""How often runs agree, against pairs that are counted one by one."""

import itertools
import random

import polars as pl
import pytest

from isogloss.stats.agreement import agreements


def table(rows):
    columns = ["method", "seed", "language", "example", "predicted"]
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(pl.lit("test").alias("split"))


def test_by_hand():
    said = {
        ("one", 0): "aabb", ("one", 1): "aabc", ("one", 2): "aaaa", ("other", 0): "aaaa",
    }  # fmt: skip
    rows = [(*run, "de", str(place), answer) for run, text in said.items() for place, answer in enumerate(text)]
    found = {row["method"]: row for row in agreements(table(rows)).iter_rows(named=True)}
    assert found["one"]["seeds"] == pytest.approx((3 / 4 + 2 / 4 + 2 / 4) / 3)
    assert found["one"]["methods"] == pytest.approx((2 / 4 + 2 / 4 + 1) / 3)
    assert found["other"] == {
        "method": "other", "language": "de", "seeds": None, "methods": pytest.approx((2 / 4 + 2 / 4 + 1) / 3)
    }  # fmt: skip


def test_of_words_each_tag_counts():
    rows = [("one", 0, "de", "x", "O B O"), ("one", 1, "de", "x", "O O O"), ("one", 0, "de", "y", "O"),
            ("one", 1, "de", "y", "B")]  # fmt: skip
    assert agreements(table(rows), words=True)["seeds"].to_list() == [pytest.approx(2 / 4)]
    assert agreements(table(rows))["seeds"].to_list() == [0.0]


def test_is_the_mean_over_all_pairs_of_runs():
    generator = random.Random(0)  # noqa: S311 - no secret
    runs = [(method, seed) for method, seeds in {"a": 3, "b": 2, "c": 1}.items() for seed in range(seeds)]
    said = {(run, code): generator.choices("xyz", k=9) for run in runs for code in ("de", "sw")}
    rows = [(*run, code, str(n), answer) for (run, code), some in said.items() for n, answer in enumerate(some)]
    generator.shuffle(rows)
    for row in agreements(table(rows).cast({"predicted": pl.Categorical})).iter_rows(named=True):
        same = {True: [], False: []}
        for one, other in itertools.combinations(runs, 2):
            if row["method"] in {one[0], other[0]}:
                pairs = zip(said[one, row["language"]], said[other, row["language"]], strict=True)
                same[one[0] == other[0]].append(sum(a == b for a, b in pairs) / 9)
        assert row["methods"] == pytest.approx(sum(same[False]) / len(same[False]))
        assert row["seeds"] == (pytest.approx(sum(same[True]) / len(same[True])) if same[True] else None)


def test_a_language_that_some_runs_lack_is_of_the_others():
    rows = [("one", 0, "de", "x", "a"), ("one", 1, "de", "x", "a"), ("one", 0, "sw", "x", "a")]
    found = agreements(table(rows))
    assert dict(found.select("language", "seeds").iter_rows()) == {"de": 1.0, "sw": None}
    assert found["methods"].null_count() == 2
    assert len(agreements(table([]))) == 0
