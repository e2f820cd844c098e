"""What lies in a run directory and is not what isogloss writes there."""

from __future__ import annotations

import os
from pathlib import Path

from isogloss.errors import IsoglossError

FOLDERS = {"weights", "checkpoints", "analysis", "search", "logs", ".leases"}  # at the top


class DamagedError(IsoglossError):
    """A file of a finished cell is damaged. What other cells hold is whole.

    Args:
        file: which.
        why: what is wrong with it.
    """

    def __init__(self, file: Path, why: str) -> None:
        super().__init__(
            f"{file} is not what isogloss writes there: {why}; to train this cell anew, delete the folder "
            f"{file.parent} and run again"
        )


def refuse_strange(path: Path) -> None:
    """Refuse to write to a run directory in which something leads elsewhere.

    The directory itself may be reached through a link, and what lies in it may be a link to something else in it.

    Raises:
        IsoglossError: a link in it leads outside, or there is a file where a folder has to be.
    """
    real = Path(os.path.realpath(path))
    for name in FOLDERS:
        if (folder := path / name).exists() and not folder.is_dir():
            raise IsoglossError(f"{folder} is a file, where isogloss has a folder; move it away and run again")
    waiting = [path]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        _refuse_outside(Path(entry.path), real)
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
        except (FileNotFoundError, PermissionError):  # another process cleared it up; nobody writes there
            continue


def _refuse_outside(link: Path, real: Path) -> None:
    leads = Path(os.path.realpath(link))
    if not leads.is_relative_to(real):
        raise IsoglossError(
            f"{link} is a link that leads out of the run directory, to {leads}; nothing was written: put a copy in its "
            "place, or remove it"
        )
