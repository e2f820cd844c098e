"""Retrieval and CKA against plain NumPy."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.similarity import _hsic, linear_cka, retrieval


def states(seed, n=7, width=5):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(4, 12), st.integers(1, 9))
def test_hsic_is_the_mean_over_quadruples(seed, n, width):
    """The unbiased estimator by its definition: over all pairs, triples and quadruples of different texts."""
    given = [states(seed + more, n, width + more).double().numpy() for more in (0, 2)]
    k, m = grams = [(x - x.mean(0)) @ (x - x.mean(0)).T for x in given]
    pairs, triples, quads = (list(itertools.permutations(range(n), size)) for size in (2, 3, 4))
    expected = np.mean([k[i, j] * m[i, j] for i, j in pairs])
    expected += np.mean([k[i, j] * m[q, r] for i, j, q, r in quads]) if n < 8 else 0
    expected -= 2 * np.mean([k[i, j] * m[i, q] for i, j, q in triples])
    if n < 8:
        first, second = (torch.from_numpy(gram).fill_diagonal_(0) for gram in grams)
        assert float(_hsic(first, second)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_states_that_have_nothing_in_common_are_not_alike():
    found = [linear_cka(states(seed, 32, 384), states(seed + 100, 32, 384)) for seed in range(40)]
    assert abs(np.mean(found)) < 0.02
    with pytest.raises(ValueError, match="too few"):
        linear_cka(states(0, 3), states(1, 3))


def test_cka_knows_no_rotation_scale_or_shift():
    x = states(0)
    turn = torch.linalg.qr(states(1, 5, 5))[0]
    assert linear_cka(x, 3 * x @ turn + 1) == pytest.approx(1, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_retrieval_is_that_of_a_loop(seed):
    x, y = states(seed), states(seed + 1)
    cosine = np.array([[float(a @ b / a.norm() / b.norm()) for b in y] for a in x])
    there = np.mean([row.argmax() == i for i, row in enumerate(cosine)])
    back = np.mean([column.argmax() == i for i, column in enumerate(cosine.T)])
    assert retrieval(x, y) == pytest.approx((there + back) / 2)
    assert retrieval(x, 2 * x) == 1
