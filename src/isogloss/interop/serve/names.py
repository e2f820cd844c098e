"""Which run directories are served, and under which names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from isogloss.errors import IsoglossError
from isogloss.interop.hub import local_run_directory
from isogloss.runtime.files import given_path

NAMED = re.compile(r"([A-Za-z0-9][\w.-]{0,99})=(.+)", re.ASCII | re.DOTALL)


def named_folders(given: Sequence[str]) -> dict[str, Path]:
    """Run directories by the names of their models.

    Args:
        given: each a run directory, an export, or the name of an export on the hub, whose last part is then the
            model's name; or `NAME=` and one of these.

    Raises:
        IsoglossError: one does not exist, or two have one name.
    """
    folders: dict[str, Path] = {}
    for text in given:
        if not text.strip() or "\0" in text:
            raise IsoglossError(f"{text!r:.80} is no path; expected a run directory, or NAME=DIR")
        name, written = _named(text)
        folder = local_run_directory(given_path(written), written)
        if not folder.is_dir():
            raise IsoglossError(f"{folder} does not exist; expected a run directory, or NAME=DIR")
        if name in folders:
            raise IsoglossError(
                f"{folders[name]} and {folder} would both be called {name!r}; name one of them: other={folder}"
            )
        folders[name] = folder
    return folders


def _named(text: str) -> tuple[str, str]:
    """A model's name and where it lies; what is there as it is written has no name before it."""
    whole, named = given_path(text), NAMED.fullmatch(text)
    if named is not None and not whole.exists():
        return named[1], named[2]
    name = whole.resolve().name
    return (name if whole.exists() else name.partition("@")[0]) or "model", text
