"""Files of text: UTF-8, in lines."""

from __future__ import annotations

from pathlib import Path

from isogloss.errors import IsoglossError
from isogloss.runtime.files import read_bytes
from isogloss.runtime.text_lines import not_text


def read_text(path: Path) -> str:
    """A whole file.

    Raises:
        IsoglossError: it is missing, unreadable, or not UTF-8 (file and line named).
    """
    return decode_text(read_bytes(path), str(path))


def decode_text(data: bytes, where: str) -> str:
    """Bytes as UTF-8, a byte order mark left out.

    Raises:
        IsoglossError: they are not UTF-8 (`where` and line named).
    """
    if (what := not_text(data)) is not None:
        raise IsoglossError(f"{where} is {what}")
    # Without a byte order mark, Western letters in UTF-16 are valid UTF-8 with a null beside each.
    if data[:1024].count(b"\x00") * 3 > len(data[:1024]):
        raise IsoglossError(f"{where} is no text in UTF-8: it is full of null bytes; of UTF-16, convert it first")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise IsoglossError(
            f"{where} line {line} is not UTF-8 (byte {data[error.start]:#04x}); convert it first"
        ) from error


def lines_of(text: str) -> list[str]:
    """The lines of a text without their ends, which are LF, CR LF or, where there is no LF, CR.

    Nothing else ends a line: U+2028 and the like stand within texts.
    """
    if "\n" not in text:
        return text.split("\r")
    return [line.removesuffix("\r") for line in text.split("\n")]
