"""How alike two sets of states of the same texts are."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def retrieval(one: Float[Tensor, "N H"], other: Float[Tensor, "N H"]) -> float:
    """Share of texts whose nearest by cosine in the other set is themselves; the mean of both directions.

    The measure of Tatoeba in XTREME (Hu et al. 2020, arXiv 2003.11080, section 3), in both directions.
    """
    cosine = torch.nn.functional.normalize(one.float(), dim=1) @ torch.nn.functional.normalize(other.float(), dim=1).T
    own = torch.arange(len(cosine), device=cosine.device)
    there, back = (cosine.argmax(dim=dim) == own for dim in (1, 0))
    return float((there.float().mean() + back.float().mean()) / 2)


def linear_cka(one: Float[Tensor, "N H"], other: Float[Tensor, "N J"]) -> float:
    """Linear centered kernel alignment (Kornblith et al. 2019, arXiv 1905.00414, section 3), from 0 to 1."""
    centred = [states.double() - states.double().mean(dim=0) for states in (one, other)]
    # Gram matrices of texts, N x N: there are fewer texts than dimensions.
    first, second = (states @ states.T for states in centred)
    return float((first * second).sum() / (first.norm() * second.norm()))
