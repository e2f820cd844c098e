"""The same bits twice, on a GPU too, where a spec asks for it: torch's switches, for as long as something is computed.

On a CPU nothing is switched that is not so already. On a GPU sums are then added in one order: torch takes slower ways,
or says that it has none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from isogloss.errors import IsoglossError

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
CUBLAS_SAME = (":4096:8", ":16:8")  # under which cuBLAS adds in one order; it reads them once, when CUDA starts
NO_WAY = "does not have a deterministic implementation"  # in torch's own words


@contextmanager
def deterministic(wanted: bool, device: str = "auto") -> Iterator[None]:
    """Compute so that the same gives the same bits again; afterwards torch is as it was.

    Args:
        wanted: whether to.
        device: what the spec says of it.

    Raises:
        IsoglossError: CUDA has been started in a way that rules it out, or torch knows no such way for an operator.
    """
    if not wanted:
        yield
        return
    if device.partition(":")[0] in {"auto", "cuda"} and torch.cuda.is_available():
        _prepare_cublas()
    uninitialised: Any = torch.utils.deterministic
    cudnn = torch.backends.cudnn
    before = (
        torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(),
        uninitialised.fill_uninitialized_memory, cudnn.benchmark, cudnn.deterministic,
    )  # fmt: skip
    torch.use_deterministic_algorithms(True)
    # What is read before it is written would be a fault; to fill all memory is to pay for one that is not there.
    uninitialised.fill_uninitialized_memory = False
    cudnn.benchmark, cudnn.deterministic = False, True  # a kernel that is chosen by its time may be another one
    try:
        yield
    except RuntimeError as error:
        if NO_WAY not in str(error):
            raise
        operator = str(error).partition(NO_WAY)[0].strip()
        raise IsoglossError(
            f"deterministic: {operator} has no way on this device that gives the same bits twice; "
            "set `deterministic: false`"
        ) from error
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        uninitialised.fill_uninitialized_memory = before[2]
        cudnn.benchmark, cudnn.deterministic = before[3:]


def _prepare_cublas() -> None:
    given = os.environ.get(CUBLAS)
    if given in CUBLAS_SAME:
        return
    if given is not None or torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        came = f"is {given!r}" if given is not None else "was not set when CUDA was started"
        raise IsoglossError(
            f"deterministic: {CUBLAS} {came}; expected {' or '.join(CUBLAS_SAME)}: set it before the program begins, "
            "or set `deterministic: false`"
        )
    os.environ[CUBLAS] = CUBLAS_SAME[0]  # it stays: cuBLAS goes on by it
