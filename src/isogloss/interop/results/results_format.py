"""What a format of results is: how the scores of a run directory are written as another project's tools read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from isogloss.store import Store


@dataclass(frozen=True)
class ResultsFormat:
    """One file in this folder, with an instance of this in `RESULTS_FORMAT`.

    Args:
        name: to ask for it by.
        title: what is written, for people.
        write: writes the scores of every finished cell into a folder, and says which files these are.
    """

    name: str
    title: str
    write: Callable[[Store, Path], list[Path]]
