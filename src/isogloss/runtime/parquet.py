"""Parquet files of which nothing is known but their name: read whole, never as a pattern of names."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl
from polars.exceptions import PanicException, PolarsError

from isogloss.errors import IsoglossError
from isogloss.runtime.files import read_bytes


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
    try:
        with _panics_unheard():
            return pl.read_parquet(io.BytesIO(content), glob=False)
    except PanicException as error:
        if "KeyboardInterrupt" in str(error):
            raise KeyboardInterrupt from error
        raise IsoglossError(f"{path} could not be read: it is no whole Parquet file") from error
    except (PolarsError, ValueError, OSError, MemoryError) as error:
        why = str(error).split("\n", 1)[0]
        raise IsoglossError(f"{path} could not be read: {why}") from error


@contextmanager
def _panics_unheard() -> Iterator[None]:
    """What polars writes to the standard error of the process where it did not expect a file to be as it is."""
    try:
        kept = os.dup(2)
    except OSError:  # there is none
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
