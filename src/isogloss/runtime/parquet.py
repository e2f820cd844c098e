"""Parquet files of which nothing is known but their name: read whole, never as a pattern of names."""

from __future__ import annotations

import hashlib
import io
import mmap
import os
import stat
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
from polars.exceptions import PanicException
from polars.io.plugins import register_io_source

from isogloss.errors import IsoglossError, MissingError
from isogloss.runtime.files import read_bytes
from isogloss.runtime.parquet_pages import check_pages, row_counts

MAGIC = b"PAR1"  # at both ends of a whole file
SHOWN = 200  # characters of what polars says
ROWS = 1 << 16  # of a piece that is written


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


@dataclass(frozen=True)
class ParquetGroups:
    """A file that is read a row group at a time: so much of it is in memory, and no more.

    Args:
        path: of the file, never a pattern.
        schema: its columns.
        counts: the rows of each group.
    """

    path: Path
    schema: Mapping[str, Any]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, path: Path) -> ParquetGroups:
        """A file whose headers have been looked at.

        Raises:
            MissingError: there is none.
            IsoglossError: it is no such file.
        """
        try:
            about = path.stat()
            if not stat.S_ISREG(about.st_mode):
                raise IsoglossError(f"{path} is no file; expected Parquet")
            with path.open("rb") as stream:
                if about.st_size <= 2 * len(MAGIC) or {stream.read(len(MAGIC)), _last(stream)} != {MAGIC}:
                    raise IsoglossError(f"{path} is not Parquet, or is cut off")
                with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content, one_line_of(path):
                    check_pages(content)
                    counts = tuple(row_counts(content))
        except OSError as error:
            kind = MissingError if isinstance(error, FileNotFoundError) else IsoglossError
            raise kind(f"{path} could not be read: {error.strerror}") from error
        with one_line_of(path):
            schema = dict(pl.scan_parquet(path, glob=False, hive_partitioning=False).collect_schema())
        return cls(path, schema, counts)

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows of each group, in order; of an empty file none.

        Raises:
            IsoglossError: what is read is damaged.
        """
        begin = 0
        for count in self.counts:
            with one_line_of(self.path):
                scanned = pl.scan_parquet(self.path, glob=False, hive_partitioning=False)
                frame = scanned.slice(begin, count).collect()
            yield frame
            del frame
            begin += count


def _last(stream: BinaryIO) -> bytes:
    stream.seek(-len(MAGIC), os.SEEK_END)
    return stream.read(len(MAGIC))


def write_pieces(file: Path, schema: Mapping[str, Any], parts: Iterable[pl.DataFrame]) -> None:
    """Write a table piece by piece.

    Args:
        file: where to.
        schema: of all pieces.
        parts: its rows in order, each part read when the one before is written; what fails there is raised as it is.
    """
    failed: list[BaseException] = []

    def pieces(*_: Any) -> Iterator[pl.DataFrame]:
        try:
            for part in parts:
                yield from part.iter_slices(ROWS)
        except BaseException as error:
            failed.append(error)
            raise

    try:
        register_io_source(pieces, schema=pl.Schema(schema)).sink_parquet(file, engine="streaming")
    except BaseException:  # polars makes another error of what failed within
        if failed:
            raise failed[0] from None
        raise


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
