r"""Text of others as it may be shown: what steers a terminal, turns the reading order or is no XML stands as `\x1b`."""

from __future__ import annotations

import json
import re
from typing import Any

# C0 but tab and line feed, DEL, C1, line and paragraph separators, embeddings, overrides and isolates, deprecated
# format characters, interlinear annotations, halves of pairs, and what is no character. Marks of direction, joiners
# and variation selectors stay: languages are written with them.
_ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]"
)
_SPACE = re.compile(r"[ \t\n\r\v\f\u0085\u2028\u2029]*[\n\r\v\f\u0085\u2028\u2029][ \t\n\r\v\f\u0085\u2028\u2029]*")


def visible(text: str) -> str:
    r"""The text with `\x1b`, `\u202e` and their like in place of such characters; tabs and line feeds stay."""
    return _ODD.sub(lambda odd: _escape(ord(odd[0])), text)


def one_line(text: str) -> str:
    """The same on one line: a line break and the space around it become a space."""
    return visible(_SPACE.sub(" ", text.strip()).replace("\t", " "))


def json_line(value: Any, *, ascii_only: bool = False) -> str:
    """A value as one line of JSON, which any reader of JSON reads as it was, with such characters escaped."""
    text = json.dumps(value, ensure_ascii=ascii_only, allow_nan=False)
    return _ODD.sub(lambda odd: f"\\u{ord(odd[0]):04x}", text)


def _escape(number: int) -> str:
    return f"\\x{number:02x}" if number <= 0xFF else f"\\u{number:04x}"  # noqa: PLR2004
