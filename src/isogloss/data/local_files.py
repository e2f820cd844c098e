"""The files of a data set in a folder of the user's, in whichever of its card's layouts they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from isogloss.data import split_slices
from isogloss.data.cards import Card, Split
from isogloss.data.label_column import without_label
from isogloss.data.layouts import Local, Only
from isogloss.data.raw_row import RawRow
from isogloss.data.readers.registry import read_file
from isogloss.errors import IsoglossError, MissingError
from isogloss.languages.language import Language


def layout_of(card: Card, folder: Path, language: Language, split: Split) -> tuple[Local, Path] | None:
    """The first layout that has a split and whose file is there, and that file; None if there is none.

    Where one file is possible, it is that one, and reading it says what is wrong.
    """
    possible = list(_possible(card, folder, language, split))
    if len(possible) == 1:
        return possible[0]
    return next(((layout, path) for layout, path in possible if _is_there(path)), None)


def has(card: Card, folder: Path, language: Language, split: Split) -> bool:
    """Whether a file of a split in a language is there."""
    return any(_is_there(path) for _, path in _possible(card, folder, language, split))


def expected_files(card: Card) -> str:
    """In words, which files are looked for."""
    return " or ".join(dict.fromkeys(layout.path for layout in card.local))


def read_local(
    card: Card, folder: Path, language: Language, split: Split, columns: Sequence[str]
) -> tuple[list[RawRow], str, str]:
    """All rows of the file of a split, those of one language where it holds all.

    Args:
        card: the data set's.
        folder: where it lies.
        language: one of the card's.
        split: one that a layout has.
        columns: those that have to be there, by the card's names; without the label's, files may lack it.

    Returns:
        The rows, the part of them that is the split (`split_slices`), and where they come from.

    Raises:
        MissingError: there is no such file.
        IsoglossError: it cannot be read, or lacks a column.
    """
    found = layout_of(card, folder, language, split)
    if found is None:
        paths = [str(path.relative_to(folder)) for _, path in _possible(card, folder, language, split)]
        some = " or ".join(paths[:3]) + (f" (or {len(paths) - 3} more)" if len(paths) > 3 else "")  # noqa: PLR2004
        raise MissingError(f"{folder} has no {split} split of {card.name} in {language}; expected {some}")
    layout, path = found
    part, only = layout.splits[split], layout.only or card.only
    if card.columns.label not in columns:
        layout = without_label(layout, layout.columns.get(card.columns.label, card.columns.label))
    wanted = [layout.columns.get(column, column) for column in columns]
    named = card.columns.id and layout.columns.get(card.columns.id, card.columns.id)
    numbered = named is not None and layout.header is not None and named not in layout.header
    if numbered:
        wanted.remove(str(named))
    beside = [column for column in (layout.split_column, only and only.column) if column and column not in wanted]
    rows = read_file(path, [*wanted, *beside], layout)
    if layout.split_column is not None:
        name = split_slices.name(part)
        rows = [row for row in rows if row.text(layout.split_column) == name]
    rows = in_language(rows, only, _code(card, layout, language))
    names = {theirs: ours for ours, theirs in layout.columns.items()}
    if names:
        rows = [
            replace(row, values={names.get(name, name): value for name, value in row.values.items()}) for row in rows
        ]
    if numbered:  # by names that no other language has: who says that the rows are the same?
        code = _code(card, layout, language)
        rows = [
            replace(row, values={**row.values, str(card.columns.id): f"{code} {number}"})
            for number, row in enumerate(rows)
        ]
    if layout.prefix is not None:
        rows = [_without_prefix(row, card.columns.text, layout.prefix) for row in rows]
    return rows, part, f"{path} ({part})" if layout.split_column else str(path)


def in_language(rows: list[RawRow], only: Only | None, code: str) -> list[RawRow]:
    """The rows in the language of that code, where one file holds all languages."""
    return rows if only is None else [row for row in rows if only.holds(row.text(only.column), code)]


def _without_prefix(row: RawRow, column: str, end: str) -> RawRow:
    words = row.texts(column)
    if odd := next((word for word in words if end not in word), None):
        raise IsoglossError(
            f"{row.where} has the word {odd!r} without a prefix that ends in {end!r}, as the card has it"
        )
    return replace(row, values={**row.values, column: [word.partition(end)[2] for word in words]})


def _possible(card: Card, folder: Path, language: Language, split: Split) -> Iterator[tuple[Local, Path]]:
    for layout in card.local:
        if split in layout.splits:
            part = split_slices.name(layout.splits[split])
            for path in layout.paths(_code(card, layout, language), part):
                yield layout, folder / path


def _code(card: Card, layout: Local, language: Language) -> str:
    return layout.codes.get(str(language)) or card.code(language)


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # reading it says why
        return True
