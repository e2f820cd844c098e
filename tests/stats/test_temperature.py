"""Temperature scaling against a search by hand, and where there is nothing to be learnt."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from isogloss.stats.temperature import HIGHEST, LOWEST, fit_temperature


def loss(scores, gold, temperature):
    return -log_softmax(scores / temperature, axis=1)[np.arange(len(gold)), gold].mean()


def drawn(seed, *, sure, units=300, classes=5):
    """Scores of a model that is as often right as its probabilities say at temperature 1, times `sure`."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(0, 2, (units, classes))
    gold = np.array([generator.choice(classes, p=np.exp(log_softmax(row))) for row in scores])
    return (scores * sure).astype(np.float32), gold


@pytest.mark.parametrize("sure", [0.2, 1.0, 3.0, 10.0])
def test_a_model_that_is_too_sure_is_set_right(sure):
    scores, gold = drawn(0, sure=sure, units=2000)
    assert fit_temperature(scores, gold) == pytest.approx(sure, rel=0.1)


@given(st.integers(0, 1000), st.sampled_from([0.1, 1.0, 7.0]), st.integers(2, 8))
def test_no_other_temperature_has_a_smaller_loss(seed, sure, classes):
    scores, gold = drawn(seed, sure=sure, units=40, classes=classes)
    found = fit_temperature(scores, gold)
    if (scores.argmax(axis=1) == gold).all():
        assert found == 1
        return
    tried = np.exp(np.linspace(np.log(LOWEST), np.log(HIGHEST), 400))
    assert loss(scores, gold, found) <= min(loss(scores, gold, one) for one in tried) + 1e-6


def test_the_same_scores_have_the_same_temperature_and_no_answer_changes():
    scores, gold = drawn(3, sure=4.0)
    found = fit_temperature(scores, gold)
    assert found == fit_temperature(scores.copy(), gold.copy())
    assert ((scores / found).argmax(axis=1) == scores.argmax(axis=1)).all()


@pytest.mark.parametrize(
    ("scores", "gold"),
    [
        ([[3.0, 0.0], [0.0, 2.0]], [0, 1]),  # all right: the surer the better, without end
        ([[np.nan, 0.0], [0.0, 2.0]], [0, 0]),
        ([[np.inf, 0.0], [0.0, 2.0]], [0, 0]),
        ([[1.0], [2.0]], [0, 0]),
    ],
)
def test_what_does_not_tell_how_often_a_model_errs_leaves_scores_as_they_are(scores, gold):
    assert fit_temperature(np.array(scores, dtype=np.float32), np.array(gold)) == 1
    assert fit_temperature(np.empty((0, 3), dtype=np.float32), np.empty(0, dtype=np.int64)) == 1


def test_a_model_that_is_mostly_wrong_is_hardly_sure_of_anything():
    scores = np.tile(np.array([[5.0, 0.0, 0.0]], dtype=np.float32), (10, 1))
    found = fit_temperature(scores, np.array([1] * 9 + [0]))
    assert HIGHEST * 0.99 < found <= HIGHEST
