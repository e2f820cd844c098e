"""What can ship: chances of being wrong that come true, and what follows from them."""

import numpy as np
import pytest
from scipy import stats

from isogloss.stats.decision import (
    DONT,
    LABELS,
    LEAST_COVERAGE,
    SHIP,
    STEPS,
    SURE,
    THRESHOLD,
    SeedScores,
    decide,
    thresholds,
)
from isogloss.stats.reliability import calibration_error, reliability


def of(right, coverage=1.0):
    """Scores of (seeds, examples) that are right or wrong, with the covariance in closed form."""
    right = np.atleast_2d(np.asarray(right, dtype=float))
    covariance = np.cov(right).reshape(len(right), len(right)) / right.shape[1]
    return SeedScores(right.mean(axis=1), covariance, right.shape[1] - 1, right.shape[1], coverage)


def drawn(generator, truth, examples, seeds=1, between=0.0, alike=0.0):
    """Answers of models whose own accuracies are drawn around the truth, and which share some of their luck."""
    own = truth + between * generator.standard_normal(seeds)
    common = generator.standard_normal(examples) * np.sqrt(alike)
    latent = common + np.sqrt(1 - alike) * generator.standard_normal((seeds, examples))
    return latent < stats.norm.ppf(np.clip(own, 1e-6, 1 - 1e-6))[:, None]


@pytest.mark.parametrize(("truth", "examples"), [(0.8, 20), (0.8, 60), (0.95, 60), (0.5, 100)])
@pytest.mark.parametrize(("seeds", "between", "alike"), [(1, 0.0, 0.0), (3, 0.0, 0.6), (5, 0.02, 0.6)])
def test_of_scores_that_are_just_good_enough_few_are_called_surely_better_or_worse(
    truth, examples, seeds, between, alike
):
    generator = np.random.default_rng(1)
    chances = [
        of(drawn(generator, truth, examples, seeds, between, alike)).chance_below(truth) for _ in range(400)
    ]  # fmt: skip
    assert np.mean(np.array(chances) <= SURE) < SURE + 0.035
    assert np.mean(np.array(chances) >= 1 - SURE) < SURE + 0.035


@pytest.mark.parametrize(("seeds", "between"), [(2, 0.05), (2, 0.1), (3, 0.05), (3, 0.1)])
def test_small_chances_come_true_no_more_often_than_they_say(seeds, between):
    """Two seeds that happen to agree are no proof that a third would."""
    generator = np.random.default_rng(1)
    chances = [of(drawn(generator, 0.8, 200, seeds, between, 0.6)).chance_below(0.8) for _ in range(400)]
    assert np.mean(np.array(chances) <= 0.001) <= 0.01


def test_a_chance_is_no_smaller_than_the_interval_has_it():
    scores = SeedScores(np.array([0.80, 0.82]), np.full((2, 2), 0.0002) + np.eye(2) * 0.0004, 199, 200)
    low, _ = scores.interval
    assert scores.chance_below(low) >= 0.025 - 1e-9


def test_a_chance_is_that_of_a_score_test_and_of_all_right_the_exact_one():
    right = np.repeat([1, 0], [90, 10])
    ratio = (0.9 - 0.8) / np.sqrt(0.8 * 0.2 / 99)
    assert of(right).chance_below(0.8) == pytest.approx(stats.t.sf(ratio, 99), rel=1e-6)
    assert of(np.ones(12)).chance_below(0.8) == pytest.approx(0.8**12)
    assert of(np.zeros(12)).chance_below(0.8) == pytest.approx(1 - 0.2**12)
    assert of(np.ones((3, 12))).chance_below(0.8) == pytest.approx(0.8**12)


def test_more_examples_make_surer():
    chances = [of(np.repeat([1, 0], [9 * times, times])).chance_below(0.8) for times in (1, 4, 16)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > SURE > chances[-1]


def test_nothing_is_known_without_examples():
    assert SeedScores(np.array([np.nan]), np.array([[np.nan]]), 1, 0).chance_below(0.5) == 0.5


def test_a_language_is_shipped_or_not_by_chances_alone():
    good, bad = of(np.repeat([1, 0], [190, 10])), of(np.repeat([1, 0], [100, 100]))
    unsure = of(np.repeat([1, 0], [17, 3]))
    assert decide(good, {}, 0.8).decision == SHIP
    assert decide(bad, {}, 0.8).decision == DONT
    told = decide(unsure, {}, 0.8)
    assert told.decision == LABELS
    assert told.wrong == pytest.approx(1 - unsure.chance_below(0.8))
    more = of(np.tile(np.repeat([1, 0], [17, 3]), told.labels // 20 + 1))
    assert decide(more, {}, 0.8).decision == SHIP  # with as many labels it would be told
    assert told.labels > 20


def test_the_lowest_threshold_that_passes_is_taken_and_its_chance_counts_as_often_as_there_are():
    bad = of(np.repeat([1, 0], [100, 100]))
    lower, upper = of(np.repeat([1, 0], [82, 18]), 0.6), of(np.repeat([1, 0], [97, 3]), 0.5)
    told = decide(bad, {0.8: lower, 0.9: upper}, 0.8)
    assert (told.decision, told.threshold) == (THRESHOLD, 0.9)
    assert told.wrong == pytest.approx(2 * upper.chance_below(0.8))
    few = of(np.repeat([1, 0], [97, 3]), LEAST_COVERAGE / 2)
    assert decide(bad, {0.9: few}, 0.8).decision == DONT


def test_looking_at_many_thresholds_ships_no_more_than_one_would():
    """Confidence says nothing, and every threshold leaves a score that is just not good enough."""
    generator, shipped = np.random.default_rng(2), 0
    for _ in range(400):
        right, confidence = generator.random(150) < 0.8, generator.random(150)
        above = {
            threshold: of(right[confidence >= threshold], float((confidence >= threshold).mean()))
            for threshold in np.linspace(0, 0.8, STEPS)
        }
        shipped += decide(of(right), above, 0.8).decision in {SHIP, THRESHOLD}
    assert shipped / 400 < 2 * SURE + 0.02  # that of all answers, and that of the thresholds together


def test_thresholds_begin_at_what_is_good_enough_and_go_half_the_way_to_one():
    assert thresholds(0.8) == pytest.approx([0.8, 0.9, 0.95, 0.975, 0.9875])


def test_reliability_is_in_bins_that_hold_their_upper_end():
    table = reliability(np.array([0.05, 0.1, 0.11, 1.0]), np.array([0.0, 1.0, 1.0, 1.0]))
    assert table.select("low", "n", "right").rows() == [(0.0, 2, 0.5), (0.1, 1, 1.0), (0.9, 1, 1.0)]
    assert calibration_error(table) == pytest.approx((2 * abs(0.075 - 0.5) + abs(0.11 - 1)) / 4)


def test_confidence_that_is_a_chance_has_next_to_no_error():
    generator = np.random.default_rng(0)
    confidence = generator.random(200_000)
    assert calibration_error(reliability(confidence, (generator.random(200_000) < confidence).astype(float))) < 0.01
    assert calibration_error(reliability(confidence, (generator.random(200_000) < confidence**2).astype(float))) > 0.1
