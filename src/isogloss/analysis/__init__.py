"""Analyses, found by listing this folder: a module with an `ANALYSIS` in it is one.

One file each: tables in, tables and figures out.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from isogloss.analysis.findings import Analysis

__all__ = ["Analysis", "analyses"]


@cache
def analyses() -> dict[str, Analysis]:
    """Every analysis by its name, those that only read tables first."""
    found: list[Analysis] = []
    for module in pkgutil.iter_modules(__path__):
        own = getattr(importlib.import_module(f"{__name__}.{module.name}"), "ANALYSIS", None)
        if own is not None:
            found.append(own)
    return {own.name: own for own in sorted(found, key=lambda own: (own.computes, own.name))}
