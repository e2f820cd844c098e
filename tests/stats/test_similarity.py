"""Retrieval, cosines, isotropy and CKA against plain NumPy."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isogloss.stats.similarity import _hsic, cosines, isotropy, linear_cka, retrieval


def states(seed, n=7, width=5):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(4, 7), st.integers(1, 9))
def test_hsic_is_the_mean_over_quadruples(seed, n, width):
    """The unbiased estimator by its definition: over all pairs, triples and quadruples of different texts."""
    given = [states(seed + more, n, width + more).double().numpy() for more in (0, 2)]
    k, m = grams = [(x - x.mean(0)) @ (x - x.mean(0)).T for x in given]
    pairs, triples, quads = (list(itertools.permutations(range(n), size)) for size in (2, 3, 4))
    expected = np.mean([k[i, j] * m[i, j] for i, j in pairs])
    expected += np.mean([k[i, j] * m[q, r] for i, j, q, r in quads])
    expected -= 2 * np.mean([k[i, j] * m[i, q] for i, j, q in triples])
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


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 9))
def test_cosines_are_those_of_a_loop(seed, n):
    x, y = states(seed, n), states(seed + 1, n)
    cosine = np.array([[float(a @ b / a.norm() / b.norm()) for b in y] for a in x])
    same, others = cosines(x, y)
    assert same == pytest.approx(np.trace(cosine) / n, abs=1e-6)
    assert others == pytest.approx(cosine[~np.eye(n, dtype=bool)].mean(), abs=1e-6)
    assert cosines(x, 3 * x)[0] == pytest.approx(1)


def test_a_single_text_has_no_other():
    same, others = cosines(states(0, 1), states(1, 1))
    assert np.isfinite(same)
    assert np.isnan(others)


def isoscore(points):
    """Algorithm 1 of the paper, step by step."""
    n = points.shape[1]
    diagonal = np.linalg.eigvalsh(np.cov(points.T))
    normalised = np.sqrt(n) * diagonal / np.linalg.norm(diagonal)
    defect = np.linalg.norm(normalised - 1) / np.sqrt(2 * (n - np.sqrt(n)))
    used = (n - defect**2 * (n - np.sqrt(n))) ** 2 / n**2
    return (n * used - 1) / (n - 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 30), st.integers(2, 12))
def test_isotropy_is_isoscore(seed, n, width):
    x = states(seed, n, width) * torch.arange(1, width + 1) + 5
    assert isotropy(x) == pytest.approx(isoscore(x.double().numpy()), abs=1e-6)
    turn = torch.linalg.qr(states(seed, width, width))[0]
    assert isotropy(x @ turn * 7) == pytest.approx(isotropy(x), abs=1e-4)


def test_isotropy_of_so_many_like_directions_is_known():
    """Of k directions of n it is (k - 1) / (n - 1): the paper's reading of its score."""
    width = 6
    for used in range(1, width + 1):
        axes = torch.eye(width)[:used]
        assert isotropy(torch.cat([axes, -axes])) == pytest.approx((used - 1) / (width - 1), abs=1e-9)
    assert np.isnan(isotropy(torch.ones(4, 3)))
