"""SQuAD's JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from isogloss.data.cells import Cell, Number, cell
from isogloss.data.raw_row import RawRow
from isogloss.data.readers.columns import check_columns
from isogloss.data.readers.json_lines import parsed
from isogloss.data.readers.plain_text import read_text
from isogloss.errors import IsoglossError


def read_squad(path: Path, columns: Sequence[str], _header: Sequence[str] | None = None) -> list[RawRow]:
    """SQuAD's JSON, version 1.1: title, context, id, question and answers, the last as the hub has them.

    Answers may lack where `columns` do not name them.

    Raises:
        IsoglossError: it is not of this form.
    """
    rows = []
    values: dict[str, Cell]
    whole = parsed(read_text(path), str(path))
    for number, article in enumerate(_items(whole, "data", f"{path}")):
        where = f"{path} data[{number}]"
        title = _text(article, "title", where) if isinstance(article, dict) and "title" in article else str(number)
        for at, paragraph in _numbered(article, "paragraphs", where):
            context = _text(paragraph, "context", at)
            for place, question in _numbered(paragraph, "qas", at):
                name = _text(question, "id", place)
                values = {
                    "title": title, "context": context, "id": name, "question": _text(question, "question", place),
                }  # fmt: skip
                if "answers" in columns or "answers" in question:
                    values["answers"] = cell(_items(question, "answers", place), place)
                rows.append(RawRow(f"{path} question {name[:60]!r}", values))
    if rows:
        check_columns(str(path), columns, list(rows[0].values))
    return rows


def _numbered(owner: Any, key: str, where: str) -> Iterator[tuple[str, Any]]:
    return ((f"{where}.{key}[{number}]", item) for number, item in enumerate(_items(owner, key, where)))


def _items(owner: Any, key: str, where: str) -> list[Any]:
    value = _value(owner, key, where)
    if not isinstance(value, list):
        raise IsoglossError(f"{where}: {key} is {_named(value)}; expected a list, as in SQuAD's JSON")
    return value


def _text(owner: Any, key: str, where: str) -> str:
    """A text; titles and ids may be numbers."""
    value = _value(owner, key, where)
    if not isinstance(value, str) or (isinstance(value, Number) and key not in {"id", "title"}):
        raise IsoglossError(f"{where}: {key} is {_named(value)}; expected a text, as in SQuAD's JSON")
    return str(cell(value, f"{where}: {key}"))


def _value(owner: Any, key: str, where: str) -> Any:
    if not isinstance(owner, dict):
        raise IsoglossError(f"{where} is {_named(owner)}; expected an object with {key}, as in SQuAD's JSON")
    if key not in owner:
        raise IsoglossError(f"{where} has no {key}; expected it, as in SQuAD's JSON (data, paragraphs, qas, answers)")
    return owner[key]


def _named(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "nothing" if value is None else "true or false"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return "a number" if isinstance(value, Number) else "a text"


READERS = {"squad": read_squad}
