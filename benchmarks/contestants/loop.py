"""An expert's own training loop: no more than it takes, on batches of texts of like length.

Nothing here needs isogloss or PEFT: other libraries' models learn by it too, in environments of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from itertools import cycle, product
from statistics import median
from typing import Any

import torch
from torch import nn

from benchmarks.measure import seconds
from benchmarks.texts import Texts, like_lengths

ATTENTION = ("sdpa", "eager")
WARM = {"cpu": 1, "cuda": 5}  # updates
HOPELESS = 3
EVALUATED = (32, 128, 512)  # examples of one pass of evaluation that are tried


@dataclass(frozen=True)
class Way:
    """A way of computing.

    Args:
        precision: `weights` (bf16 weights), `autocast` (bf16 by torch's rules), `float32`.
        attention: transformers' name of the kernel; None: what it takes by itself.
    """

    precision: str = "float32"
    attention: str | None = None

    @property
    def dtype(self) -> torch.dtype:
        """What matrices are multiplied in."""
        return torch.float32 if self.precision == "float32" else torch.bfloat16

    @property
    def weights(self) -> torch.dtype:
        """What weights are kept in."""
        return torch.bfloat16 if self.precision == "weights" else torch.float32


def ways(method: str) -> list[Way]:
    """All that are tried; weights that learn at fine-tuning's rates stand still in bf16, so are never kept in it."""
    kept = ("float32", "autocast") if method == "fine-tuning" else ("float32", "autocast", "weights")
    return [Way(*pair) for pair in product(kept, ATTENTION)]


class Loop:
    """A model that learns by a plain loop. See `Contestant`.

    Args:
        model: transformers' model with a loss; what requires gradients learns.
        way: how it computes.
        train: examples to learn from.
        test: examples to predict.
        batch: examples of an update.
        device: where the model lies.
    """

    runs = 1

    def __init__(
        self, model: nn.Module, way: Way, train: Texts, test: Texts, *, batch: int, device: torch.device
    ) -> None:
        self.model, self.device, self.dtype, self.test = model, device, way.dtype, test
        self.way: Mapping[str, Any] = asdict(way)
        self.autocast = way.precision == "autocast"
        batches = like_lengths(train, batch, shuffled=True)
        if device.type == "cuda":
            batches = [{name: tensor.pin_memory() for name, tensor in one.items()} for one in batches]
        self.batches = cycle(batches)
        self.eval_batch = EVALUATED[0]
        self.parameters = [weight for weight in model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-3, fused=True)

    def _computing(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.autocast)

    def _sent(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}

    def train(self, updates: int) -> float:
        """See `Contestant`."""
        self.model.train()

        def work() -> None:
            for _ in range(updates):
                with self._computing():
                    loss = self.model(**self._sent(next(self.batches))).loss
                loss.backward()
                nn.utils.clip_grad_norm_(self.parameters, 1.0)
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)

        return seconds(work, self.device)

    @torch.no_grad()
    def evaluate(self) -> float:
        """See `Contestant`."""
        self.model.eval()

        def work() -> None:
            batches = like_lengths(self.test, self.eval_batch, shuffled=False)
            with self._computing():
                logits = [self.model(**self._sent(batch)).logits for batch in batches]
            torch.cat(logits).float().cpu()

        return seconds(work, self.device)

    def close(self) -> None:
        """Nothing is held outside Python."""


def fastest(build: Callable[[Way], Loop], tried: Sequence[Way]) -> Loop:
    """The loop of the way that trains fastest here, and evaluates with as many examples a pass as is fastest.

    Every way has the same batches: some to warm up, and then twice as many. One whose warm-up takes several times as
    long as the fastest's is not tried further.

    Args:
        build: a loop of a way.
        tried: the ways.
    """
    times: dict[Way, float] = {}
    failures: dict[Way, str] = {}
    quickest = math.inf  # to warm up
    for way in tried:
        try:
            loop = build(way)
            warm = WARM[loop.device.type]
            taken = loop.train(warm)
            quickest = min(quickest, taken)
            times[way] = (taken if taken > HOPELESS * quickest else loop.train(2 * warm) / 2) / warm
        except Exception as error:  # noqa: BLE001 - a model may lack a kernel; that is no way then
            failures[way] = f"{type(error).__name__}: {error}"
    if not times:
        raise RuntimeError(next(iter(failures.values())))
    loop = build(min(times, key=lambda way: times[way]))
    loop.train(1)
    sizes = [size for size in EVALUATED if size <= len(loop.test)] or [EVALUATED[0]]
    evaluated: dict[int, float] = {}
    for size in sizes if loop.device.type == "cuda" else sizes[:2]:
        loop.eval_batch = size
        evaluated[size] = median(loop.evaluate() for _ in range(2 if loop.device.type == "cuda" else 1))
    loop.eval_batch = min(evaluated, key=lambda size: evaluated[size])
    loop.way = {
        **loop.way,
        "evaluated": loop.eval_batch,
        "trial": {f"{way.precision} + {way.attention}": round(taken, 5) for way, taken in times.items()},
        "no way": {f"{way.precision} + {way.attention}": said[:200] for way, said in failures.items()},
    }
    return loop
