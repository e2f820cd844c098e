"""Names of folders, on whatever system a run is copied to: of runs, and of backbones that are compared."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10))}
LONGEST = 100
MOST = 100  # backbones that are compared
# What lies beside the folders of backbones, without what stands behind a dot.
BESIDE = {"analysis", "checkpoints", "comparison", "environment", "history", "logs", "predictions", "report", "scores",
          "search", "spec", "weights"}  # fmt: skip
_PATH = re.compile(r"[./~\\]|[A-Za-z]:[\\/]")  # how what can only be a path begins


def check_name(text: str) -> str:
    """A run's name, where it can be a folder's on whatever system.

    Raises:
        ValueError: it cannot.
    """
    if not text.strip("."):
        raise ValueError("dots alone name a folder that is there already; expected a name for the run")
    if text.split(".", maxsplit=1)[0].upper() in RESERVED:
        raise ValueError("Windows has a device of that name; expected another name for the run")
    return text


def backbone_folder(name: str) -> str:
    """The folder of a backbone beside others that it is compared with: always the same, and readable.

    Args:
        name: a hub id, `org/model`, which becomes `org--model`, as the hub's own cache has it; of a path its last part.
    """
    is_path = _PATH.match(name) is not None or name.endswith(".gguf")
    text = Path(os.path.abspath(os.path.expanduser(name))).name if is_path else name.strip("/").replace("/", "--")  # noqa: PTH100, PTH111 - neither links nor people are looked up
    safe = re.sub(r"[^A-Za-z0-9._@=,+-]", "_", text).lstrip(".").rstrip(".") or "backbone"
    if safe != text.strip(".") or len(safe) > LONGEST:  # what had to go may have told two apart
        safe = f"{safe[:LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    first = safe.split(".", maxsplit=1)[0]
    return f"{safe}-backbone" if first.upper() in RESERVED or first.lower() in BESIDE else safe


def check_backbones(names: Sequence[str]) -> list[str]:
    """Backbones that are to be compared, each of which has a folder of its own.

    Raises:
        ValueError: two are the same, or fall on the same folder.
    """
    places, folders = dict[str, str](), dict[str, str]()
    for name in names:
        place, folder = _place(name), backbone_folder(name)
        if place in places:
            other = places[place]
            what = f"{name} is there twice" if name == other else f"{other} and {name} are the same"
            raise ValueError(f"{what}; expected each backbone once")
        if folder.casefold() in folders:  # some systems do not tell a from A
            raise ValueError(
                f"{folders[folder.casefold()]} and {name} would both be kept in a folder {folder}; compare them in two "
                "specs, or rename one of their folders"
            )
        places[place] = folders[folder.casefold()] = name
    return list(names)


def _place(name: str) -> str:
    """Where a backbone lies, if it is there; else what it is called."""
    try:
        path = Path(name).expanduser()
        return str(path.resolve()) if path.exists() else name.strip("/")
    except (OSError, RuntimeError, ValueError):  # what is wrong with it is said where it is looked up
        return name
