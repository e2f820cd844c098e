"""The gap over training: when it opens, and how it is drawn."""

import numpy as np
import polars as pl
import pytest

from isogloss.analysis.dynamics import gap_chart, gap_curve, onset, onsets
from isogloss.charts.export import svg


def learnt(observations=25, at=4.0):
    """A source score that rises from chance and stays."""
    return 0.9 * (1 - np.exp(-np.arange(observations) / at))[None].repeat(5, 0)


def test_an_onset_is_found_where_the_gap_begins_to_grow():
    generator = np.random.default_rng(0)
    steps = list(range(10, 260, 10))
    gap = np.where(np.arange(25) < 14, 0.1, 0.1 + 0.01 * (np.arange(25) - 13))
    found = onset(gap + generator.normal(0, 0.002, (5, 25)), learnt(), steps)
    assert found.step in {150, 160}
    assert found.learnt == 110
    assert found.growth == pytest.approx(0.11, abs=0.01)
    assert onset(gap[None], learnt()[:1], steps).step is None


@pytest.mark.parametrize("seeds", [3, 5])
def test_noise_opens_no_gap(seeds):
    generator = np.random.default_rng(seeds)
    steps = list(range(25))
    offsets = generator.normal(0, 0.05, (400, seeds, 1))
    found = [onset(0.1 + own + generator.normal(0, 0.02, (seeds, 25)), learnt()[:seeds], steps).step for own in offsets]
    alarms = sum(step is not None for step in found) / len(found)
    assert alarms < 0.09  # 5 % where the last observation is independent of the rest


def test_of_a_gap_that_rises_with_the_source_only_what_follows_learning_is_growth():
    """Both scores come from chance: that the gap grows with them is no news."""
    generator = np.random.default_rng(0)
    source = learnt(at=3.0)
    gap = 0.25 * source / 0.9 + generator.normal(0, 0.01, source.shape)
    found = onset(gap, source, list(range(25)))
    assert found.learnt == 7
    assert found.growth < 0.03  # of a gap of 0.25, the tenth that the source still gains
    assert found.step > found.learnt
    from_the_start = onset(gap, np.full_like(source, 0.9), list(range(25)))
    assert from_the_start.learnt == 0
    assert from_the_start.growth > 0.15


def test_the_gap_curve_is_made_of_what_looking_on_wrote():
    rows = []
    for seed in (0, 1):
        for step in (10, 20):
            rows += [
                {"method": "a", "seed": seed, "step": step, "epoch": 1.0, "metric": "f1", "loss": None,
                 "language": code, "value": value}
                for code, value in (("eng-Latn", 0.9), ("deu-Latn", 0.5), ("fra-Latn", 0.7 - step / 100))
            ]  # fmt: skip
        rows.append(
            {"method": "a", "seed": seed, "step": 20, "epoch": 1.0, "metric": "f1", "loss": 0.3, "language": "eng-Latn",
             "value": 0.2}
        )  # fmt: skip
    curve = gap_curve(pl.DataFrame(rows), "eng-Latn")
    assert curve["gap"].to_list() == pytest.approx([0.35, 0.4, 0.35, 0.4])
    assert curve["targets"].to_list() == [2, 2, 2, 2]
    assert onsets(curve)["seeds"].to_list() == [2]


def test_curves_are_drawn_around_their_means_however_wide_the_intervals():
    rows = [("a", seed, step, 0.4 + seed * 0.4, 0.2 + 0.001 * step) for seed in (0, 1) for step in (10, 20, 30)]
    curve = pl.DataFrame(rows, schema=["method", "seed", "step", "source", "target"], orient="row")
    curve = curve.with_columns((pl.col("source") - pl.col("target")).alias("gap"))
    opened = pl.DataFrame({"method": ["a"], "onset": [None]}, schema={"method": pl.String, "onset": pl.Int64})
    drawn = gap_chart(curve, opened, ["a"])
    assert ">gap (no lasting growth beyond noise)</text>" in svg(drawn)
    at_20 = gap_chart(curve, opened.with_columns(pl.lit(20).alias("onset")), ["a"])
    assert ">gap (● growth beyond noise begins)</text>" in svg(at_20)
    assert at_20.table.filter("onset").select("curve", "step").rows() == [("gap", 20)]
    bounds = {name: (part["low"].min(), part["high"].max()) for (name,), part in drawn.table.group_by("curve")}
    assert bounds["source"] == pytest.approx((0.55, 0.65))  # all means are 0.6: the interval is 2.5 to either side
    assert bounds["target"] == pytest.approx((0.21, 0.23))  # there the seeds do not differ
    assert bounds["gap"] == pytest.approx((0.368, 0.392))
