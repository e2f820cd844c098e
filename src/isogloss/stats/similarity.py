"""How alike two sets of states of the same texts are."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

FEWEST = 4  # texts that debiased CKA takes


def retrieval(one: Float[Tensor, "N H"], other: Float[Tensor, "N H"]) -> float:
    """Share of texts whose nearest by cosine in the other set is themselves; the mean of both directions.

    The measure of Tatoeba in XTREME (Hu et al. 2020, arXiv 2003.11080, section 3), in both directions.
    """
    cosine = torch.nn.functional.normalize(one.float(), dim=1) @ torch.nn.functional.normalize(other.float(), dim=1).T
    themselves = torch.arange(len(cosine), device=cosine.device)
    there, back = (cosine.argmax(dim=dim) == themselves for dim in (1, 0))
    return float((there.float().mean() + back.float().mean()) / 2)


def cosines(one: Float[Tensor, "N H"], other: Float[Tensor, "N H"]) -> tuple[float, float]:
    """Mean cosine of each text with itself in the other set, and with every other text there.

    The second is what the first has to be held against: states of whatever texts point the same way (Ethayarajh 2019,
    arXiv 1909.00512, section 4.1). It is NaN for a single text.
    """
    first, second = (torch.nn.functional.normalize(states.double(), dim=1) for states in (one, other))
    of_pairs = (first * second).sum()
    n = len(first)
    rest = first.sum(dim=0) @ second.sum(dim=0) - of_pairs
    return float(of_pairs / n), float(rest / (n * (n - 1))) if n > 1 else float("nan")


def isotropy(states: Float[Tensor, "N H"]) -> float:
    """IsoScore (Rudman et al. 2022, arXiv 2108.07344, algorithm 1): near 0 on a line, 1 where all directions are alike.

    Theirs is computed from the eigenvalues of the covariance; it comes to (R - 1) / (H - 1), R being their
    participation ratio, the square of their sum over the sum of their squares. N texts have N - 1 directions, so it is
    (N - 2) / (H - 1) at most where texts are few: values are comparable for the same N and H. NaN where all states are
    the same.
    """
    centred = states.double() - states.double().mean(dim=0)
    gram = centred @ centred.T
    ratio = gram.trace().square() / gram.square().sum()
    return float((ratio - 1) / (states.shape[1] - 1))


def linear_cka(one: Float[Tensor, "N H"], other: Float[Tensor, "N J"]) -> float:
    """Linear centered kernel alignment (Kornblith et al. 2019, arXiv 1905.00414, section 3), debiased; 1 at most.

    By the unbiased estimator of HSIC (Song et al. 2012, section 3): the plain one is near 1 for any two sets of states
    where texts are few and dimensions many.

    Raises:
        ValueError: there are fewer than four texts.
    """
    if len(one) < FEWEST:
        raise ValueError(f"{len(one)} texts are too few for CKA, which takes {FEWEST}")
    first, second = (_gram(states) for states in (one, other))
    return float(_hsic(first, second) / (_hsic(first, first) * _hsic(second, second)).sqrt())


def _gram(states: Float[Tensor, "N H"]) -> Float[Tensor, "N N"]:
    centred = states.double() - states.double().mean(dim=0)
    return (centred @ centred.T).fill_diagonal_(0)


def _hsic(first: Float[Tensor, "N N"], second: Float[Tensor, "N N"]) -> Tensor:
    n = len(first)
    cross = first.sum() * second.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (first @ second).sum()
    return ((first * second).sum() + cross) / (n * (n - 3))
