"""When the source is learnt, as far as its own training loss tells."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

START = 5  # updates whose mean loss is where a run starts from
MEMORY = 0.02  # share of all updates over which the mean of the loss forgets
LEARNT = 0.1  # share of the starting loss at which the source counts as learnt
FIELDS = ("start", "mean", "seen", "onset")


class LossTrend:
    """The exponential mean of each run's training loss, and the onset: the update before which it was learnt.

    What is seen begins with the first update of the backbone: what a head learns alone says nothing of that.
    All of it stays on the device; an onset that has not come is infinite.

    Args:
        totals: all updates of each run, where its losses will lie.
    """

    def __init__(self, totals: Float[Tensor, "K"]) -> None:
        self.totals = totals
        self.start, self.mean, self.seen = (torch.zeros_like(totals) for _ in range(3))
        self.onset = torch.full_like(totals, torch.inf)

    def see(self, loss: Float[Tensor, "K"], step: Float[Tensor, "K"], counts: Bool[Tensor, "K"]) -> None:
        """Take in an update's losses.

        Args:
            loss: of each run; left out if it is not finite.
            step: updates before it.
            counts: which runs' count.
        """
        counts = counts & loss.isfinite()
        loss = torch.where(counts, loss, 0.0)
        self.seen += counts
        first = self.seen <= START
        rate = torch.where(first, 1 / self.seen.clamp(min=1), (1 / (MEMORY * self.totals + 1)).clamp(max=1.0))
        self.mean.copy_(torch.where(counts, self.mean + (loss - self.mean) * rate, self.mean))
        self.start.copy_(torch.where(first, self.mean, self.start))
        learnt = counts & ~first & (self.mean < LEARNT * self.start) & self.onset.isinf()
        self.onset.copy_(torch.where(learnt, step, self.onset))
