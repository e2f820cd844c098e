"""Readers, found by listing this folder: a module with `READERS` in it reads one format or more.

Each gives rows as dictionaries, with the line that each came from. A mistake in a file is named by file and line;
nothing is guessed or left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from isogloss.data.layouts import Local
from isogloss.data.raw_row import RawRow
from isogloss.runtime.registry import discover

Reader = Callable[..., list[RawRow]]
"""Takes a path, the columns that have to be there, and the names of all columns where the file has none."""


@cache
def readers() -> dict[str, Reader]:
    """Every reader by the name that cards call its format."""
    return {name: reader for readers in discover(__package__, "READERS") for name, reader in readers.items()}


def read_file(path: Path, columns: Sequence[str], local: Local) -> list[RawRow]:
    """The rows of one file of a folder.

    Args:
        path: the file; never a pattern.
        columns: those that have to be there.
        local: what the card says of the files.

    Raises:
        IsoglossError: it cannot be read, or is not what the card says.
    """
    dialect: dict[str, Any] = {"delimiter": local.delimiter, "quoting": local.quoting}
    given = {name: value for name, value in dialect.items() if value is not None}
    return readers()[local.format](path, columns, local.header, **given)
