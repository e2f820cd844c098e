"""Retrieval and CKA against plain NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.similarity import linear_cka, retrieval


def states(seed, n=7, width=5):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(1, 9))
def test_cka_is_the_ratio_of_norms_of_covariances(seed, n, width):
    x, y = states(seed, n, width).double().numpy(), states(seed + 1, n, width + 2).double().numpy()
    x, y = x - x.mean(0), y - y.mean(0)
    expected = np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    assert linear_cka(torch.tensor(x), torch.tensor(y)) == pytest.approx(expected, rel=1e-9)


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
