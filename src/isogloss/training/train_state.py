"""One run's own way through training: its order of data, rates and selection."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isogloss.methods.settings import MeanOfUpdates
from isogloss.preprocessing.batching import order
from isogloss.preprocessing.features import Features
from isogloss.training.monitor import MonitorSample, ParallelStates
from isogloss.training.run import Run


def updates_an_epoch(train: Features, batch_size: int) -> int:
    """How many updates see every example once; the last one may see fewer."""
    return math.ceil(len(train.of_example) / batch_size)


def updates_until(total: int, share: float) -> int:
    """How many of a training's updates a share of them is: at least one, where there are any."""
    return min(total, max(1, round(share * total)))


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
    seconds: float | None = 0.0  # that it has trained, of a stack its share; None: it is not known
    best: tuple[float, float] = (-math.inf, -math.inf)  # dev score and negative dev loss
    best_epoch: int = 0
    best_state: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    fetch: Callable[[], None] = lambda: None  # writes what is still to be written into the history
    optimizer: dict[str, Tensor] = field(default_factory=dict)  # its state, by name; where it lies, while it is used

    def __post_init__(self) -> None:
        settings = self.run.settings
        self.updates = updates_an_epoch(self.train, settings.batch_size)
        self.total = self.updates * settings.epochs
        self.groups = self.run.rates()

    def adopt(self, optimizer: dict[str, Tensor]) -> None:
        """Let the optimiser's state lie elsewhere from now on, with the values that it has."""
        for name, place in optimizer.items():
            if name in self.optimizer:
                place.copy_(self.optimizer[name])
        self.optimizer = optimizer

    def leave(self, *, copied: bool) -> None:
        """Let go of the engine that made the updates.

        Args:
            copied: whether what is this run's lies among what is others', so that it is better copied out.
        """
        self.fetch = lambda: None
        for parameter in self.run.parameters():
            parameter.grad = None
            if copied:
                parameter.data = parameter.data.clone()
        if copied:
            self.optimizer = {name: tensor.clone() for name, tensor in self.optimizer.items()}

    @property
    def epoch(self) -> float:
        """Passes over the training examples, done."""
        return self.step / self.updates

    @property
    def skipped(self) -> int:
        """Updates left out because a gradient was not finite."""
        return int(self.optimizer["skipped"]) if self.optimizer else 0

    @property
    def onset(self) -> float | None:
        """The share of the updates at which the source was learnt, if it was."""
        onset = float(self.optimizer.get("trend.onset", torch.tensor(math.inf)))
        return None if math.isinf(onset) else onset / self.total

    def log(self, **values: Any) -> None:
        """Write a row into the history; of this moment, unless it says of which."""
        blank = {"loss": None, "learning_rate": None, "metric": None, "value": None, "language": None}
        now = {"step": self.step, "epoch": self.epoch, "tokens": self.tokens}
        self.history.append({**now, **blank, **values})

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
        return of_example.of(examples)

    def factor(self) -> float:
        """What the next update's rates are multiplied by."""
        settings = self.run.settings
        warm = math.ceil(settings.warmup * self.total)
        if self.step < warm:
            return (self.step + 1) / warm
        rest = (self.step - warm) / max(1, self.total - warm)
        return {"constant": 1.0, "linear": 1 - rest, "cosine": (1 + math.cos(math.pi * rest)) / 2}[settings.decay]

    def rates(self) -> list[float]:
        """The next update's rates by group."""
        share, factor = self.step / self.total, self.factor()
        return [group.peak * factor * group.factor(share) for group in self.groups]

    def keep(self, score: float, loss: float) -> None:
        """Keep this epoch's weights if the run selects them, or their mean with those of epochs before.

        Args:
            score: of the weights as they are; after the last epoch, of a mean, of the mean itself.
            loss: of the same.
        """
        kept, epoch = self.run.settings.kept, self.step // self.updates
        if kept == "best" and not (score, -loss) > self.best:  # a score that is none is not better
            return
        if kept == "mean":
            if epoch > self.best_epoch:
                self._average(epoch)
        elif not isinstance(kept, MeanOfUpdates):
            self.best_state = self.run.state()
        self.best, self.best_epoch = (score, -loss), epoch

    def count_in(self) -> None:
        """Take the weights after an update into the mean, where the run keeps one over updates."""
        if isinstance(kept := self.run.settings.kept, MeanOfUpdates) and (number := kept.number(self.step, self.total)):
            self._average(number)

    @property
    def averages(self) -> bool:
        """Whether what it keeps is a mean, to be scored when all is trained."""
        return self.run.settings.kept not in {"best", "last"}

    @torch.no_grad()
    def _average(self, number: int) -> None:
        """Checkpoint averaging (arXiv 2305.16834), in place: beside the weights there is one copy, the mean.

        Args:
            number: of states that the mean is over, the run's as it is now included.
        """
        now = self.run.live()
        if number == 1:
            self.best_state = self.run.state()
            return
        # From a checkpoint they come on the CPU.
        mean = self.best_state = {name: self.best_state[name].to(tensor.device) for name, tensor in now.items()}
        names = [name for name, tensor in now.items() if tensor.is_floating_point()]
        if self.run.settings.kept == "mean":  # once an epoch, and to the bit as ever
            for name in names:
                mean[name].add_((now[name] - mean[name]) / number)
            return
        torch._foreach_lerp_([mean[name] for name in names], [now[name] for name in names], 1 / number)
