"""Checkpoints made once of files in other formats, kept in the user's cache and looked at before each use."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError

from isogloss.errors import IsoglossError
from isogloss.runtime.cache import cache_folder
from isogloss.runtime.console import err
from isogloss.runtime.files import atomic_folder

S = TypeVar("S")
MADE = "made.json"  # what a conversion wrote: its files, and the hash of the weights that a backbone has of them
LARGEST_HASHED = 64 << 20  # bytes; of larger ones, where they are weights whose hash is known, loading will tell


def converted(name: str, source: Callable[[], S], write: Callable[[S, Path], str | None]) -> Path:
    """The folder of that name in the cache, written first where it is missing or damaged.

    Args:
        name: of the folder.
        source: what is converted; asked for only where it is needed, and before anything is written.
        write: is given it and an empty folder, and says what hash the weights in it have as a backbone's, if it knows.

    Raises:
        IsoglossError: there is no room for it, or it may not be written.
    """
    path = cache_folder() / "backbones" / name
    if path.is_dir() and _whole(path):
        return path
    read = source()
    try:
        if path.exists() or path.is_symlink():
            discard(path)
        with atomic_folder(path) as temporary:
            weights = write(read, temporary)
            _record(temporary, weights)
    except (OSError, SafetensorError) as error:
        raise IsoglossError(
            f"{path} could not be written ({getattr(error, 'strerror', None) or error}); make room, or set "
            "ISOGLOSS_CACHE to a folder that has some"
        ) from error
    return path


def present(name: str) -> Path | None:
    """The folder of that name in the cache; None where it is missing or damaged. Nothing is written."""
    path = cache_folder() / "backbones" / name
    return path if path.is_dir() and _whole(path) else None


def expected(path: Path) -> str | None:
    """The hash that the weights in a converted folder have; None where it is not known."""
    weights = _made(path).get("weights")
    return weights if isinstance(weights, str) else None


def recorded(path: Path) -> bool:
    """Whether it is known what a converted folder has to hold."""
    return bool(_made(path))


def discard(path: Path) -> None:
    """Put a damaged conversion out of the way, at once: another process may be about to look at it."""
    err.print(f"{path} is damaged and is made anew", markup=False, soft_wrap=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    with suppress(FileNotFoundError):
        path.rename(aside / path.name)
    shutil.rmtree(aside, ignore_errors=True)


def _record(path: Path, weights: str | None) -> None:
    files = {
        file.name: {"bytes": file.stat().st_size, "sha256": _sha256(file)} for file in sorted(path.iterdir())
    }  # fmt: skip
    (path / MADE).write_text(json.dumps({"weights": weights, "files": files}, indent=2) + "\n", encoding="utf-8")


def _whole(path: Path) -> bool:
    """Whether all is there as it was written; a conversion of before there was a record of it is taken as it is."""
    try:
        if not (path / MADE).exists():
            return (path / "config.json").is_file()
        made = _made(path)
        later = LARGEST_HASHED if made["weights"] else 1 << 62
        return all(
            (file := path / name).stat().st_size == about["bytes"]
            and (about["bytes"] > later or _sha256(file) == about["sha256"])
            for name, about in made["files"].items()
        )
    except (OSError, KeyError, TypeError, AttributeError):
        return False


def _made(path: Path) -> dict[str, Any]:
    try:
        made = json.loads((path / MADE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return made if isinstance(made, dict) else {}


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
