"""Executors, found by listing this folder: a module with an `EXECUTOR` in it is one."""

from __future__ import annotations

from functools import cache

from isogloss.errors import unknown
from isogloss.experiment.job import Executor
from isogloss.runtime.registry import discover


@cache
def executors() -> dict[str, Executor]:
    """Every executor by its name."""
    return {executor.name: executor for executor in discover(__package__, "EXECUTOR")}


def find(name: str) -> Executor:
    """The executor of that name.

    Raises:
        IsoglossError: there is none.
    """
    if name not in executors():
        raise unknown("executor", name, executors())
    return executors()[name]
