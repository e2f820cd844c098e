"""Parquet files of which nothing is known but their name: read whole, never as a pattern of names."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl
from polars.exceptions import PanicException

from isogloss.errors import IsoglossError
from isogloss.runtime.files import read_bytes
from isogloss.runtime.parquet_pages import check_pages

MAGIC = b"PAR1"  # at both ends of a whole file
SHOWN = 200  # characters of what polars says


def read_parquet(path: Path, written: Container[str] | None = None) -> pl.DataFrame:
    """A table.

    It is read from memory: polars would take the brackets in a path for a pattern, and a file that shrinks while it is
    mapped ends the process.

    Args:
        path: of a file.
        written: sha256 of what was written there; None: it is not known. A flipped bit makes other numbers of a table,
            or ends the process where it is read.

    Raises:
        MissingError: there is none.
        IsoglossError: it cannot be read, or is not what was written.
    """
    content = read_bytes(path)
    if written is not None and hashlib.sha256(content).hexdigest() not in written:
        raise IsoglossError(f"{path} could not be read: it is not the file that was written")
    if not (content.startswith(MAGIC) and content.endswith(MAGIC)):
        raise IsoglossError(f"{path} is not Parquet, or is cut off")
    with one_line_of(path):
        check_pages(content)
        return pl.read_parquet(io.BytesIO(content), glob=False)


@contextmanager
def one_line_of(path: Path) -> Iterator[None]:
    """What polars makes of a damaged file is an error of that file, in one line and not on the terminal besides.

    Raises:
        IsoglossError: something was wrong with it.
    """
    try:
        with _panics_unheard():
            yield
    except MemoryError:
        raise
    # What a damaged file leads to has no common class, and what panics in Rust is no Exception.
    except (Exception, PanicException) as error:
        if "KeyboardInterrupt" in str(error):
            raise KeyboardInterrupt from error
        why = [*str(error).splitlines(), "unreadable"][0][:SHOWN]
        raise IsoglossError(f"{path} is not Parquet, or is damaged: {why}") from error


@contextmanager
def _panics_unheard() -> Iterator[None]:
    """Keep from the terminal what Rust writes there by itself, pages of it, of a damaged file."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)
        yield
    finally:
        with suppress(OSError):
            os.dup2(kept, 2)
        os.close(kept)
