"""Readers: one function a format. Each gives rows as dictionaries, with the line that each came from.

A mistake in a file is named by file and line; nothing is guessed or left out.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from isogloss.data.raw_row import SENTENCE_ID, RawRow
from isogloss.errors import IsoglossError, MissingError


def read_text(path: Path) -> str:
    """A whole file.

    Raises:
        IsoglossError: it is missing, unreadable, or not UTF-8 (file and line named).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        kind = MissingError if isinstance(error, FileNotFoundError) else IsoglossError
        raise kind(f"{path} could not be read: {error.strerror}") from error
    return decode_text(data, str(path))


def decode_text(data: bytes, where: str) -> str:
    """Bytes as UTF-8, a byte order mark left out.

    Raises:
        IsoglossError: they are not UTF-8 (`where` and line named).
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise IsoglossError(
            f"{where} line {line} is not UTF-8 (byte {data[error.start]:#04x}); convert it first"
        ) from error


def read_tsv(path: Path, columns: Sequence[str], header: Sequence[str] | None = None) -> list[RawRow]:
    """Tab-separated values, quotes being ordinary characters.

    Args:
        path: the file.
        columns: those that have to be there; others are kept.
        header: the names of the columns, where the file's first line is not a header.

    Raises:
        IsoglossError: a column is missing, or a row has too few or too many values.
    """
    return _delimited(path, columns, header, delimiter="\t", quoting=csv.QUOTE_NONE)


def read_csv(path: Path, columns: Sequence[str], header: Sequence[str] | None = None) -> list[RawRow]:
    """Comma-separated values with quotes as RFC 4180 has them; otherwise as `read_tsv`."""
    return _delimited(path, columns, header, delimiter=",", quoting=csv.QUOTE_MINIMAL, strict=True)


def _delimited(path: Path, columns: Sequence[str], header: Sequence[str] | None, **dialect: Any) -> list[RawRow]:
    lines = csv.reader(io.StringIO(read_text(path), newline=""), **dialect)
    rows = []
    try:
        names = next(lines, None) if header is None else list(header)
        if names is None:
            raise IsoglossError(f"{path} is empty; expected a header with {', '.join(columns)}")
        _check_columns(f"{path} line 1" if header is None else f"{path}", columns, names)
        for values in lines:
            where = f"{path} line {lines.line_num}"
            if not values:
                continue
            if len(values) != len(names):
                raise IsoglossError(f"{where} has {len(values)} values; expected {len(names)} ({', '.join(names)})")
            rows.append(RawRow(where, dict(zip(names, values, strict=True))))
    except csv.Error as error:
        raise IsoglossError(f"{path} line {lines.line_num} is not readable as a table: {error}") from error
    return rows


def read_jsonl(path: Path, columns: Sequence[str], _header: Sequence[str] | None = None) -> list[RawRow]:
    """JSON lines: an object a line. Arguments and errors as in `read_tsv`; there is no header."""
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            raise IsoglossError(f"{where} is not JSON: {error.msg} at column {error.colno}") from error
        if not isinstance(values, dict):
            raise IsoglossError(f'{where} holds {type(values).__name__}; expected an object such as {{"text": …}}')
        _check_columns(where, columns, list(values))
        rows.append(RawRow(where, {name: _as_text(value) for name, value in values.items()}))
    return rows


def read_parquet(path: Path, columns: Sequence[str], _header: Sequence[str] | None = None) -> list[RawRow]:
    """Parquet. Arguments and errors as in `read_tsv`; there is no header."""
    import polars as pl  # not at the top: it alone takes as long as drafting a card of other files

    try:
        table = pl.read_parquet(path)
    except OSError as error:
        kind = MissingError if isinstance(error, FileNotFoundError) else IsoglossError
        raise kind(f"{path} could not be read: {error.strerror or error}") from error
    except pl.exceptions.PolarsError as error:
        raise IsoglossError(f"{path} is not Parquet: {str(error).splitlines()[0]}") from error
    _check_columns(str(path), columns, table.columns)
    return [
        RawRow(f"{path} row {number}", {name: _as_text(value) for name, value in row.items()})
        for number, row in enumerate(table.iter_rows(named=True), start=1)
    ]


CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")


def read_conllu(path: Path, columns: Sequence[str], _header: Sequence[str] | None = None) -> list[RawRow]:
    """CoNLL-U: `read_tokens` with its ten columns."""
    return read_tokens(path, columns, CONLLU)


def read_tokens(path: Path, columns: Sequence[str], header: Sequence[str] | None = None) -> list[RawRow]:
    """A word a line, an empty line after each sentence: CoNLL, IOB2 and the like. A row is a sentence.

    Fields stand between tabs, or where a file has none, between spaces. Comments begin with `#` and have not as many
    fields as a word. Multiword tokens (`1-2`) and empty nodes (`1.1`) are no words, where a column is called `id`.

    Args:
        path: the file.
        columns: those that are wanted, as lists with a value a word.
        header: the names of the fields, in order.

    Raises:
        IsoglossError: a line has too few or too many fields, or a word is empty.
    """
    names = list(header or columns)
    _check_columns(str(path), columns, names)
    text = read_text(path)
    separator = "\t" if "\t" in text else None
    rows: list[RawRow] = []
    words: list[list[str]] = []
    begin = name = ""
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        bare = line.removesuffix("\r")
        fields = bare.split(separator)
        if not bare.strip():
            if words:
                of_column = dict(zip(names, map(list, zip(*words, strict=True)), strict=True))
                rows.append(
                    RawRow(
                        begin, {column: of_column[column] for column in columns} | ({SENTENCE_ID: name} if name else {})
                    )
                )
            words, name = [], ""
        elif bare.startswith("#") and len(fields) != len(names):
            name = bare.partition("=")[2].strip() if bare.startswith("# sent_id") else name
        elif len(fields) != len(names):
            raise IsoglossError(
                f"{path} line {number} has {len(fields)} fields; expected {len(names)} ({', '.join(names)})"
            )
        elif "id" not in names or fields[names.index("id")].isdigit():
            begin = begin if words else f"{path} line {number}"
            words.append(fields)
    return rows


def read_squad(path: Path, columns: Sequence[str], _header: Sequence[str] | None = None) -> list[RawRow]:
    """SQuAD's JSON, version 1.1: title, context, id, question and answers, the last as the hub has them.

    Raises:
        IsoglossError: it is not of this form.
    """
    try:
        whole = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise IsoglossError(f"{path} line {error.lineno} is not JSON: {error.msg}") from error
    rows = []
    try:
        for number, article in enumerate(whole["data"]):
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    answers = {key: [answer[key] for answer in question["answers"]] for key in ("text", "answer_start")}
                    values = {
                        "title": str(article.get("title", number)), "context": paragraph["context"],
                        "id": str(question["id"]), "question": question["question"], "answers": answers,
                    }  # fmt: skip
                    rows.append(RawRow(f"{path} question {question['id']}", values))
    except (KeyError, TypeError) as error:
        raise IsoglossError(f"{path} is not SQuAD's JSON: {error} is missing or misplaced") from error
    if rows:
        _check_columns(str(path), columns, list(rows[0].values))
    return rows


def _check_columns(where: str, wanted: Sequence[str], columns: Sequence[str]) -> None:
    for column in wanted:
        if column not in columns:
            raise IsoglossError(f"{where} has no column {column!r}; it has {', '.join(map(repr, columns))}")


def _as_text(value: object) -> str | list[str]:
    """A cell as the tables of text have it: nothing is the empty text, lists stay lists."""
    if isinstance(value, list):
        return ["" if item is None else str(item) for item in value]
    return "" if value is None else str(value)


Reader = Callable[[Path, Sequence[str], Sequence[str] | None], list[RawRow]]
READERS: dict[str, Reader] = {
    "tsv": read_tsv, "csv": read_csv, "jsonl": read_jsonl, "parquet": read_parquet, "tokens": read_tokens,
    "conllu": read_conllu, "squad": read_squad,
}  # fmt: skip
