"""One run's own way through training: its order of data, optimiser, rates and selection."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isogloss.optim.loss_trend import LossTrend
from isogloss.optim.param_groups import Progress, RateGroup
from isogloss.preprocessing.batching import order
from isogloss.preprocessing.features import Features
from isogloss.training.monitor import MonitorSample, ParallelStates
from isogloss.training.stack import Run


def updates_an_epoch(train: Features, batch_size: int) -> int:
    """How many updates see every example once; the last one may see fewer."""
    return math.ceil(len(train.of_example) / batch_size)


@dataclass(eq=False)
class TrainState:
    """One run's own way through training.

    Args:
        run: what learns.
        train: the source's training examples, truncated to this run's room.
        dev: the source's development examples, truncated to this run's room; the only data that selection sees.
        metric: what is selected on.
        score: that metric, from the scores (units, C) of `dev`.
        sample: what is looked at in training, if anything; never selected on.
        parallel: parallel sentences to look at after each epoch; never selected on.
    """

    run: Run
    train: Features
    dev: Features
    metric: str
    score: Callable[[Tensor], float]
    sample: MonitorSample | None = None
    parallel: ParallelStates | None = None
    step: int = 0  # updates done
    tokens: int = 0  # tokens of text learnt from
    skipped: int = 0  # updates left out because a gradient was not finite
    best: tuple[float, float] = (-math.inf, -math.inf)  # dev score and negative dev loss
    best_epoch: int = 0
    best_state: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    trend: LossTrend = field(default_factory=LossTrend)

    def __post_init__(self) -> None:
        settings = self.run.settings
        self.updates = updates_an_epoch(self.train, settings.batch_size)
        self.total = self.updates * settings.epochs
        # Parameters and rates by group: the head's and the rest's, matrices with decay and vectors without.
        groups = []
        for group in self.run.rates():
            common = {"rates": group, "lr": 0.0}
            matrices = [parameter for parameter in group.parameters if parameter.ndim > 1]
            vectors = [parameter for parameter in group.parameters if parameter.ndim <= 1]
            decay = settings.weight_decay if group.anchors is None else 0.0
            groups += [
                {"params": matrices, "weight_decay": decay, **common},
                {"params": vectors, "weight_decay": 0.0, **common},
            ]
        self.optimizer = torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0, fused=True)

    @property
    def shown(self) -> list[Features]:
        """All that the run reads in training, be it to learn, to select or only to be looked at."""
        seen = [self.train, self.dev]
        return seen if self.sample is None else [*seen, self.sample.features]

    def batch(self) -> np.ndarray:
        """The rows of the next update: all of each of its examples."""
        size = self.run.settings.batch_size
        begin = self.step % self.updates * size
        of_example = self.train.of_example
        examples = order(len(of_example), seed=self.run.seed, epoch=self.step // self.updates)[begin : begin + size]
        return np.concatenate([of_example[example] for example in examples])

    def factor(self) -> float:
        """What the next update's rates are multiplied by."""
        settings = self.run.settings
        warm = math.ceil(settings.warmup * self.total)
        if self.step < warm:
            return (self.step + 1) / warm
        rest = (self.step - warm) / max(1, self.total - warm)
        return {"constant": 1.0, "linear": 1 - rest, "cosine": (1 + math.cos(math.pi * rest)) / 2}[settings.decay]

    def update(self, loss: float) -> None:
        """One step of the optimiser on the gradients that are there.

        Args:
            loss: that they are of.
        """
        self._set_rates()
        if any(group["lr"] > 0 for group in self.optimizer.param_groups if group["rates"].of == "backbone"):
            self.trend.see(loss, self.step, self.total)
            self._set_rates()
        parameters = self.run.parameters()
        for group in self.optimizer.param_groups:
            if group["lr"] == 0:  # AdamW then keeps no moments either, and begins afresh when the rate rises
                for parameter in group["params"]:
                    parameter.grad = None
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.run.settings.clip)
        if bool(norm.isfinite()):
            self.optimizer.step()
            self._pull()
        else:
            self.skipped += 1
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1

    @property
    def rate(self) -> float:
        """The highest rate of the last update of anything but the head; the head's where nothing else learns."""
        groups = self.optimizer.param_groups
        rates = [float(group["lr"]) for group in groups if group["rates"].of != "head"]
        return max(rates or [float(group["lr"]) for group in groups])

    def _set_rates(self) -> None:
        progress, factor = Progress(self.step / self.total, self.trend.onset), self.factor()
        for group in self.optimizer.param_groups:
            rates: RateGroup = group["rates"]
            group["lr"] = rates.peak * factor * rates.factor(progress)

    @torch.no_grad()
    def _pull(self) -> None:
        """Weight decay towards other values than 0, decoupled from the gradient like AdamW's own."""
        rates = {id(group["rates"]): (group["rates"], group["lr"]) for group in self.optimizer.param_groups}
        for group, rate in rates.values():
            for weight, anchor in zip(group.parameters, group.anchors or [], strict=group.anchors is not None):
                weight.lerp_(anchor, min(1.0, rate * group.pull))

    def keep(self, score: float, loss: float) -> None:
        """Keep this epoch's weights if the run selects them, or their mean with those of epochs before."""
        if self.run.settings.averaged:
            self._average(score, loss, self.run.settings.averaged)
        elif self.run.settings.select == "last" or (score, -loss) > self.best:
            self.best, self.best_epoch, self.best_state = (score, -loss), self.step // self.updates, self.run.state()

    def _average(self, score: float, loss: float, share: float) -> None:
        """Checkpoint averaging (arXiv 2305.16834): after the last epoch, what is scored is the mean itself.

        Args:
            score: of this epoch's weights, or of the mean.
            loss: of the weights that the score is of.
            share: of the epochs, the last, whose weights count.
        """
        epoch, epochs = self.step // self.updates, self.total // self.updates
        if epoch > self.best_epoch:
            state, old = self.run.state(), self.best_state
            counted = epoch - epochs + math.ceil(share * epochs)
            if counted > 1:
                state = {name: old[name] + (tensor - old[name]) / counted for name, tensor in state.items()}
            self.best_state = state  # until they count, the last one stands
            self.best_epoch = epoch
        self.best = (score, -loss)
