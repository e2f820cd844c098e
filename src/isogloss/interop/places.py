"""What may be published of settings: a path of this machine stands there as the name of what it leads to."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from isogloss.store import RunRecord, label_of


def without_places(value: Any) -> Any:
    """A value, and whatever is in it, with names in place of absolute paths."""
    if isinstance(value, dict):
        return {key: without_places(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(one) for one in value]
    if isinstance(value, str):
        for kind in (PurePosixPath, PureWindowsPath):
            path = kind(value)
            if path.is_absolute() or value.startswith("~"):
                return path.name or "folder"
    return value


def label(record: RunRecord) -> str:
    """What a cell's method may be called elsewhere, where a path tells its variant from others."""
    return label_of(record.name, without_places(record.variant).items())
