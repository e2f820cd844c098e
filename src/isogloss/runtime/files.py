"""Files and folders that appear whole or not at all, so that nobody ever reads half of one; and files read safely."""

from __future__ import annotations

import os
import select
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isogloss.errors import IsoglossError, MissingError

LARGEST = 4 << 30  # bytes of a file that is read whole
PIECE = 1 << 20
# What a system does not have, it does not need.
READ = sum(getattr(os, flag, 0) for flag in ("O_RDONLY", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """A whole file of a user's, or what a pipe or a terminal gives until its end.

    Devices, sockets and folders are no files, a pipe that nobody writes to is not waited for, and no more is read than
    fits: what a path names may be anything.

    Args:
        path: never a pattern.
        most: bytes.

    Raises:
        MissingError: there is nothing.
        IsoglossError: it is no file or stream, cannot be read, or is larger.
    """
    pieces, left = [], most + 1
    for piece in read_pieces(path, most):
        pieces.append(piece)
        left -= len(piece)
        if left <= 0:
            raise _too_large(path, most)
    return b"".join(pieces)


def read_pieces(path: Path, most: int | None = None) -> Iterator[bytes]:
    """The same piece by piece, however much there is.

    Args:
        path: never a pattern.
        most: bytes of a file, which says itself how large it is; None: any.

    Raises:
        MissingError: there is nothing.
        IsoglossError: it is no file or stream, cannot be read, or is larger.
    """
    try:
        handle = os.open(path, READ)
    except (OSError, ValueError) as error:  # ValueError: of a path with a null byte
        kind = MissingError if isinstance(error, FileNotFoundError) else IsoglossError
        raise kind(f"{path} could not be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        about = os.fstat(handle)
        if stat.S_ISDIR(about.st_mode):
            raise IsoglossError(f"{path} is a folder; expected a file")
        if not (stat.S_ISREG(about.st_mode) or stat.S_ISFIFO(about.st_mode) or os.isatty(handle)):
            raise IsoglossError(f"{path} is a device or a socket; expected a file")
        if most is not None and about.st_size > most:
            raise _too_large(path, most)
        while piece := _next_piece(handle, PIECE):
            yield piece
    except OSError as error:
        raise IsoglossError(f"{path} could not be read: {error.strerror}") from error
    finally:
        os.close(handle)


def _next_piece(handle: int, size: int) -> bytes:
    while True:
        try:
            return os.read(handle, size)
        except BlockingIOError:  # a pipe whose other end is open and silent
            select.select([handle], [], [])


def _too_large(path: Path, most: int) -> IsoglossError:
    return IsoglossError(f"{path} is larger than {most >> 20:,} MiB, the most that is read of such a file")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; it takes `path`'s place when the block ends, or vanishes if it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _flush(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`; it becomes `path` when the block ends, or vanishes if it fails.

    A finished `path` that another process made meanwhile is left in place: both hold the same.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                file.chmod(0o644)
                _flush(file)
        temporary.chmod(0o755)
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _flush(path: Path) -> None:
    """Wait until the file lies on the disk: a rename must not outlive the bytes that it names."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
