"""The drift penalty: what a run's hidden states cost for having moved from those of the pre-trained backbone.

    strength · mean over the tokens of an update of ‖h - h⁰‖² / V

h is the state behind one layer in the training pass, with its dropout and its gradient; h⁰ that of the same token of
the same text in the pre-trained backbone; V the total variance of h⁰ over the tokens of all training texts, so that a
strength means the same in models of unlike scales. h⁰ is computed in every update, by the shared backbone and no
further than that layer: it costs half of a forward pass where that is the middle one, and no memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from isogloss.errors import IsoglossError
from isogloss.preprocessing.batching import passes
from isogloss.preprocessing.features import Features
from isogloss.runtime.process_group import current
from isogloss.training.batch import Batch
from isogloss.training.run import Run
from isogloss.training.stack import Stack
from isogloss.training.train_state import TrainState

VARIANCE = "drift.variance"  # among what a checkpoint keeps of the optimiser, so that it is reckoned once a training
LEAST = 1e-12  # of a variance that divides


class DriftPenalty:
    """The penalty of one run.

    Args:
        stack: the run and its backbone, a copy of the pre-trained one.
        train_state: where the run is.
        budget: most tokens of a forward pass.
    """

    def __init__(self, stack: Stack, train_state: TrainState, *, budget: int) -> None:
        held, origin = train_state.run.settings.holds, stack.backbone.origin
        assert held is not None
        if current().shards:
            raise IsoglossError("executor: shard does not go with `drift`, which asks for the pre-trained states too")
        if origin is None:
            raise ValueError("a drift penalty needs a backbone that is a copy of the pre-trained one")
        self.tuned, self.origin, self.strength = stack.backbone, origin, held.strength
        self.layers = held.depth(self.tuned.shape.layers)
        self.variance = torch.zeros((), device=self.tuned.device)
        if VARIANCE not in train_state.optimizer:  # else it is copied from there
            self.variance.fill_(self._variance(stack, train_state.train, budget))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at the pass that is made meanwhile."""
        with self.tuned.tapped(self.layers) as self._tap:
            yield

    def __call__(self, batch: Batch) -> Float[Tensor, ""]:
        """What the pass that was last looked at adds to the loss.

        Args:
            batch: which it was of.
        """
        assert batch.packing is not None
        assert batch.token_share is not None
        now = self._tap.states().float()
        before = self.origin.states_behind(self.layers, batch.tokens, batch.packing, types=batch.types).float()
        there = batch.token_share[:, None] > 0  # not a product: what is not there may be infinite
        apart = torch.where(there, now - before, 0.0).square().sum(dim=1)
        return (apart * batch.token_share).sum() * (self.strength / self.variance.clamp(min=LEAST))

    def _variance(self, stack: Stack, features: Features, budget: int) -> float:
        """The sum over the dimensions of the variance of the pre-trained states of all tokens."""
        count, mean, apart = 0, torch.zeros(()), torch.zeros(())
        for rows in passes(features.lengths, budget=budget):
            batch = stack.collated([(features, rows)], None)
            assert batch.packing is not None
            states = self.origin.states_behind(self.layers, batch.tokens, batch.packing, types=batch.types).float()
            own, centre = (part.cpu().double() for part in torch.var_mean(states, dim=0, correction=0))
            # Chan et al.'s way to put two means and variances together.
            new = len(states)
            apart = apart + own * new + (centre - mean).square() * (count * new / (count + new))
            mean = mean + (centre - mean) * (new / (count + new))
            count += new
        return float(apart.sum() / count)


def held(run: Run) -> bool:
    """Whether a run has such a penalty."""
    return run.settings.holds is not None
