import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.metrics import accuracy, macro_f1


def test_by_hand():
    gold, predicted = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0])
    assert accuracy(gold, predicted) == pytest.approx(3 / 5)
    # class 0: 1 hit of 2 and 2; class 1: 2 hits of 2 and 3; class 2: none of 1 and 0
    assert macro_f1(gold, predicted) == pytest.approx((2 / 4 + 4 / 5 + 0) / 3)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=50))
def test_against_counting(pairs):
    gold, predicted = map(np.array, zip(*pairs, strict=True))
    assert accuracy(gold, predicted) == pytest.approx(sum(g == p for g, p in pairs) / len(pairs))
    scores = []
    for label in {label for pair in pairs for label in pair}:
        hits = sum(g == p == label for g, p in pairs)
        precision = hits / max(1, sum(p == label for _, p in pairs))
        recall = hits / max(1, sum(g == label for g, _ in pairs))
        scores.append(0.0 if hits == 0 else 2 * precision * recall / (precision + recall))
    assert macro_f1(gold, predicted) == pytest.approx(sum(scores) / len(scores))
