"""A training without memory: what it would take is counted, with the code that will run, before any of it is there.

The backbone is copied onto the device `meta`, the runs are built on it as they will be, and one update goes forward and
backward over tensors that only say where they would lie (PyTorch's `FakeTensor`). So what is counted is what the
kernels of that device keep, checkpointing, prefixes and run axis included, however large it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from isogloss.backbones.attention import lay
from isogloss.backbones.backbone import Backbone
from isogloss.backbones.layout import moved
from isogloss.backbones.meta_copy import modules_of, shared_by, with_tensors
from isogloss.methods.method import Method
from isogloss.methods.settings import Settings
from isogloss.preprocessing.batching import passes
from isogloss.preprocessing.features import Features
from isogloss.runtime.process_group import Processes, computing, current
from isogloss.tasks import heads
from isogloss.tasks.verbalizer import Verbalizer
from isogloss.training.batch import collate
from isogloss.training.drift import VARIANCE
from isogloss.training.engine import Engine
from isogloss.training.memory_tracker import MemoryTracker
from isogloss.training.run import new_run
from isogloss.training.stack import Stack, room_for_states
from isogloss.training.train_state import TrainState

HELD = 1.4  # what an allocator holds for each byte of activations, as resident memory shows


@dataclass(frozen=True)
class Bytes:
    """What a training takes beside the shared backbone and the data.

    Args:
        weights: of a backbone of its own, of parameters that learn, their gradients and the optimiser's states; and
            twice of what is selected, as one epoch's is kept until the next one's is there.
        training: most that one pass and the way back keep.
        evaluation: most that a pass keeps where nothing learns.
        kept: scores, and states that are kept because they never change.
    """

    weights: int
    training: int
    evaluation: int
    kept: int

    @property
    def peak(self) -> int:
        """All that is there at once, at most."""
        return self.weights + self.kept + int(HELD * max(self.training, self.evaluation))


class MemoryEstimate:
    """A stack as it would be.

    Args:
        backbone: the shared one, without memory (`meta_copy`).
        device: where it would be.
        method: of all runs.
        settings: each run's.
        classes: what the heads tell apart.
        verbalizer: the words that are the classes, if there is one.
        seen: the words that training shows, where a method makes the backbone its own.
    """

    def __init__(
        self,
        backbone: Backbone,
        device: torch.device,
        method: Method[Any, Any],
        settings: Sequence[Settings],
        *,
        classes: int,
        verbalizer: Verbalizer | None = None,
        seen: Tensor | None = None,
    ) -> None:
        own = backbone if method.frozen else backbone.copy(seen)
        there = {_storage(tensor) for module in modules_of(backbone) for tensor in _tensors(module)}
        runs = [
            new_run(method, own, one, seed=number, classes=classes, verbalizer=verbalizer)
            for number, one in enumerate(settings)
        ]
        learnt = {_storage(weight) for run in runs for weight in run.parameters()}
        modules = [module for run in runs for module in (run.part, run.head)]
        mine = {
            _storage(tensor): tensor.untyped_storage().nbytes()
            for module in [*modules_of(own), *modules]
            for tensor in _tensors(module)
        }
        self.own = sum(size for storage, size in mine.items() if storage not in there | learnt)
        self.learnt = sum(weight.numel() * weight.element_size() for run in runs for weight in run.parameters())
        self.classes = classes
        self.device = device
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        lay(own.attention, None)
        stack = Stack(own, method, runs)
        shared = [*shared_by(own), method, verbalizer, *settings]
        origin = [] if own.origin is None else modules_of(own.origin)
        self.stack: Stack = with_tensors(stack, [*modules_of(own), *origin, *modules], self._stand_in, shared)

    def _stand_in(self, tensor: Tensor) -> Tensor:
        made: Tensor = FakeTensor(self.mode, tensor.detach().to("meta"), self.device)
        return made

    def bytes(
        self, train: Sequence[Features], read: Sequence[Features], *, budget: int, eval_budget: int, kept: bool = True
    ) -> Bytes:
        """What the stack takes.

        Args:
            train: what each run learns from.
            read: all that is scored, cut to fit.
            budget: most tokens of a training pass.
            eval_budget: most tokens of a pass of evaluation.
            kept: whether states that never change may be kept.
        """
        of_head = self.stack.head_only and kept
        width = self.stack.backbone.shape.width
        shown = {id(features): features for features in [*train, *read]}.values()
        states = [4 * width * len(one.labels) for one in shown if of_head and room_for_states(one, width)]
        scores = max((4 * len(one.labels) * self.classes for one in read), default=0)
        scores *= len(self.stack.runs) if self.stack.head_only else 1
        tables, training = self._learning(train, budget, states=of_head)
        return Bytes(
            weights=self.own + tables + 2 * self.learnt,
            training=training,
            evaluation=max((self._scoring(one, eval_budget) for one in shown), default=0),
            kept=sum(states) + scores,
        )

    def _learning(self, train: Sequence[Features], budget: int, *, states: bool) -> tuple[int, int]:
        """Bytes of what is there in all updates, and of what comes on top in the greatest one."""
        stack, live = self.stack, MemoryTracker()
        for run in stack.runs:
            run.part.train()
        train_states = [_Longest(run, one, one, "", lambda _: 0.0) for run, one in zip(stack.runs, train, strict=True)]
        with self.mode:
            width, place = stack.backbone.shape.width, stack.backbone.device
            given = {id(one): torch.empty(len(one.labels), width, device=place) for one in train if states}
            with live, computing(Processes(0, current().count)):  # all shares are about as large
                engine = Engine(stack, train_states, budget=budget, states=given)
        plan = moved(engine.plan(), self._stand_in)
        with self.mode, live:
            engine.begin()
            live.most = tables = live.now
            for batch in plan.batches[:2]:  # the longest rows, and what the first pass leaves beside them
                engine.learn(batch, plan.step)
        for run in stack.runs:
            run.part.eval()
        # A GPU's graph keeps what it was captured with, beside what the plain way takes that it is compared with.
        return tables, (live.most - tables) * (2 if engine.graphs is not None else 1)

    def _scoring(self, features: Features, budget: int) -> int:
        """Bytes of the greatest pass over some features."""
        stack, live = self.stack, MemoryTracker()
        run = stack.runs[0]
        form = stack.form([run])
        lengths = features.lengths + stack.method.positions(run.settings)
        parts = [(features, passes(lengths, budget=budget)[0])]
        laid = collate(parts, stack.backbone.packing, form, pooling=stack.pooling, ahead=stack.ahead)
        batch = moved(laid, self._stand_in)
        with self.mode, torch.no_grad(), live:
            states = stack.head_inputs(batch, stack.prompt([run]))
            heads.logits([run.head], states, batch.wording, rest=True)
        return live.most


class _Longest(TrainState):
    """A way through training whose updates are all of the longest examples."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.optimizer = {VARIANCE: torch.ones(())}  # the numbers of the texts are not there to reckon it from

    def batch(self) -> np.ndarray:
        """The rows of the longest examples."""
        examples = self.train.of_example
        lengths = np.asarray([self.train.lengths[rows].sum() for rows in examples])
        longest = np.argsort(-lengths, kind="stable")[: self.run.settings.batch_size]
        return np.concatenate([examples[example] for example in longest])


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - addresses are 0 where there is no memory
