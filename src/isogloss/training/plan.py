"""What the host says of an update: its batches and, of each run, rates, seeds and what is counted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isogloss.backbones.layout import moved, to_device
from isogloss.training.batch import Batch


@dataclass(frozen=True, eq=False)
class Step:
    """What the host says of an update besides its rows.

    Args:
        rates: each run's rates by group of weights.
        before: updates of each run before it.
        counts: whether its loss tells how well the source is learnt.
        seeds: of each run's dropout.
        slot: where among the recent updates it is written down.
    """

    rates: Float[Tensor, "K groups"]
    before: Float[Tensor, "K"]
    counts: Float[Tensor, "K"]
    seeds: Int[Tensor, "K"]
    slot: Int[Tensor, "1"]

    def to(self, device: torch.device) -> Step:
        """On the device, without waiting for it."""
        return moved(self, lambda tensor: to_device(tensor, device))


@dataclass(frozen=True, eq=False)
class Plan:
    """An update, laid out on the host."""

    batches: list[Batch]
    step: Step
    seed: int  # of what is drawn inside the backbone
    tokens: list[int]  # of each run's texts
    slot: int  # among the recent updates
