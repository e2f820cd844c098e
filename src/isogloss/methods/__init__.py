"""Methods, found by listing this folder: a module with a `METHOD` in it is one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from isogloss.errors import unknown
from isogloss.methods.method import Method
from isogloss.methods.settings import Settings

__all__ = ["Method", "Settings", "find", "methods"]


@cache
def methods() -> dict[str, Method[Any, Any]]:
    """Every method by its name."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        method = getattr(importlib.import_module(f"{__name__}.{module.name}"), "METHOD", None)
        if method is not None:
            found[method.name] = method
    return dict(sorted(found.items()))


def find(name: str) -> Method[Any, Any]:
    """The method of that name.

    Raises:
        IsoglossError: there is none.
    """
    if name not in methods():
        raise unknown("method", name, methods())
    return methods()[name]
