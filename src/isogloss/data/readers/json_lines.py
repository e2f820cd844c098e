"""JSON: an object a line, or one array of objects; numbers stay as they are written, and no key comes twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isogloss.data.cells import Number, cell, named
from isogloss.data.raw_row import RawRow
from isogloss.data.readers.columns import check_columns
from isogloss.data.readers.plain_text import lines_of, read_text
from isogloss.errors import IsoglossError


def read_jsonl(path: Path, columns: Sequence[str], _header: Sequence[str] | None = None) -> list[RawRow]:
    """JSON lines, or one array of objects. Arguments and errors as in `read_tsv`; there is no header."""
    text = read_text(path)
    if text.lstrip()[:1] == "[" and not _is_json(lines_of(text.lstrip())[0]):
        items = _array(parsed(text, str(path)), path)
    elif text.lstrip()[:1] == "[":  # an array in one line, or a list a line
        lines = [line for line in lines_of(text) if line.strip()]
        items = _array(parsed(lines[0], str(path)), path) if len(lines) == 1 else _lines(text, path)
    else:
        items = _lines(text, path)
    rows = []
    for where, values in items:
        if not isinstance(values, dict):
            came = named(cell(values, where))
            raise IsoglossError(f'{where} holds {came}; expected an object such as {{"text": …}}')
        check_columns(where, columns, values)
        rows.append(RawRow(where, {name: cell(value, where) for name, value in values.items()}))
    return rows


def _lines(text: str, path: Path) -> list[tuple[str, Any]]:
    numbered = ((f"{path} line {number}", line) for number, line in enumerate(lines_of(text), start=1))
    return [(where, parsed(line, where)) for where, line in numbered if line.strip()]


def _array(items: Any, path: Path) -> list[tuple[str, Any]]:
    return [(f"{path} item {number}", item) for number, item in enumerate(items, start=1)]


def _is_json(text: str) -> bool:
    try:
        parsed(text, "")
    except IsoglossError:
        return False
    return True


def parsed(text: str, where: str) -> Any:
    """The value of a text in JSON; its numbers are `Number`s.

    Raises:
        IsoglossError: it is not JSON, nested too deeply, or has a key twice in an object.
    """

    def one_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise IsoglossError(f"{where} has the key {twice[:60]!a} twice in one object; name each differently")
        return made

    try:
        return json.loads(
            text, parse_int=Number, parse_float=Number, parse_constant=_constant, object_pairs_hook=one_of_each
        )
    except json.JSONDecodeError as error:
        line = f" line {error.lineno}" if "\n" in text.strip() else ""
        raise IsoglossError(f"{where}{line} is not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise IsoglossError(f"{where} is nested too deeply to be read") from error


def _constant(name: str) -> Any:
    """NaN says that nothing is there, as pandas writes it."""
    return None if name == "NaN" else Number(name)


READERS = {"jsonl": read_jsonl}
