"""Patterns in cards, of paths and of values: `{code}` and `{split}` are filled in, and nothing else is."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

LONGEST = 1000  # characters of a pattern
NAME_BYTES = 255  # of a file or folder, as file systems have it


def check(pattern: str, fields: Sequence[str] = ("code", "split")) -> str:
    """The pattern itself, if it can be filled in.

    Args:
        pattern: a text with fields in braces.
        fields: those that are known.

    Raises:
        ValueError: it has other fields, or fields with more to them than a name (`{code:>9}`, `{code.x}`).
    """
    if len(pattern) > LONGEST:
        raise ValueError(f"{pattern[:40]!r}… has {len(pattern):,} characters; expected {LONGEST:,} at most")
    known = " and ".join(f"{{{name}}}" for name in fields)
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise ValueError(f"{pattern!r} has a brace alone; {known} are filled in, a brace itself is doubled") from error
    for _, name, form, conversion in parts:
        if name is not None and (name not in fields or form or conversion):
            came = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            raise ValueError(f"{pattern!r} has {{{came}}}; only plain {known} are filled in, a brace itself is doubled")
    return pattern


def below(path: str) -> str:
    """The path itself, if it stays below the folder that it is joined to.

    Raises:
        ValueError: it is absolute, leads upwards or is no path.
    """
    parts = re.split(r"[\\/]", path)
    if not path.strip() or not parts[0] or re.match("[A-Za-z]:", path) or ".." in parts:
        raise ValueError(f"{path!r} leads out of the folder with the data; expected a path below it, without `..`")
    if any(ord(character) < ord(" ") for character in path):
        raise ValueError(f"{path!r} holds a control character; expected the path of a file")
    if any(len(part.encode()) > NAME_BYTES for part in parts):
        raise ValueError(f"{path[:40]!r}… has a name of more than {NAME_BYTES} bytes; expected the path of a file")
    return path


def fill(pattern: str, *, code: str, split: str = "") -> str:
    """A pattern that was checked, filled in."""
    return pattern.format(code=code, split=split)
