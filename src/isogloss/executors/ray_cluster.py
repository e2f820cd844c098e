"""The Ray cluster that is joined, or started on this machine, and what it has."""

from __future__ import annotations

import logging
import os
import re
import socket
import time
import warnings
from typing import Any

from isogloss import __version__
from isogloss.errors import IsoglossError
from isogloss.executors.ray_settings import RaySettings
from isogloss.executors.ray_worker import register
from isogloss.runtime.console import LINE_EVERY, err

ANSWERS = 10.0  # seconds in which a head node has to
SHOWN = 400  # characters of what Ray says
MEND = "start one by `ray start --head`, let RAY_ADDRESS name one as host:port, or set address: local"


def connect(settings: RaySettings) -> None:
    """Join the cluster, or start one.

    Raises:
        IsoglossError: it is not there, or it could never carry out a job.
    """
    # Said before Ray is imported: what `uv run` was called with, and the folder that one is in, is not sent to workers.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    import ray

    if not ray.is_initialized():
        _initialize(settings)
    register()
    if settings.workers is None:
        _refuse_lacking(settings)


def _initialize(settings: RaySettings) -> None:
    import ray

    named = os.environ.get("RAY_ADDRESS", "")
    address: str = settings.address or ("auto" if named else "local")
    if address == "auto" and named:
        address = named
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if address == "local":
        options |= {"include_dashboard": False}
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # whoever wants to tell Ray's makers says so
    elif address != "auto":
        _refuse_silent(address)
    logging.getLogger("ray").setLevel(logging.ERROR)  # its remarks would tear the display
    try:
        with warnings.catch_warnings(action="ignore"):
            ray.init(address=address, **options)
    except Exception as error:  # whatever Ray makes of it
        why = one_line(error)
        if "ersion mismatch" in why:
            raise IsoglossError(f"executor: {why}; expected the same Python and Ray on all machines") from error
        told = "no Ray cluster could be started here" if address == "local" else "there is no Ray cluster to join"
        raise IsoglossError(f"executor: {told} ({why}); {MEND}") from error


def _refuse_silent(address: str) -> None:
    """Refuse an address at which nothing listens, of which Ray says so after minutes."""
    if "://" in address:
        raise IsoglossError(
            f"executor: RAY_ADDRESS is {address!r:.80}, Ray's client, by which jobs hand nothing back meanwhile; "
            "expected host:port of a head node, or start this on a machine of the cluster"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise IsoglossError(f"executor: RAY_ADDRESS is {address!r:.80}; expected host:port, auto or local")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise IsoglossError(
            f"executor: there is no Ray cluster to join: nothing answers at {address:.80}, which RAY_ADDRESS names "
            f"({one_line(error)}); {MEND}"
        ) from error


def _refuse_lacking(settings: RaySettings) -> None:
    """Refuse to wait for what no node could ever carry out."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    wanted = settings.wanted
    if any(all(node.get(name, 0) >= amount for name, amount in wanted.items()) for node in nodes):
        return
    grows = "Of a cluster that grows say with `workers` how many jobs it is to be given"
    lacking = [name for name, amount in wanted.items() if all(node.get(name, 0) < amount for node in nodes)]
    if not lacking:
        together = " and ".join(f"{name} {amount:g}" for name, amount in wanted.items())
        raise IsoglossError(f"executor: no node of the cluster has {together}, which a job is to take at once. {grows}")
    most = {name: max(node.get(name, 0) for node in nodes) for node in nodes for name in node}
    known = ", ".join(f"{name} {amount:g}" for name, amount in sorted(most.items()) if not _for_ray(name))
    raise IsoglossError(
        f"executor: the cluster has not {lacking[0]} {wanted[lacking[0]]:g}, which a job is to take, but on a node at "
        f"most {known or 'nothing'}. {grows}"
    )


def _for_ray(name: str) -> bool:
    """Whether a resource says only which node it is, or is memory, which jobs do not ask for."""
    return name.startswith("node:") or name in {"memory", "object_store_memory"}


def resources() -> dict[str, float]:
    """All that the cluster has."""
    import ray

    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return there


def answer(reference: Any) -> Any:
    """What a task gives, for which a worker may have to be waited for.

    Raises:
        IsoglossError: it failed.
    """
    import ray
    from ray.exceptions import RayError

    begin, said = time.monotonic(), False
    while not ray.wait([reference], timeout=1.0)[0]:
        if not said and time.monotonic() - begin >= LINE_EVERY:
            said = True
            err.print("waiting for a worker of the cluster; `ray status` shows what it lacks", soft_wrap=True)
    try:
        return ray.get(reference)
    except RayError as error:
        cause = cause_of(error)
        raise cause if isinstance(cause, IsoglossError) else not_begun(cause) from error


def cause_of(error: Exception) -> Exception:
    """What went wrong in a worker; of one that was lost, the error itself."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, Exception) else error


def is_loss(cause: Exception) -> bool:
    """Whether a worker or its node was lost; not where what is sent cannot be read there, or its packages are wrong."""
    from ray.exceptions import RayError, RaySystemError, RuntimeEnvSetupError

    return isinstance(cause, RayError) and not isinstance(cause, RaySystemError | RuntimeEnvSetupError)


def not_begun(error: Exception) -> IsoglossError:
    """What is said where a worker cannot read what it is sent."""
    kind = type(error).__name__.removeprefix("RayTaskError(").removesuffix(")")
    return IsoglossError(
        f"executor: a worker could not begin ({kind}: {one_line(error)}); expected the same Python, isogloss "
        f"{__version__} and packages on all machines"
    )


def one_line(error: BaseException) -> str:
    """An error's words, without the lines of code that Ray puts behind them."""
    said, *_ = re.split(r"\n\s*traceback", str(error), maxsplit=1, flags=re.IGNORECASE)
    return (" ".join(said.split()) or type(error).__name__)[:SHOWN]
