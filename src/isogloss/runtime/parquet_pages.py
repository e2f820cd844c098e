"""What a Parquet file says of its own pages, looked at before polars believes it and takes as much memory.

A count that is negative or beyond all sense ends the whole process there, where no error can be caught.
"""

from __future__ import annotations

from mmap import mmap
from typing import Any

MOST = 1 << 31  # values of a column in a row group
DEEPEST = 16  # structures within structures
# Of Thrift's compact protocol, in which headers are written.
TRUE, FALSE, BYTE, WHOLE, DOUBLE, BINARY, LISTS, MAP, STRUCT = 1, 2, 3, {4, 5, 6}, 7, 8, {9, 10}, 11, 12
# Fields of Parquet's structures, by number.
ROW_GROUPS, COLUMNS, ROWS, ABOUT = 4, 1, 3, 3
VALUES, SIZE, DATA_AT, DICTIONARY_AT = 5, 7, 9, 11
PLAIN_SIZE, PAGE_SIZE, DATA, DICTIONARY, DATA_2 = 2, 3, 5, 7, 8


def row_counts(content: bytes | mmap) -> list[int]:
    """The rows of each row group of a whole file.

    Raises:
        ValueError: its headers cannot be read.
    """
    try:
        return [int(group[ROWS]) for group in _footer(content)[ROW_GROUPS]]
    except (IndexError, KeyError, TypeError) as error:
        raise ValueError("its headers cannot be read") from error


def check_pages(content: bytes | mmap) -> None:
    """Whether sizes and counts of a whole file's pages can be.

    Raises:
        ValueError: they cannot, or stand where no page is.
    """
    try:
        for group in _footer(content)[ROW_GROUPS]:
            for column in group[COLUMNS]:
                _check_column(content, column[ABOUT])
    except (IndexError, KeyError, TypeError) as error:
        raise ValueError("its headers cannot be read") from error


def _footer(content: bytes | mmap) -> dict[int, Any]:
    end = len(content) - 8
    begin = end - int.from_bytes(content[end : end + 4], "little")
    return _struct(content[max(0, begin) : end], 0)[0]


def _check_column(content: bytes | mmap, about: dict[int, Any]) -> None:
    if not (left := about[VALUES]):  # some writers say of such a column that it lies nowhere
        return
    at = min(place for place in (about[DATA_AT], about.get(DICTIONARY_AT, 0)) if place > 0)
    end = at + about[SIZE]
    if not (0 <= left <= MOST and at <= end <= len(content)):
        raise ValueError("a column has a size that cannot be")
    while at < end and left:
        header, at = _struct(content, at)
        most = header[PLAIN_SIZE] if DICTIONARY in header else left
        count = next(header[kind][1] for kind in (DATA, DATA_2, DICTIONARY) if kind in header)
        at += header[PAGE_SIZE]
        if not (0 <= count <= most and header[PLAIN_SIZE] >= 0 <= header[PAGE_SIZE] and at <= end):
            raise ValueError("a page has a size that cannot be")
        left -= 0 if DICTIONARY in header else count


def _struct(data: bytes | mmap, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """A structure's values by the numbers of their fields, and where it ends."""
    if depth > DEEPEST:
        raise ValueError("its headers are nested too deeply")
    fields: dict[int, Any] = {}
    number = 0
    while (byte := data[at]) != 0:
        at += 1
        if byte >> 4:
            number += byte >> 4
        else:
            number, at = _whole(data, at)
        kind = byte & 15
        fields[number], at = (kind == TRUE, at) if kind in {TRUE, FALSE} else _value(data, at, kind, depth)
    return fields, at + 1


def _value(data: bytes | mmap, at: int, kind: int, depth: int) -> tuple[Any, int]:  # noqa: PLR0911 - one for each kind
    if kind in WHOLE:
        return _whole(data, at)
    if kind in {TRUE, FALSE, BYTE}:  # in a list, where even a truth takes a byte
        return data[at], at + 1
    if kind == DOUBLE:
        return None, at + 8
    if kind == BINARY:
        length, at = _varint(data, at)
        return None, at + length
    if kind == STRUCT:
        return _struct(data, at, depth + 1)
    if kind in LISTS:
        length, of, at = data[at] >> 4, data[at] & 15, at + 1
        if length == 15:  # noqa: PLR2004 - then it follows
            length, at = _varint(data, at)
        return _several(data, at, [of] * min(length, len(data)), depth)
    if kind == MAP:
        length, at = _varint(data, at)
        kinds, at = (data[at], at + 1) if length else (0, at)
        return _several(data, at, [kinds >> 4, kinds & 15] * min(length, len(data)), depth)
    raise ValueError("its headers cannot be read")


def _several(data: bytes | mmap, at: int, kinds: list[int], depth: int) -> tuple[list[Any], int]:
    values = []
    for kind in kinds:
        value, at = _value(data, at, kind, depth + 1)
        values.append(value)
    return values, at


def _whole(data: bytes | mmap, at: int) -> tuple[int, int]:
    number, at = _varint(data, at)
    return (number >> 1) ^ -(number & 1), at


def _varint(data: bytes | mmap, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:  # noqa: PLR2004 - the last of its bytes
            return number, at
        if shift > 63:  # noqa: PLR2004 - bits
            raise ValueError("its headers cannot be read")
