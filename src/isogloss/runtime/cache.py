"""Where isogloss keeps what it made once."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache: `$ISOGLOSS_CACHE`, else `isogloss` under `$XDG_CACHE_HOME`, `$HF_HOME` or `~/.cache`.

    `$HF_HOME` is where a cluster's users keep large files, because their home holds none.
    """
    if folder := os.environ.get("ISOGLOSS_CACHE"):
        return Path(folder).expanduser()
    for variable in ("XDG_CACHE_HOME", "HF_HOME"):
        if folder := os.environ.get(variable):
            return Path(folder).expanduser() / "isogloss"
    return Path.home() / ".cache" / "isogloss"


def frames_folder() -> Path:
    """Where examples lie that were given from Python."""
    return cache_folder() / "frames"
