"""Executors, found by listing this folder: a module with an `EXECUTOR` in it is one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from isogloss.errors import unknown
from isogloss.experiment.job import Executor
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


def executor(given: Mapping[str, Any], name: str | None = None) -> Executor:
    """The executor that a spec asks for.

    Args:
        given: its name and settings, as the spec has them.
        name: of another one, which the spec's settings are then none of; None: as the spec says.

    Raises:
        IsoglossError: there is none of that name, a setting of it is wrong, or what it needs is not installed.
    """
    own = given.get("name")
    kind = find(name or own or DEFAULT)
    settings = {} if name is not None and own not in {None, name} else {**given}
    settings.pop("name", None)
    return kind(check(kind.Settings, settings, where="executor"))
