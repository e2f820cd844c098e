"""Updates as CUDA graphs: captured once a shape, compared with the plain way, and replayed.

A graph launches in one call what Python and PyTorch would launch in thousands. It reads from the memory that it was
captured with, so each update's batch is copied there first; whatever an update decides, it decides on the device. What
a graph computes is compared with the plain way before it is trusted: losses and gradients of the batch that it was
captured with, with the same dropout. Where they differ, updates of that shape go on plainly; once a capture has failed,
all updates do. What would wait for the device is found before anything is captured, since a capture that it breaks off
leaves PyTorch's generator and allocator in the middle of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from isogloss.backbones.layout import moved, to_device
from isogloss.runtime.console import err

if TYPE_CHECKING:
    from isogloss.training.engine import Engine
    from isogloss.training.plan import Plan

MOST = 8  # shapes that are tried; whatever comes after goes plainly
TOLERANCE = {torch.bfloat16: 2e-2, torch.float16: 2e-3}  # of gradients, relative to their norm; of float32: 1e-4


Recorder = Callable[[Callable[[], None]], Callable[[], None]]  # of work, what does it again; without doing it


class CudaRecorder:
    """Captures by CUDA graphs, all of which share one pool of memory: no two run at once."""

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self.stream = stream
        self.pool = torch.cuda.graph_pool_handle()
        self.broken: list[torch.cuda.CUDAGraph] = []  # kept, as the allocator may go on asking them

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        """Capture work on the stream. Other threads may do with the device as they like meanwhile."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
                work()
        except BaseException:
            self.broken.append(graph)
            self._restore()
            raise
        replay: Callable[[], None] = graph.replay
        return replay

    def _restore(self) -> None:
        """Take the generator and the allocator out of a capture that PyTorch did not end.

        The generator goes on from a state of its own, which graphs that were captured before know nothing of.
        """
        device = self.stream.device_index
        generator = torch.cuda.default_generators[device]
        generator.graphsafe_set_state(generator.clone_state())
        with suppress(RuntimeError):  # it is not recording, where all was ended as it should be
            torch._C._cuda_endAllocateToPool(device, self.pool)  # noqa: SLF001 - as `torch.cuda.use_mem_pool` does


@contextmanager
def never_waiting() -> Iterator[None]:
    """Raises a RuntimeError where the host would wait for a GPU: that could not be captured."""
    before = torch.cuda.get_sync_debug_mode()
    _watch("error")
    try:
        yield
    finally:
        _watch(before)


def _watch(mode: int | str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says each time that it does not find everything yet
        torch.cuda.set_sync_debug_mode(mode)


@dataclass(eq=False)
class Captured:
    """What is captured for one shape.

    Args:
        inputs: where it reads from, in the order of `tensors`.
        replay: does it again.
    """

    inputs: list[Tensor]
    replay: Callable[[], None]


class Graphs:
    """The captured updates of an engine.

    Args:
        engine: whose updates they are.
        record: captures; None: by CUDA graphs, on a stream of its own.
    """

    def __init__(self, engine: Engine, record: Recorder | None = None) -> None:
        self.engine = engine
        self.stream = torch.cuda.Stream(engine.device) if record is None else None  # type: ignore[no-untyped-call]
        self.record = CudaRecorder(self.stream) if self.stream is not None else record
        self.captured: dict[Any, Captured | None] = {}  # None: this shape goes plainly
        self.failed = False  # whether a capture has: nothing more is captured, nor replayed
        self.said = False  # that one does: once is enough

    def update(self, plan: Plan) -> None:
        """One update: a captured one where there is one for its shape."""
        if self.stream is None:
            self._update(plan)
            return
        around = torch.cuda.current_stream(self.engine.device)
        self.stream.wait_stream(around)
        with torch.cuda.stream(self.stream):
            self._update(plan)
        around.wait_stream(self.stream)

    def _update(self, plan: Plan) -> None:
        engine = self.engine
        engine.draw(plan)
        if len(plan.batches) == 1:  # all of it is one graph
            self._run("update", (plan.batches[0], plan.step), self._whole)
            return
        engine.begin()
        for batch in plan.batches:
            self._run("pass", (batch, plan.step), lambda given: engine.learn(*given))
        self._run("step", (plan.step,), lambda given: engine.finish(*given))

    def _whole(self, given: tuple[Any, ...]) -> None:
        batch, step = given
        self.engine.begin()
        self.engine.learn(batch, step)
        self.engine.finish(step)

    def _run(self, kind: str, given: tuple[Any, ...], work: Callable[[tuple[Any, ...]], None]) -> None:
        key, engine = (kind, form(given)), self.engine
        if key not in self.captured and len(self.captured) < MOST and not self.failed:
            self.captured[key] = self._capture(kind, given, work)
        captured = self.captured.get(key)
        if captured is None:
            engine.stack.updates["plain"] += kind != "step"
            work(moved(given, self._sent))
            return
        for place, value in zip(captured.inputs, tensors(given), strict=True):
            place.copy_(value if self.stream is None else value.pin_memory(), non_blocking=True)
        captured.replay()
        engine.stack.updates["captured"] += kind != "step"

    def _sent(self, tensor: Tensor) -> Tensor:
        return to_device(tensor, self.engine.device)

    def _capture(self, kind: str, given: tuple[Any, ...], work: Callable[[tuple[Any, ...]], None]) -> Captured | None:
        """Capture, and compare with the plain way; nothing is learnt from either."""
        engine = self.engine
        here = moved(given, lambda tensor: self._sent(tensor).clone())
        rehearsed = _unlearning(here)
        kept = engine.flat.gradients.clone(), engine.loss.clone()
        state = torch.random.get_rng_state(), torch.cuda.get_rng_state() if self.stream is not None else None

        def rewound() -> None:
            torch.random.set_rng_state(state[0])
            if state[1] is not None:
                torch.cuda.set_rng_state(state[1])

        try:
            for watched in (False, True):  # once to choose and load kernels, and once more as the measure
                engine.begin()
                rewound()
                with never_waiting() if watched and self.stream is not None else nullcontext():
                    work(rehearsed)
            plain = engine.flat.gradients.clone(), engine.loss.clone()
            engine.begin()
            assert self.record is not None
            try:
                replay = self.record(lambda: work(here))
            except BaseException:  # after which no graph that was captured before can be trusted
                self.failed, self.captured = True, dict.fromkeys(self.captured)
                raise
            inputs = tensors(here)
            meant = [tensor.clone() for tensor in inputs]
            for place, value in zip(inputs, tensors(rehearsed), strict=True):
                place.copy_(value)
            engine.begin()
            rewound()
            replay()
            difference = kind != "step" and self._difference(*plain)
            for place, value in zip(inputs, meant, strict=True):
                place.copy_(value)
        except RuntimeError as error:
            self.failed |= not isinstance(error, torch.OutOfMemoryError)  # smaller shapes may fit
            self._give_up((str(error) or type(error).__name__).splitlines()[0])
            return None
        finally:
            engine.flat.gradients.copy_(kept[0])
            engine.loss.copy_(kept[1])
            rewound()
        if difference:
            self._give_up(f"its {difference}")
            return None
        return Captured(inputs, replay)

    def _difference(self, gradients: Tensor, loss: Tensor) -> str:
        """How the last replay differs from the plain way; nothing where it does not."""
        engine = self.engine
        tolerance = TOLERANCE.get(engine.stack.backbone.dtype, 1e-4)
        off = (engine.flat.gradients - gradients).norm(dim=1) / gradients.norm(dim=1).clamp(min=1e-12)
        lost = (engine.loss - loss).abs() / loss.abs().clamp(min=1e-12)
        same = gradients.isfinite().all(dim=1) & loss.isfinite()  # of a run that diverged nothing can be said
        worst = [float(torch.where(same, part, 0.0).max()) for part in (off, lost)]
        if not max(worst) <= tolerance:
            return f"gradients differ by {worst[0]:.1e} and losses by {worst[1]:.1e} from the plain way's"
        return ""

    def _give_up(self, why: str) -> None:
        if self.said:
            return
        self.said = True
        err.print(f"a CUDA graph is not used, as {why}; these updates go on without one", markup=False, soft_wrap=True)


def _unlearning(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same with rates of 0 and a loss that counts for nothing: all is computed, and nothing learnt."""
    return tuple(
        replace(part, rates=torch.zeros_like(part.rates), counts=torch.zeros_like(part.counts))
        if hasattr(part, "rates")
        else part
        for part in given
    )


def tensors(value: Any) -> list[Tensor]:
    """All tensors of a structure, in an order of their own."""
    found: list[Tensor] = []

    def noted(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    moved(value, noted)
    return found


def form(value: Any) -> Any:
    """What of a structure is decided when it is captured: shapes, and numbers that are no tensors."""
    if isinstance(value, Tensor):
        return (tuple(value.shape), value.dtype)
    if isinstance(value, tuple):
        return tuple(form(part) for part in value)
    if hasattr(value, "__dataclass_fields__"):
        return tuple(form(getattr(value, field.name)) for field in fields(value))
    return value
