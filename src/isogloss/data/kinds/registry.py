"""Kinds of data, found by listing this folder: a module with `KINDS` in it has one or more."""

from __future__ import annotations

from functools import cache

from isogloss.data.kinds.kind import DataKind
from isogloss.runtime.registry import discover


@cache
def data_kinds() -> dict[str, DataKind]:
    """Every kind by the name that cards call it."""
    return {name: kind for kinds in discover(__package__, "KINDS") for name, kind in kinds.items()}
