"""Heads: pooling, loss and decoding, for every backbone alike.

Pooling has no weights (`pool`), scoring has (`ClassificationHead`), so that what a frozen backbone gives the head can
be computed once and kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from isogloss.tasks.verbalizer import VerbalizerHead


def inputs(
    states: Float[Tensor, "joined H"],
    at: Int[Tensor, "K U"],
    *,
    text: Int[Tensor, "N"] | None = None,
    lengths: Int[Tensor, "rows"] | None = None,
    there: Bool[Tensor, "K U"] | None = None,
) -> Float[Tensor, "K U H"]:
    """What the heads score, in float32: the state of each unit's token, or the mean of each row's tokens.

    Args:
        states: of all rows end to end, prompts included.
        at: where each unit's state stands; of means, which row.
        text: where the tokens of the texts stand, where prompts stand among them.
        lengths: tokens of each row, where a unit is the mean of a row.
        there: which units are real; the others give zeros, whatever their place holds.
    """
    if lengths is not None:
        states = pool(states if text is None else states.index_select(0, text), lengths)
    # The width is said: where rows have no unit at all, none could be inferred.
    taken = states.index_select(0, at.flatten()).float().view(*at.shape, states.shape[-1])
    return taken if there is None else taken.masked_fill(~there[..., None], 0.0)


def pool(states: Float[Tensor, "N H"], lengths: Int[Tensor, "rows"]) -> Float[Tensor, "rows H"]:
    """The mean state of each row's tokens, in float32."""
    # By segments and not by an index: no zeros to fill, and sums in an order that is always the same.
    sums: Tensor = torch.segment_reduce(states.float(), "sum", lengths=lengths, unsafe=True, initial=0.0)
    return sums / lengths.clamp(min=1)[:, None]


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
    given: Float[Tensor, "K U H"],
    wording: Int[Tensor, "K U"] | None = None,
    *,
    rest: bool = False,
) -> Float[Tensor, "K U classes"]:
    """Each unit's scores by its own run's head.

    Args:
        heads: one a run, all of one kind.
        given: what they score, U units a run.
        wording: which of a verbalizer's wordings each unit has; None for linear heads.
        rest: whether a verbalizer gives the rest of the vocabulary as one more class (`VerbalizerHead`).
    """
    if isinstance(heads[0], VerbalizerHead):  # frozen, so that all runs have the same
        assert wording is not None
        scores: Tensor = heads[0](given.flatten(0, 1), wording.flatten(), rest=rest)
        return scores.view(*given.shape[:2], -1)
    linear = [head for head in heads if isinstance(head, ClassificationHead)]
    return scored(given, torch.stack([head.weight for head in linear]), torch.stack([head.bias for head in linear]))


def scored(
    given: Float[Tensor, "K U H"], weight: Float[Tensor, "K H C"], bias: Float[Tensor, "K C"]
) -> Float[Tensor, "K U C"]:
    """Scores by linear heads, each run's by its own."""
    return torch.baddbmm(bias[:, None], given, weight)


def losses(scores: Float[Tensor, "K U C"], gold: Int[Tensor, "K U"]) -> Float[Tensor, "K U"]:
    """Cross-entropy of each unit's class."""
    return nn.functional.cross_entropy(scores.flatten(0, 1), gold.flatten(), reduction="none").view(gold.shape)


def span_losses(
    scores: Float[Tensor, "K U C"], gold: Int[Tensor, "K U"], row: Int[Tensor, "K U"], rows: int
) -> Float[Tensor, "K U"]:
    """Cross-entropy of each class's unit among those of its row, averaged over classes (BERT's, section 4.2).

    Args:
        scores: of each unit for each class; of units that are not there, the lowest number.
        gold: a unit's bits: bit c is set where it is the unit of class c.
        row: which row each unit stands in, from 0.
        rows: how many there are.

    Returns:
        A row's loss, laid on the units that are right; zero elsewhere. Its sum over a row is the row's loss.
    """
    shape, scores, row = gold.shape, scores.flatten(0, 1), row.flatten()
    index = row[:, None].expand_as(scores)
    size = (rows, scores.shape[1])
    top = scores.detach().new_full(size, -torch.inf).scatter_reduce(0, index, scores.detach(), "amax")
    shifted = scores - top.index_select(0, row)
    total = scores.new_zeros(size).index_add(0, row, shifted.exp())
    chosen = (gold.flatten()[:, None] >> torch.arange(size[1], device=gold.device)) & 1
    return -((shifted - total.index_select(0, row).log()) * chosen).mean(dim=1).view(shape)
