"""Executors, found by listing this folder: a module with an `EXECUTOR` in it is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from isogloss.errors import IsoglossError, unknown
from isogloss.experiment.job import Detachable, Executor
from isogloss.runtime.checked import check
from isogloss.runtime.launch import launch
from isogloss.runtime.registry import discover

DEFAULT = "serial"
TOGETHER = "distributed"  # of several processes that a launcher has started


@cache
def executors() -> dict[str, type[Executor]]:
    """Every executor by its name."""
    return {executor.name: executor for executor in discover(__package__, "EXECUTOR")}


def find(name: str) -> type[Executor]:
    """The executor of that name.

    Raises:
        IsoglossError: there is none.
    """
    if name not in executors():
        raise unknown("executor", name, executors())
    return executors()[name]


def executor(given: Mapping[str, Any], name: str | None = None, *, detach: bool = False) -> Executor:
    """The executor that a spec asks for.

    Args:
        given: its name and settings, as the spec has them.
        name: of another one, which the spec's settings are then none of; None: as the spec says, which left out is
            this process alone, or together with those that a launcher has started beside it.
        detach: its jobs are to go on without this process.

    Raises:
        IsoglossError: there is none of that name, a setting of it is wrong, what it needs is not installed, its jobs
            end with this process, or it is for one process and this is one of several.
    """
    own = given.get("name")
    place = launch()
    together = place is not None and place.count > 1
    kind = find(name or own or (TOGETHER if together else DEFAULT))
    if place is not None and together and kind.name != TOGETHER:
        raise IsoglossError(
            f"executor: {kind.name} is for one process, and this is one of {place.count} that were started together; "
            "leave the executor out, by which they train together, or start one process"
        )
    settings = {} if name is not None and own not in {None, name} else {**given}
    settings.pop("name", None)
    if detach and not hasattr(kind, "detach"):
        able = ", ".join(one for one, other in executors().items() if hasattr(other, "detach"))
        raise IsoglossError(f"executor {kind.name} cannot detach: its jobs end with this process; expected {able}")
    chosen = kind(check(kind.Settings, settings, where="executor"))
    if isinstance(chosen, Detachable):
        chosen.detach = detach
    return chosen


def leading(executor: Executor, device: str) -> AbstractContextManager[bool]:
    """What an experiment is run in: of several processes that carry it out together the first one runs it.

    Args:
        executor: that is asked for.
        device: of the spec.

    Returns:
        Gives whether this process runs it; the others have followed the first to its end by then.
    """
    led: Callable[[str], AbstractContextManager[bool]] | None = getattr(executor, "led", None)
    return nullcontext(True) if led is None else led(device)
