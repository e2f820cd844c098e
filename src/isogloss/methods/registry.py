"""Methods, found by listing this folder: a module with a `METHOD` in it is one."""

from __future__ import annotations

from functools import cache
from typing import Any

from isogloss.errors import unknown
from isogloss.methods.method import Method
from isogloss.runtime.registry import discover


@cache
def methods() -> dict[str, Method[Any, Any]]:
    """Every method by its name."""
    return {method.name: method for method in sorted(discover(__package__, "METHOD"), key=lambda method: method.name)}


def find(name: str) -> Method[Any, Any]:
    """The method of that name.

    Raises:
        IsoglossError: there is none.
    """
    if name not in methods():
        raise unknown("method", name, methods())
    return methods()[name]
