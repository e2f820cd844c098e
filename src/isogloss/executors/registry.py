"""Executors, found by listing this folder: a module with an `EXECUTOR` in it is one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from isogloss.errors import IsoglossError, unknown
from isogloss.experiment.job import Detachable, Executor
from isogloss.runtime.checked import check
from isogloss.runtime.registry import discover

DEFAULT = "serial"


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
        name: of another one, which the spec's settings are then none of; None: as the spec says.
        detach: its jobs are to go on without this process.

    Raises:
        IsoglossError: there is none of that name, a setting of it is wrong, what it needs is not installed, or its jobs
            end with this process.
    """
    own = given.get("name")
    kind = find(name or own or DEFAULT)
    settings = {} if name is not None and own not in {None, name} else {**given}
    settings.pop("name", None)
    if detach and not hasattr(kind, "detach"):
        able = ", ".join(one for one, other in executors().items() if hasattr(other, "detach"))
        raise IsoglossError(f"executor {kind.name} cannot detach: its jobs end with this process; expected {able}")
    chosen = kind(check(kind.Settings, settings, where="executor"))
    if isinstance(chosen, Detachable):
        chosen.detach = detach
    return chosen
