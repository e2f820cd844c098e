"""Which run directories are served, and under which names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from isogloss.errors import IsoglossError
from isogloss.runtime.files import given_path

NAMED = re.compile(r"([A-Za-z0-9][\w.-]{0,99})=(.+)", re.ASCII | re.DOTALL)


def named_folders(given: Sequence[str]) -> dict[str, Path]:
    """Run directories by the names of their models.

    Args:
        given: each a directory, whose last part is then the name, or `NAME=DIR`.

    Raises:
        IsoglossError: one does not exist, or two have one name.
    """
    folders: dict[str, Path] = {}
    for text in given:
        if not text.strip() or "\0" in text:
            raise IsoglossError(f"{text!r:.80} is no path; expected a run directory, or NAME=DIR")
        name, folder = _named(text)
        if not folder.is_dir():
            raise IsoglossError(f"{folder} does not exist; expected a run directory, or NAME=DIR")
        if name in folders:
            raise IsoglossError(
                f"{folders[name]} and {folder} would both be called {name!r}; name one of them: other={folder}"
            )
        folders[name] = folder
    return folders


def _named(text: str) -> tuple[str, Path]:
    """A name and a directory; one that is there as it is written has no name before it."""
    whole = given_path(text)
    named = NAMED.fullmatch(text)
    if named is None or whole.exists():
        return whole.absolute().resolve().name or "model", whole
    return named[1], given_path(named[2])
