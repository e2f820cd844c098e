"""Files and folders that appear whole or not at all, so that nobody ever reads half of one; and files read safely."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import select
import shutil
import socket
import stat
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from isogloss.errors import IsoglossError, MissingError

LARGEST = 4 << 30  # bytes of a file that is read whole
PIECE = 1 << 20
FLUSHED = 8  # files at once
DAY = 24 * 60 * 60  # after which a temporary file is nobody's, where its process cannot be asked for
_TEMPORARY = re.compile(r"\.(?P<name>.+)-(?P<machine>[0-9a-f]{8})-(?P<process>[0-9a-f]+)-[0-9a-f]{8}")
_OF_OTHERS = re.compile(r"\..+-[a-z0-9_]{8}|\.tmp[A-Za-z0-9]{6}")  # as isogloss called them before; of safetensors
_SYSTEM_ERROR = re.compile(r"\(os error (?P<number>\d+)\)")  # as libraries in Rust say it
# What a system does not have, it does not need.
READ = sum(getattr(os, flag, 0) for flag in ("O_RDONLY", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))


def given_path(text: str) -> Path:
    """A path as somebody wrote it: `~` is a home where a shell has left it in, as in `--out=~/runs`.

    A name that begins so and is none, as in `./~`, is made absolute: polars would take it for a home later.
    """
    path = Path(text)
    if text.startswith("~"):
        with suppress(RuntimeError):  # nobody is called so
            path = path.expanduser()
    return path.absolute() if path.parts and path.parts[0].startswith("~") else path


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
def atomic_file(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """A temporary path beside `path`; it takes `path`'s place when the block ends, or vanishes if it fails.

    Args:
        path: the file.
        lasting: whether it is waited for until it lies on the disk; not for what is worth nothing after a crash.

    Raises:
        IsoglossError: `path` is there and no regular file: a device or a folder is not replaced.
        OSError: it cannot be written, whatever library writes it; names `path`.
    """
    refuse_special(path)
    temporary = _temporary(path)
    with _named(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.name)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        mode = stat.S_IMODE(os.fstat(handle).st_mode)  # what the umask leaves
        os.close(handle)
        try:
            yield temporary
            if lasting:
                _flush(temporary)
            temporary.chmod(mode)
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, *, sweeping: bool = True) -> Iterator[Path]:
    """A temporary folder beside `path`; it becomes `path` when the block ends, or vanishes if it fails.

    A finished `path` that another process made meanwhile is left in place: both hold the same.

    Args:
        path: what it becomes.
        sweeping: whether to look first for what dead processes have left half written of it, among all beside it.

    Raises:
        OSError: it cannot be written, whatever library writes it; names `path`.
    """
    temporary = _temporary(path)
    with _named(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        if sweeping:
            sweep(path.parent, path.name)
        temporary.mkdir()
        mode = stat.S_IMODE(temporary.stat().st_mode)
        try:
            yield temporary
            files = [Path(folder, name) for folder, _, names in os.walk(temporary) for name in names]
            with ThreadPoolExecutor(FLUSHED) as threads:  # a disk is waited for as long for one file as for many
                deque(threads.map(_flush, files), maxlen=0)
            for file in files:
                file.chmod(mode & 0o666)
            try:
                temporary.rename(path)
            except OSError:
                if not path.is_dir():
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path`, for what is on its way there; it vanishes when the block ends.

    Raises:
        OSError: it cannot be made.
    """
    folder = _temporary(path)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def refuse_special(path: Path) -> None:
    """Refuse to write where there is something else than a regular file.

    Raises:
        IsoglossError: it is a folder, a device, a pipe or a socket, or leads to one.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # which writing finds out itself
        return
    except (OSError, ValueError) as error:  # such as links in a circle
        why = getattr(error, "strerror", None) or error
        raise IsoglossError(f"{path} cannot be written: {why}; expected a file or a new name") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"
        raise IsoglossError(f"{path} is {kind}; expected a file or a new name")


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove what processes that are dead have left half written in a folder, never what a living one writes.

    Args:
        folder: where to look, not in the folders inside.
        name: of the file or folder that they were to become; None: any.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") and _abandoned(entry, name):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    with suppress(OSError):
                        Path(entry.path).unlink()


def _temporary(path: Path) -> Path:
    """Its name says whose it is."""
    return path.with_name(f".{path.name}-{_machine()}-{os.getpid():x}-{secrets.token_hex(4)}")


def _abandoned(entry: os.DirEntry[str], name: str | None) -> bool:
    written = _TEMPORARY.fullmatch(entry.name)
    if written is None:
        return name is None and _OF_OTHERS.fullmatch(entry.name) is not None and _old(entry)
    if name not in {None, written["name"]}:
        return False
    if written["machine"] != _machine() or sys.platform == "win32":  # where asking for a process may end it
        return _old(entry)
    return not _alive(int(written["process"], 16))


def _old(entry: os.DirEntry[str]) -> bool:
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > DAY


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


@cache
def _machine() -> str:
    """Among whose processes ours is one: the machine, since it was started, and the container."""
    parts = [socket.gethostname()]
    for file in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with suppress(OSError):
            parts.append(Path(file).read_text(encoding="ascii") if "boot" in file else str(Path(file).stat().st_ino))
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:8]


@contextmanager
def _named(path: Path, temporary: Path) -> Iterator[None]:
    """A failure to write names the file, and is an `OSError`, which libraries in Rust know nothing of."""
    try:
        yield
    except IsoglossError:
        raise
    except BaseException as error:  # a panic in Rust is no Exception
        number = error.errno if isinstance(error, OSError) else None
        number = system_error(error) if number is None else number
        if number is None or (isinstance(error, OSError) and error.filename not in {None, str(temporary)}):
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def system_error(error: BaseException) -> int | None:
    """The number of the operating system's error that one of a library in Rust is about, if it is."""
    said = _SYSTEM_ERROR.search(str(error))
    return int(said["number"]) if said else None


def _flush(path: Path) -> None:
    """Wait until the file lies on the disk: a rename must not outlive the bytes that it names."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
