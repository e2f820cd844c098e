"""Several processes that carry out one job in step: what they tell each other, by torch.distributed.

Whoever starts the processes (torchrun, Slurm, Ray) says in the environment where they meet. `current()` is the group in
which this process computes at the moment: alone, unless an executor says otherwise by `computing`.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from isogloss.errors import IsoglossError
from isogloss.runtime.launch import Launch
from isogloss.runtime.lost_process import lost
from isogloss.runtime.meeting import part_of, refuse_unlike

T = TypeVar("T")
NONE = (1 << 62) - 1  # of a number that is not known, where the least one is sought


class Processes:
    """A group of processes that do the same calls in the same order. This one is alone: it tells nobody anything.

    Args:
        rank: this process's number, from 0; the first one leads.
        count: of all of them.
        local: of those on this machine.
        shards: whether a backbone's weights are spread over them.
    """

    def __init__(self, rank: int = 0, count: int = 1, local: int = 1, *, shards: bool = False) -> None:
        self.rank, self.count, self.local, self.shards = rank, count, local, shards

    @property
    def leads(self) -> bool:
        """Whether it is the one that reads and writes the run directory."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1

    def sum(self, *tensors: Tensor) -> None:
        """Let each tensor be the sum of all processes' ones, the same bits in all.

        Raises:
            LostError: another process is gone.
        """

    def same(self, tensors: Sequence[Tensor]) -> None:
        """Let tensors of all processes be those of the first."""

    def any(self, flag: bool) -> bool:
        """Whether one of the processes says so."""
        return flag

    def least(self, number: int | None) -> int | None:
        """The least of all processes' numbers; None where none has one."""
        return number

    def told(self, value: Any) -> Any:
        """What the first process says; whatever the others say is not looked at."""
        return value

    def gathered(self, value: T) -> list[T]:
        """What all say, by their numbers."""
        return [value]

    def tensors(self, given: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """The first process's tensors by name, on the CPU; whatever the others give is not looked at."""
        return dict(given or {})

    def whole(self, part: Tensor, shape: torch.Size) -> Tensor:
        """All processes' parts of a tensor of that shape, put together: each has as many of its first rows."""
        return part

    def own(self, whole: Tensor) -> Tensor:
        """This process's part of a tensor: none of one with fewer rows than there are processes before it."""
        rows = -(-len(whole) // self.count)
        return whole[self.rank * rows : (self.rank + 1) * rows]


class JoinedProcesses(Processes):
    """A group that torch.distributed has joined. Numbers that are told go over the CPU, tensors where they lie."""

    def sum(self, *tensors: Tensor) -> None:
        """See `Processes`."""
        with lost():
            for tensor in tensors:
                dist.all_reduce(tensor)

    def same(self, tensors: Sequence[Tensor]) -> None:
        """See `Processes`."""
        with lost(), torch.no_grad():
            for tensor in tensors:
                whole = tensor.detach().contiguous()
                dist.broadcast(whole, 0)
                if whole.data_ptr() != tensor.data_ptr():
                    tensor.detach().copy_(whole)

    def any(self, flag: bool) -> bool:
        """See `Processes`."""
        return self._reduced(int(flag), "MAX") > 0

    def least(self, number: int | None) -> int | None:
        """See `Processes`."""
        least = self._reduced(NONE if number is None else number, "MIN")
        return None if least == NONE else least

    def _reduced(self, number: int, how: str) -> int:
        told = torch.tensor([number])
        with lost():
            dist.all_reduce(told, getattr(dist.ReduceOp, how))
        return int(told)

    def told(self, value: Any) -> Any:
        """See `Processes`."""
        told: list[Any] = [value if self.leads else None]
        with lost():
            dist.broadcast_object_list(told, 0, device=torch.device("cpu"))
        return value if self.leads else told[0]

    def gathered(self, value: T) -> list[T]:
        """See `Processes`."""
        own = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        with lost():
            dist.all_gather(sizes, torch.tensor([len(own)]))
            longest = max(int(size) for size in sizes)
            places = [torch.zeros(longest, dtype=torch.uint8) for _ in sizes]
            dist.all_gather(places, torch.cat([own, own.new_zeros(longest - len(own))]))
        return [
            pickle.loads(place[: int(size)].numpy().tobytes())  # noqa: S301 - of the same program
            for place, size in zip(places, sizes, strict=True)
        ]

    def tensors(self, given: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """See `Processes`."""
        outline = self.told([(name, one.shape, one.dtype) for name, one in (given or {}).items()])
        there = given if self.leads else None
        whole = {
            name: torch.empty(shape, dtype=dtype) if there is None else there[name].cpu()
            for name, shape, dtype in outline
        }
        self.same(list(whole.values()))
        return whole

    def whole(self, part: Tensor, shape: torch.Size) -> Tensor:
        """See `Processes`."""
        own = part.new_zeros(-(-shape[0] // self.count), *shape[1:])
        own[: len(part)] = part
        parts = [torch.empty_like(own) for _ in range(self.count)]
        with lost():
            dist.all_gather(parts, own)
        return torch.cat(parts)[: shape[0]]


ALONE = Processes()
_current = ALONE
_spreads = False


def current() -> Processes:
    """The group in which this process computes."""
    return _current


def spreads() -> bool:
    """Whether weights that are loaded now are to be spread over the processes of this one's group."""
    return _spreads


@contextmanager
def computing(processes: Processes) -> Iterator[None]:
    """While the block runs, this process computes as one of a group."""
    global _current  # noqa: PLW0603 - a process is in one group, as in torch
    before, _current = _current, processes
    try:
        yield
    finally:
        _current = before


@contextmanager
def joined(launch: Launch, store: Any, device: str, *, shards: bool = False) -> Iterator[Processes]:
    """While the block runs, torch.distributed knows this process's group.

    Args:
        launch: this process's place.
        store: where the processes meet: torch's, by `meeting_place`, or a part of it that nothing else has used.
        device: what the spec says of it; of a GPU each process of a machine takes its own.
        shards: see `Processes`.

    Raises:
        IsoglossError: there is no such device for each process, or they are too unlike.
        LostError: not all came.
    """
    if dist.is_initialized():
        raise IsoglossError(
            "torch.distributed is at work in this process already; leave init_process_group to isogloss, or call "
            "destroy_process_group before"
        )
    gpu = _takes_gpu(launch, device)
    backend = "cpu:gloo,cuda:nccl" if gpu else "gloo"
    global _spreads  # noqa: PLW0603 - as above
    with lost():
        given = {"device": "cuda" if gpu else "cpu", "executor.shard": str(shards).lower()}
        refuse_unlike(launch, part_of(store, "has"), given)
        dist.init_process_group(backend, store=store, rank=launch.rank, world_size=launch.count)
    _spreads = shards
    try:
        yield JoinedProcesses(launch.rank, launch.count, launch.local_count, shards=shards)
    finally:
        _spreads = False
        dist.destroy_process_group()


def _takes_gpu(launch: Launch, device: str) -> bool:
    """Let each process of a machine compute on a GPU of its own, where GPUs are meant.

    Raises:
        IsoglossError: the device is one that processes cannot share, or there are fewer GPUs than processes.
    """
    kind, _, number = device.partition(":")
    if number and launch.local_count > 1:
        raise IsoglossError(
            f"device: {device} is one GPU, and {launch.local_count} processes of this machine would share it; set auto "
            "or cuda, by which each takes its own"
        )
    there = torch.cuda.is_available()
    if kind == "mps" or (kind == "auto" and not there and torch.backends.mps.is_available()):
        raise IsoglossError(
            "device: mps, which is this machine's GPU, computes in one process only; set cpu, or start one process"
        )
    if kind == "cpu" or not there:
        return False
    if not number:
        if launch.local_count > (gpus := torch.cuda.device_count()):  # all refuse, as one of them says so
            raise IsoglossError(
                f"{launch.local_count} processes were started on a machine with {gpus} GPUs, and each takes one; "
                f"start {gpus} (--nproc-per-node {gpus}), or set `device: cpu`"
            )
        torch.cuda.set_device(launch.local_rank)  # what `cuda` means from now on
    return True
