"""Lines of text as they come: of a file or of standard input, which may have no end."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from isogloss.errors import IsoglossError
from isogloss.runtime.files import PIECE, read_pieces

LONGEST = 16 << 20  # bytes of a line

# How files begin that are no text but often lie where one is expected.
BEGINNINGS = {
    b"\x1f\x8b": "compressed (gzip); unpack it first", b"PK\x03\x04": "a zip archive; unpack it first",
    b"BZh91AY&SY": "compressed (bzip2); unpack it first", b"\xfd7zXZ\x00": "compressed (xz); unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed (zstd); unpack it first", b"PAR1": "Parquet; end its name in .parquet",
    b"\xff\xfe\x00\x00": "UTF-32; convert it to UTF-8 first", b"\x00\x00\xfe\xff": "UTF-32; convert it to UTF-8 first",
    b"\xff\xfe": "UTF-16; convert it to UTF-8 first", b"\xfe\xff": "UTF-16; convert it to UTF-8 first",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself (git lfs pull)",
}  # fmt: skip


def not_text(data: bytes) -> str | None:
    """What a file is by its first bytes, and how to mend it; None: it may be a text."""
    return next((what for begin, what in BEGINNINGS.items() if data.startswith(begin)), None)


def text_lines(file: Path | None, *, ends: bool = False) -> Iterator[str]:
    """Each line without its end, as soon as it is there.

    Only a line feed, and a carriage return before it, end a line: U+2028 and its like stand within a text.

    Args:
        file: a file or a pipe; None: standard input.
        ends: whether the lines keep their ends, which may stand within a value of a table.

    Raises:
        IsoglossError: it cannot be read, or a line is not UTF-8 or has no end.
    """
    where = "standard input" if file is None else str(file)
    if file is None:
        yield from _lines(_standard_input(), where, ends=ends)
        return
    none = True
    for line in _lines(read_pieces(file), where, ends=ends):
        none = False
        yield line
    if none and file.is_fifo():
        raise IsoglossError(f"{file} is a pipe that nobody writes to; expected texts, one a line")


def _standard_input() -> Iterator[bytes]:
    try:
        buffer: Any = sys.stdin.buffer
        while piece := buffer.read1(PIECE):  # what is there, at once
            yield piece
    except OSError as error:
        raise IsoglossError(f"standard input could not be read: {error.strerror}") from error


def _lines(pieces: Iterable[bytes], where: str, *, ends: bool) -> Iterator[str]:
    number, begun = 0, bytearray()
    for piece in pieces:
        *whole, rest = piece.split(b"\n")
        for part in whole:
            begun += part + b"\n"
            number += 1
            yield _text(begun, where, number, ends=ends)
            begun = bytearray()
        begun += rest
        if len(begun) > LONGEST:
            raise IsoglossError(
                f"{where} line {number + 1} is longer than {LONGEST >> 20} MiB; expected texts, one a line"
            )
    if begun:
        yield _text(begun, where, number + 1, ends=ends)


def _text(line: bytes | bytearray, where: str, number: int, *, ends: bool) -> str:
    data = bytes(line)
    if not ends:
        data = data.removesuffix(b"\n").removesuffix(b"\r")
    if number == 1:
        if (what := not_text(data)) is not None:
            raise IsoglossError(f"{where} is {what}")
        data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        byte = data[error.start]
        raise IsoglossError(f"{where} line {number} is not UTF-8 (byte {byte:#04x}); convert it first") from error
