"""When the source is learnt, as far as its own training loss tells."""

from __future__ import annotations

import math
from dataclasses import dataclass

START = 5  # updates whose mean loss is where a run starts from
MEMORY = 0.02  # share of all updates over which the mean of the loss forgets
LEARNT = 0.1  # share of the starting loss at which the source counts as learnt


@dataclass
class LossTrend:
    """The exponential mean of a run's training loss, and the onset: the share of the updates at which it was learnt.

    What is seen begins with the first update of the backbone: what a head learns alone is no reason to slow that down.
    """

    start: float = 0.0
    mean: float = 0.0
    seen: int = 0
    onset: float | None = None

    def see(self, loss: float, step: int, total: int) -> None:
        """Take in an update's loss.

        Args:
            loss: of the update; left out if it is not finite.
            step: updates before it.
            total: all that there will be.
        """
        if not math.isfinite(loss):
            return
        self.seen += 1
        if self.seen <= START:
            self.start += (loss - self.start) / self.seen
            self.mean = self.start
            return
        self.mean += (loss - self.mean) * min(1.0, 1 / (MEMORY * total + 1))
        if self.onset is None and self.mean < LEARNT * self.start:
            self.onset = step / total
