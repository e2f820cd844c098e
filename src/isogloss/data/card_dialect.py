"""How files of text are written: words or tables, what stands between values, and whether a line names the columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from isogloss.data.readers.delimited import records
from isogloss.data.readers.json_lines import parsed
from isogloss.data.readers.plain_text import lines_of, read_text
from isogloss.data.readers.words import NO_WORD, WORD, is_blank
from isogloss.errors import IsoglossError

DELIMITERS = {"tsv": ["\t", " ||| ", "|||", ",", ";", "|"], "csv": [",", ";", "\t", " ||| ", "|||", "|"]}
USUAL = {"tsv": ("\t", False), "csv": (",", True)}  # delimiter and quoting of each format
FAMILIAR = {
    "id", "index_id", "text", "label", "category", "class", "review", "sentence", "sentence1", "sentence2", "premise",
    "hypothesis", "tweet", "title", "body", "content", "comment", "utterance", "intent", "sentiment", "topic", "stars",
    "lang", "language", "split", "target",
}  # fmt: skip
LONGEST_NAME = 40  # characters of a column's name
Rows = list[list[str]]


def dialect(form: str, suffix: str, paths: Sequence[Path]) -> dict[str, Any]:
    """`format`, and where they are not the usual `delimiter`, `quoting` and `header`, of files of one suffix.

    Raises:
        IsoglossError: a file cannot be read.
    """
    if form in {"parquet", "conllu"}:
        return {"format": form}
    texts = {path: read_text(path) for path in paths}
    if form == "jsonl":
        return {"format": "squad" if suffix == ".json" and _is_squad(next(iter(texts.items()))) else "jsonl"}
    sentences = any(_has_sentences(text) for text in texts.values())
    if form == "tokens" and (sentences or suffix != ".txt"):
        return {"format": "tokens", "header": _fields(texts)}
    if sentences:
        return {"format": "tokens", "header": _fields(texts)}
    form = "tsv" if form == "tokens" else form
    found = _delimited(form, texts)
    if found is None and suffix == ".txt":
        return {"format": "tokens", "header": _fields(texts)}
    delimiter, quoting = found or USUAL[form]
    by_file = {path: _records(text, delimiter, quoting) for path, text in texts.items()}
    if found is None:
        _explain(by_file, paths)
    usual = USUAL[form]
    first = next(rows for rows in by_file.values() if rows)
    return {
        "format": form,
        **({"delimiter": delimiter} if delimiter != usual[0] else {}),
        **({"quoting": quoting} if quoting != usual[1] else {}),
        **({} if _has_header(list(by_file.values())) else {"header": _numbered(len(first[0]))}),
    }


def _is_squad(file: tuple[Path, str]) -> bool:
    path, text = file
    if text.lstrip()[:1] != "{" or "paragraphs" not in text:
        return False
    try:
        whole = parsed(text, str(path))
    except IsoglossError:
        return False  # lines, each an object
    return isinstance(whole, dict) and "data" in whole


def _has_sentences(text: str) -> bool:
    """Whether there is an empty line between others, as between sentences of words."""
    kept = [line for line in lines_of(text.strip("\r\n \t")) if not line.startswith("# ")]
    return any(map(is_blank, kept))


def _fields(texts: Mapping[Path, str]) -> list[str]:
    """Names for the fields of files with a word a line: the one that counts is `id`."""
    lines = [line for text in texts.values() for line in lines_of(text) if not is_blank(line)]
    lines = [line for line in lines if not line.startswith("#")] or lines
    if not lines:
        raise IsoglossError(f"{next(iter(texts))} has no rows to learn the columns from")
    tabs = sum("\t" in line for line in lines) * 2 > len(lines)
    fields = [line.split("\t") if tabs else line.split() for line in lines]
    count = Counter(map(len, fields)).most_common(1)[0][0]
    if count < 2:  # noqa: PLR2004 - a word and a tag
        raise IsoglossError(
            f"{next(iter(texts))}: most lines hold one field, such as {lines[0][:60]!r}; expected a word and its "
            "tag, with a tab or a space between"
        )
    counted = all(WORD.fullmatch(row[0]) or NO_WORD.fullmatch(row[0]) for row in fields)
    names = _numbered(count)
    return ["id", *names[1:]] if counted and count > 2 else names  # noqa: PLR2004


def _numbered(count: int) -> list[str]:
    return [f"column{number}" for number in range(1, count + 1)]


def _records(text: str, delimiter: str, quoting: bool, most: int | None = None) -> Rows | None:
    """The rows of a file, none where quotes do not match."""
    try:
        return [values for _, values in islice(records(text, "", delimiter=delimiter, quoting=quoting), most)]
    except IsoglossError:
        return None


def _delimited(form: str, texts: Mapping[Path, str]) -> tuple[str, bool] | None:
    """The delimiter and quoting by which every row of every file has as many values."""
    usual = USUAL[form]
    for delimiter in DELIMITERS[form]:
        for quoting in (usual[1], not usual[1]):
            if quoting and len(delimiter) > 1:
                continue
            tables = [_records(text, delimiter, quoting) for text in texts.values()]
            if not all(rows is not None and _is_even(rows) for rows in tables) or not any(tables):
                continue
            if quoting or len(delimiter) > 1 or not any(_are_quoted(rows) for rows in tables if rows):
                return delimiter, quoting
            quoted = [_records(text, delimiter, quoting=True) for text in texts.values()]
            return delimiter, all(rows is not None and _is_even(rows) for rows in quoted)
    return _with_single_columns(form, texts)


def _with_single_columns(form: str, texts: Mapping[Path, str]) -> tuple[str, bool] | None:
    """The same where some files have but one column, which others have beside the labels that these lack."""
    for delimiter in DELIMITERS[form]:
        quoting = USUAL[form][1] and len(delimiter) == 1
        tables = [_records(text, delimiter, quoting) for text in texts.values()]
        filled = [rows for rows in tables if rows]
        names = {name for rows in filled if len(rows[0]) > 1 for name in rows[0]}
        single = {rows[0][0] for rows in filled if len(rows[0]) == 1}
        whole = all(rows is not None and all(len(row) == len(rows[0]) for row in rows) for rows in tables)
        if whole and single and single <= names:
            return delimiter, quoting
    return None


def _is_even(rows: Rows) -> bool:
    return not rows or (len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows))


def _are_quoted(rows: Rows) -> bool:
    """Whether values stand in quotes as RFC 4180 has them, and none has quotes of its own.

    One text that is all a quotation proves nothing; doubled quotes within do, or a column of nothing else.
    """
    quoted = [value for row in rows for value in row if '"' in value]
    if not quoted or not all(re.fullmatch(r'"([^"]|"")*"', value) for value in quoted):
        return False
    doubled = any('""' in value[1:-1] for value in quoted)
    return doubled or any(all('"' in row[place] for row in rows[1:] or rows) for place in range(len(rows[0])))


def _has_header(tables: Sequence[Rows | None]) -> bool:
    """Whether first lines name the columns.

    They do where most files begin alike, or hold what columns are often called; of one file alone, where they are short
    and stand nowhere below.
    """
    filled = [rows for rows in tables if rows]
    firsts = [[value.strip() for value in rows[0]] for rows in filled]
    again = any(name in {row[place].strip() for row in rows[1:]} for rows, first in zip(filled, firsts, strict=True)
                for place, name in enumerate(first) if place < len(rows[-1]) and name)  # fmt: skip
    if not again and all({name.lower() for name in first} & FAMILIAR for first in firsts):
        return True
    if any(len(set(first)) < len(first) for first in firsts):
        return False
    if len(firsts) > 1:
        return Counter(map(tuple, firsts)).most_common(1)[0][1] * 2 > len(firsts)
    return not again and all(
        not re.fullmatch(r"-?[0-9.,]+", name) and len(name) <= LONGEST_NAME and len(name.split()) <= 3  # noqa: PLR2004
        for name in firsts[0]
    )


def _explain(by_file: Mapping[Path, Rows | None], paths: Sequence[Path]) -> None:
    """Say which file is no even table.

    Raises:
        IsoglossError: always, but where all files are empty.
    """
    if not any(by_file.values()) and None not in by_file.values():
        raise IsoglossError(f"{paths[0]} has no rows to learn the columns from")
    for path, rows in by_file.items():
        if rows is None:
            raise IsoglossError(
                f"{path}: quotes do not match, and no other delimiter parts its lines into as many values each"
            )
        if not _is_even(rows):
            counts = Counter(map(len, rows)).most_common(2)
            came = " and ".join(f"{count} lines of {width} values" for width, count in counts)
            raise IsoglossError(
                f"{path} is no table that isogloss understands: it has {came}, and no other delimiter parts its "
                "lines evenly"
            )
