"""Files with a word a line: CoNLL, IOB2, CoNLL-U and the like."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from isogloss.data.raw_row import SENTENCE_ID, RawRow, listed
from isogloss.data.readers.columns import check_columns
from isogloss.data.readers.plain_text import lines_of, read_text
from isogloss.errors import IsoglossError

CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
DOCUMENT = "-DOCSTART-"  # begins a line of CoNLL-2003 and its kin where a document begins
WORD = re.compile(r"[0-9]{1,18}")
NO_WORD = re.compile(r"[0-9]+-[0-9]+|[0-9]+\.[0-9]+")  # multiword tokens and empty nodes
Split = Callable[[str], list[str]]


def read_conllu(path: Path, columns: Sequence[str], _header: Sequence[str] | None = None) -> list[RawRow]:
    """CoNLL-U: `read_tokens` with its ten columns."""
    return read_tokens(path, columns, CONLLU)


def read_tokens(path: Path, columns: Sequence[str], header: Sequence[str] | None = None) -> list[RawRow]:
    """A word a line, an empty line after each sentence: CoNLL, IOB2 and the like. A row is a sentence.

    Fields stand between tabs, or in files without, between ASCII spaces; no other white space parts them. Between
    spaces a word that comes first may hold some itself. Comments begin with `#` and have not as many fields as a word.
    Multiword tokens (`1-2`) and empty nodes (`1.1`) are no words, where a column is called `id`; nor is `-DOCSTART-`
    with other fields than a word's.

    Args:
        path: the file.
        columns: those that are wanted, as lists with a value a word; the last is the tag.
        header: the names of the fields, in order.

    Raises:
        IsoglossError: a line has too few or too many fields, or an `id` is none, or lower than the one before.
    """
    names = list(header or dict.fromkeys(columns))
    check_columns(str(path), columns, names)
    lines = lines_of(read_text(path))
    split = splitter(lines, len(names), spaced=names[0] in columns[:-1] and names[0] != "id")
    counter = names.index("id") if "id" in names else None
    rows: list[RawRow] = []
    words: list[list[str]] = []
    begin = name = ""
    for number, line in enumerate([*lines, ""], start=1):
        if is_blank(line):
            if words:
                of_column = dict(zip(names, map(list, zip(*words, strict=True)), strict=True))
                values = {column: of_column[column] for column in columns}
                rows.append(RawRow(begin, values | ({SENTENCE_ID: name} if name else {})))
            words, name = [], ""
            continue
        fields = split(line)
        if line.startswith(DOCUMENT) and len(fields) != len(names):
            continue
        if line.startswith("#") and (len(fields) != len(names) or _is_said(fields) or counter == 0):
            name = line.partition("=")[2].strip() if line.startswith("# sent_id") else name
        elif len(fields) != len(names):
            raise IsoglossError(
                f"{path} line {number} has {len(fields)} fields; expected {len(names)} ({listed(names)})"
            )
        elif counter is None or WORD.fullmatch(fields[counter]):
            if counter is not None and words and int(fields[counter]) < int(words[-1][counter]):
                raise IsoglossError(
                    f"{path} line {number} has the id {fields[counter][:60]!r} behind {words[-1][counter][:60]!r}; an "
                    "empty line ends each sentence"
                )
            begin = begin if words else f"{path} line {number}"
            words.append(fields)
        elif not NO_WORD.fullmatch(fields[counter]):
            raise IsoglossError(
                f"{path} line {number} has the id {fields[counter][:60]!r}; expected the number of a word, such as 1, "
                "1-2 or 1.1 (a field that counts no words is not called id)"
            )
    return rows


def _is_said(fields: Sequence[str]) -> bool:
    """Whether fields are a comment's that by chance are as many as a word's: no word is `# id`, no tag holds a tab."""
    return fields[0].startswith("# ") or any("\t" in field for field in fields)


def is_blank(line: str) -> bool:
    """Whether a line ends a sentence; a no-break space alone is a word."""
    return not line.strip(" \t")


def splitter(lines: Sequence[str], count: int, *, spaced: bool) -> Split:
    """How a file's lines are parted into fields, as most lines with a word want it.

    Args:
        lines: all of them; comments and empty lines decide nothing.
        count: how many fields are expected.
        spaced: whether the first field may hold spaces, where most lines show that it is the first of as many.
    """
    of_words = [line for line in lines if not is_blank(line) and not line.startswith(("#", DOCUMENT))] or [
        line for line in lines if not is_blank(line)
    ]
    tabbed, exact = (sum(len(part(line)) == count for line in of_words) for part in (_by_tab, _by_space))
    if tabbed >= exact and any("\t" in line for line in of_words):
        return _by_tab
    if not spaced or count < 2 or exact * 2 <= len(of_words):  # noqa: PLR2004 - a word and a tag
        return _by_space
    return lambda line: _spaced(line, count)


def _by_tab(line: str) -> list[str]:
    return line.split("\t")


def _by_space(line: str) -> list[str]:
    return [field for field in line.split(" ") if field]


def _spaced(line: str, count: int) -> list[str]:
    """Fields between spaces, of which the first may hold some, or be nothing at all."""
    fields = _by_space(line)
    if line.startswith("#") or len(fields) == count:
        return fields
    if len(fields) == count - 1 and line.startswith(" "):
        return ["", *fields]
    if len(fields) < count:
        return fields
    rest = line.rstrip(" ")
    others: list[str] = []
    for _ in range(count - 1):
        rest, _, other = rest.rpartition(" ")
        rest = rest.rstrip(" ")
        others.insert(0, other)
    return [rest.lstrip(" "), *others]


READERS = {"tokens": read_tokens, "conllu": read_conllu}
