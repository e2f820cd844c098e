"""Heads: pooling, loss and decoding, for every backbone alike.

Pooling has no weights (`pool`), scoring has (`ClassificationHead`), so that what a frozen backbone gives the head can
be computed once and kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from isogloss.backbones.backbone import Pooling
from isogloss.preprocessing.batching import Batch
from isogloss.tasks.verbalizer import VerbalizerHead


def pool(hidden: Float[Tensor, "B T H"], mask: Bool[Tensor, "B T"], how: Pooling) -> Float[Tensor, "B H"]:
    """One vector a text, in float32: its first token, its last, or the mean of its tokens."""
    if how == "first":
        return hidden[:, 0].float()
    if how == "last":
        last = mask.sum(dim=1) - 1
        return hidden[torch.arange(len(hidden), device=hidden.device), last].float()
    weights = mask.float()
    return torch.einsum("bth,bt->bh", hidden.float(), weights / weights.sum(dim=1, keepdim=True))


def inputs(hidden: Float[Tensor, "B T H"], batch: Batch, how: Pooling) -> Float[Tensor, "units H"]:
    """What the head scores, in float32: one vector a text, or the state of each word's token."""
    if batch.spots is None:
        return pool(hidden, batch.mask, how)
    return hidden[batch.spots].float()


class ClassificationHead(nn.Module):
    """One run's linear classifier over what it is to score.

    Args:
        width: H.
        classes: C.
        generator: draws the weights, normal with standard deviation 0.02 as in BERT.
    """

    def __init__(self, width: int, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, classes, generator=generator) * 0.02)
        self.bias = nn.Parameter(torch.zeros(classes))
        self.classes = classes


Head = ClassificationHead | VerbalizerHead


def logits(
    heads: Sequence[Head],
    pooled: Float[Tensor, "units H"],
    run: Int[Tensor, "units"],
    wording: Int[Tensor, "units"] | None = None,
    *,
    rest: bool = False,
) -> Float[Tensor, "units classes"]:
    """Each unit's scores by its own run's head.

    Args:
        heads: one a run, all of one kind.
        pooled: what they score, one vector (H) a unit.
        run: which head scores each unit.
        wording: which of a verbalizer's wordings each unit has; None for linear heads.
        rest: whether a verbalizer gives the rest of the vocabulary as one more class (`VerbalizerHead`).
    """
    if isinstance(heads[0], VerbalizerHead):  # frozen, so that all runs have the same
        assert wording is not None
        scores: Tensor = heads[0](pooled, wording, rest=rest)
        return scores
    if len(heads) == 1:
        return torch.addmm(heads[0].bias, pooled, heads[0].weight)
    # Run by run, because to gather each unit's own weights would take (units, H, C).
    scores = pooled.new_zeros(len(pooled), heads[0].bias.shape[0])
    for k, head in enumerate(heads):
        assert isinstance(head, ClassificationHead)
        of_run = (run == k).nonzero().squeeze(1)  # which units
        scores = scores.index_copy(0, of_run, torch.addmm(head.bias, pooled[of_run], head.weight))
    return scores


def losses(scores: Float[Tensor, "units C"], gold: Int[Tensor, "units"]) -> Float[Tensor, "units"]:
    """Cross-entropy of each unit's class."""
    return nn.functional.cross_entropy(scores, gold, reduction="none")


def span_losses(
    scores: Float[Tensor, "units C"], gold: Int[Tensor, "units"], row: Int[Tensor, "units"]
) -> Float[Tensor, "units"]:
    """Cross-entropy of each class's unit among those of its row, averaged over classes (BERT's, section 4.2).

    Args:
        scores: of each unit for each class.
        gold: a unit's bits: bit c is set where it is the unit of class c.
        row: which row each unit stands in, from 0.

    Returns:
        A row's loss, laid on the units that are right; zero elsewhere. Its sum over a row is the row's loss.
    """
    index = row[:, None].expand_as(scores)
    rows = (int(row.max()) + 1, scores.shape[1])
    top = scores.detach().new_full(rows, -torch.inf).scatter_reduce(0, index, scores.detach(), "amax")
    shifted = scores - top[row]
    total = scores.new_zeros(rows).index_add(0, row, shifted.exp())
    chosen = (gold[:, None] >> torch.arange(scores.shape[1], device=gold.device)) & 1
    return -((shifted - total.log()[row]) * chosen).mean(dim=1)
