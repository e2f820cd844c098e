"""Analyses, found by listing this folder: a module with an `ANALYSIS` in it is one."""

from __future__ import annotations

from functools import cache

from isogloss.analysis.analysis import Analysis
from isogloss.runtime.registry import discover


@cache
def analyses() -> dict[str, Analysis]:
    """Every analysis by its name, those that only read tables first."""
    modules: list[Analysis] = discover(__package__, "ANALYSIS")
    return {analysis.name: analysis for analysis in sorted(modules, key=lambda one: (one.computes, one.name))}
