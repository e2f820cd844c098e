"""What a Ray worker does: it opens the experiment that lies in its node's memory, and carries jobs out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from isogloss.backbones.device import device_of
from isogloss.experiment.remote_job import RemoteJob
from isogloss.experiment.workspace import Workspace
from isogloss.runtime.device_memory import free_memory

NOT_NUMPY = {torch.bfloat16: torch.int16}
_open: dict[str, Workspace] = {}  # in a worker: the experiment that it was last at, by its reference


def carried_out(workspace: list[Any], remote: RemoteJob, cpus: float, gpus: float) -> Iterator[Any]:
    """A job in a worker, which goes on to the next one of the same experiment with what it has."""
    import ray

    register()
    torch.set_num_threads(max(1, int(cpus)))
    if gpus and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(min(1.0, gpus))
    (reference,) = workspace
    if reference.hex() not in _open:
        _open.clear()
        _open[reference.hex()] = ray.get(reference).arrived()
    yield from remote.events(_open[reference.hex()])


def register() -> None:
    """Tensors go as arrays: all processes of a node read the same memory."""
    import ray

    for kind in (torch.Tensor, torch.nn.Parameter):
        ray.util.register_serializer(kind, serializer=_array, deserializer=_tensor)


def _array(tensor: torch.Tensor) -> tuple[np.ndarray, torch.dtype, bool | None]:
    host = tensor.detach().cpu().contiguous()
    grad = tensor.requires_grad if isinstance(tensor, torch.nn.Parameter) else None
    return host.view(NOT_NUMPY.get(host.dtype, host.dtype)).numpy(), host.dtype, grad


def _tensor(sent: tuple[np.ndarray, torch.dtype, bool | None]) -> torch.Tensor:
    array, dtype, grad = sent
    with warnings.catch_warnings(action="ignore"):  # nobody writes to a backbone that is shared
        tensor = torch.from_numpy(array).view(dtype)
    return tensor if grad is None else torch.nn.Parameter(tensor, requires_grad=grad)


def memory(device: str) -> tuple[str, int]:
    """In a worker: the kind of its device, and bytes of its memory."""
    there = device_of(device)
    if there.type == "cuda":
        return there.type, torch.cuda.get_device_properties(there).total_memory
    return there.type, free_memory(there) or 0
