"""Trackers, found by listing this folder: a module with a `TRACKER` in it is one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

from isogloss.errors import IsoglossError, install, unknown
from isogloss.runtime.checked import check
from isogloss.runtime.registry import discover
from isogloss.trackers.tracker import Tracker


@cache
def trackers() -> dict[str, Tracker]:
    """Every tracker by its name."""
    return {tracker.name: tracker for tracker in discover(__package__, "TRACKER")}


def find(name: str) -> Tracker:
    """The tracker of that name.

    Raises:
        IsoglossError: there is none.
    """
    if name not in trackers():
        raise unknown("tracker", name, trackers())
    return trackers()[name]


def settings_of(named: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The settings of each tracker that a spec names.

    Raises:
        IsoglossError: a tracker or a setting is unknown or wrong.
    """
    return {name: check(find(name).settings, dict(raw), where=name) for name, raw in named.items()}


def refuse_lacking(names: Iterable[str]) -> None:
    """Refuse trackers whose library is not here, before anything is trained.

    Raises:
        IsoglossError: one is not.
    """
    for name in names:
        tracker = find(name)
        if find_spec(tracker.module) is None:
            raise IsoglossError(
                f"track: {name} needs {tracker.module}, which is not installed; {install(tracker.extra)}"
            )
