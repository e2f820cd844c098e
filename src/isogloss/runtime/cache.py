"""Where isogloss keeps what it made once."""

from __future__ import annotations

import os
from pathlib import Path

from isogloss.errors import IsoglossError


def cache_folder() -> Path:
    """The user's cache: `$ISOGLOSS_CACHE`, else `isogloss` under `$XDG_CACHE_HOME`, `$HF_HOME` or `~/.cache`.

    `$HF_HOME` is where a cluster's users keep large files, because their home holds none.

    Raises:
        IsoglossError: there is no home.
    """
    try:
        if folder := os.environ.get("ISOGLOSS_CACHE"):
            return Path(folder).expanduser()
        for variable in ("XDG_CACHE_HOME", "HF_HOME"):
            if folder := os.environ.get(variable):
                return Path(folder).expanduser() / "isogloss"
        return Path.home() / ".cache" / "isogloss"
    except RuntimeError as error:
        raise IsoglossError("there is no home directory to keep a cache in; set ISOGLOSS_CACHE to a folder") from error


def frames_folder() -> Path:
    """Where examples lie that were given from Python."""
    return cache_folder() / "frames"
