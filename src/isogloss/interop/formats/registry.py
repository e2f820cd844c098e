"""Formats, found by listing this folder: a module with a `FORMAT` in it is one."""

from __future__ import annotations

from functools import cache

from isogloss.errors import unknown
from isogloss.interop.formats.format import Format
from isogloss.runtime.registry import discover


@cache
def formats() -> dict[str, Format]:
    """Every format by its name."""
    return {one.name: one for one in sorted(discover(__package__, "FORMAT"), key=lambda one: one.name)}


def find(name: str) -> Format:
    """The format of that name.

    Raises:
        IsoglossError: there is none.
    """
    if name not in formats():
        raise unknown("format", name, formats())
    return formats()[name]
