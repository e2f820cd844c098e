"""Where processes that were started together meet, and what they have to have in common before they compute."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from importlib import metadata
from typing import Any

import torch.distributed as dist

import isogloss
from isogloss.errors import IsoglossError
from isogloss.runtime.launch import Launch, host
from isogloss.runtime.lost_process import lost

PACKAGES = ("torch", "transformers")
PATIENCE = timedelta(minutes=10)  # launchers start all at about the same time
LOOK_EVERY, GRACE = 0.05, 5.0  # seconds


def meeting_place(launch: Launch) -> Any:
    """The store of keys and values at the address that the environment says, once all processes see it.

    Raises:
        LostError: it is not there, or one of them does not come.
        KeyboardInterrupt: this process was asked to stop meanwhile.
    """
    found: list[Any] = []

    def meet() -> None:
        try:
            place = dist.rendezvous("env://", launch.rank, launch.count, timeout=PATIENCE)  # type: ignore[attr-defined]
            found.append(next(place)[0])
        except Exception as error:  # noqa: BLE001 - raised below
            found.append(error)

    waiting = threading.Thread(target=meet, daemon=True)  # torch hears of no signal while it waits
    waiting.start()
    while waiting.is_alive():
        waiting.join(LOOK_EVERY)
    if isinstance(found[0], Exception):
        with lost():
            raise found[0]
    return found[0]


def part_of(store: Any, name: str) -> Any:
    """A part of such a store, in which nothing else is said."""
    return dist.PrefixStore(name, store)  # type: ignore[attr-defined]


def refuse_unlike(launch: Launch, store: Any, given: Mapping[str, str]) -> None:
    """Compare what would make processes wait for each other for good, or not understand each other.

    Args:
        launch: this process's place.
        store: a part of the meeting place that nothing else has used.
        given: what has to be the same in all, beside versions.

    Raises:
        IsoglossError: it is not; all processes raise it alike.
        RuntimeError: a process does not come.
    """
    versions = {"isogloss": isogloss.__version__, **{name: metadata.version(name) for name in PACKAGES}}
    store.set(str(launch.rank), json.dumps([host(), {**given, **versions}]))
    until = time.monotonic() + PATIENCE.total_seconds()
    of_all = []
    for rank in range(launch.count):
        if not _within(until - time.monotonic(), store, str(rank)):
            raise RuntimeError(f"process {rank} has not come")
        of_all.append(json.loads(store.get(str(rank))))
    (where, first), *others = of_all
    for rank, (there, other) in enumerate(others, start=1):
        if unlike := [
            f"{name} is {other.get(name)} and not {first[name]}" for name in first if other.get(name) != first[name]
        ]:
            _leave(launch, store)
            raise IsoglossError(
                f"process {rank} of {launch.count}, on {there}, is unlike the first, on {where}: {', '.join(unlike)}; "
                "start the same command with the same packages everywhere"
            )


def _leave(launch: Launch, store: Any) -> None:
    """Let the first process wait, but not for long, until all have seen why: the store may end with it."""
    store.set(f"left/{launch.rank}", "")
    until = time.monotonic() + GRACE
    for rank in range(launch.count if launch.rank == 0 else 0):
        _within(until - time.monotonic(), store, f"left/{rank}")


def _within(seconds: float, store: Any, key: str) -> bool:
    """Whether something stands there, within that time."""
    until = time.monotonic() + seconds
    while not store.check([key]):
        if time.monotonic() > until:
            return False
        time.sleep(LOOK_EVERY)
    return True
