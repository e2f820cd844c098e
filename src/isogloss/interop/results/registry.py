"""Formats of results, found by listing this folder: a module with a `RESULTS_FORMAT` in it is one."""

from __future__ import annotations

from functools import cache

from isogloss.errors import unknown
from isogloss.interop.results.results_format import ResultsFormat
from isogloss.runtime.registry import discover


@cache
def results_formats() -> dict[str, ResultsFormat]:
    """Every format of results by its name."""
    return {one.name: one for one in sorted(discover(__package__, "RESULTS_FORMAT"), key=lambda one: one.name)}


def find(name: str) -> ResultsFormat:
    """The format of that name.

    Raises:
        IsoglossError: there is none.
    """
    if name not in results_formats():
        raise unknown("format of results", name, results_formats())
    return results_formats()[name]
