"""What a Ray worker does: it opens the experiment that lies in its node's memory, and carries jobs out."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from isogloss import __version__
from isogloss.backbones.device import device_of
from isogloss.errors import IsoglossError
from isogloss.experiment.checkpoint_storage import CheckpointStorage
from isogloss.experiment.remote_job import Failure, RemoteJob
from isogloss.experiment.workspace import Workspace
from isogloss.runtime.device_memory import free_memory

NOT_NUMPY = {torch.bfloat16: torch.int16}
_open: dict[str, Workspace] = {}  # in a worker: the experiment that it was last at, by its reference


def carried_out(version: str, workspace: list[Any], remote: RemoteJob, cpus: float, gpus: float) -> Iterator[Any]:
    """A job in a worker, which goes on to the next one of the same experiment with what it has.

    Args:
        version: of isogloss, where the job comes from.
        workspace: of the experiment, a reference alone.
        remote: the job.
        cpus: its threads.
        gpus: what it may take of one.
    """
    import ray
    from ray.exceptions import RayError

    register()
    torch.set_num_threads(max(1, int(cpus)))
    try:
        refuse_another(version)
        if gpus and torch.cuda.is_available():
            torch.cuda.set_per_process_memory_fraction(min(1.0, gpus))
        (reference,) = workspace
        if reference.hex() not in _open:
            _open.clear()
            _open[reference.hex()] = ray.get(reference).arrived()
    except RayError:  # a node is lost, on which it was
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is no lost worker's, and comes again elsewhere
        yield Failure.of(error)
        return
    yield from remote.events(_open[reference.hex()])


def refuse_another(version: str) -> None:
    """Refuse to take what another isogloss has sent.

    Raises:
        IsoglossError: it is another version.
    """
    if version != __version__:
        raise IsoglossError(
            f"the worker on {socket.gethostname()} has isogloss {__version__}, and {version} sends the job; expected "
            "the same on all machines"
        )


def try_out(version: str, storage: str | None, device: str | None) -> tuple[str, int] | None:
    """In a worker, before anything is handed out: whether it could carry out a job.

    Args:
        version: of isogloss, where jobs come from.
        storage: of checkpoints.
        device: that is asked for; None: nobody asks what it has.

    Returns:
        The kind of its device, and bytes of its memory, if that was asked for.

    Raises:
        IsoglossError: it could not.
    """
    refuse_another(version)
    if storage is not None:
        CheckpointStorage(storage, []).try_out()
    return None if device is None else memory(device)


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
