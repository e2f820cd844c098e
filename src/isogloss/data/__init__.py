"""Data sets by name: one source language to train in, many to be scored in."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.data.cards import Card, Split, cards, find
from isogloss.data.readers import READERS, Raw
from isogloss.errors import IsoglossError
from isogloss.languages import Language

__all__ = ["Card", "DataSet", "Examples", "cards", "find", "open_data"]


@dataclass(frozen=True, eq=False)
class Examples:
    """One split in one language: a table with the columns id, text, second (pairs only) and label."""

    language: Language
    split: Split
    table: pl.DataFrame
    origin: str  # where it came from, for errors and records

    def __len__(self) -> int:
        return len(self.table)

    @property
    def texts(self) -> tuple[list[str], ...]:
        """The texts, or the first and the second texts of pairs."""
        return tuple(self.table[name].to_list() for name in ("text", "second") if name in self.table.columns)

    @property
    def fingerprint(self) -> str:
        """sha256 over every id, text and label, in order."""
        digest = hashlib.sha256()
        for row in self.table.iter_rows():
            digest.update("\x1f".join(row).encode() + b"\x1e")
        return digest.hexdigest()


@dataclass(eq=False)
class DataSet:
    """An opened data set.

    Args:
        card: what it is.
        path: the user's folder; None for the hub or a generator.
        limits: at most so many examples of a split, the first ones.
    """

    card: Card
    path: Path | None = None
    limits: dict[Split, int] = field(default_factory=dict)

    @cached_property
    def revision(self) -> str | None:
        """The commit on the hub that the examples come from; none where they come from elsewhere."""
        if self.path is not None or self.card.hub is None:
            return None
        from isogloss.data.hub import newest

        return self.card.hub.revision or newest(self.card.hub.id)

    def languages(self) -> list[Language]:
        """The languages that are really there."""
        known = [Language.parse(code) for code in self.card.languages]
        if self.path is None or self.card.local is None:
            return known
        test = self.card.local.splits["test"]
        return [
            language
            for language in known
            if (self.path / self.card.local.path.format(code=self.card.code(language), split=test)).is_file()
        ]

    def where(self) -> str:
        """In words, where the examples come from."""
        if self.card.generator is not None:
            return "drawn from an installed package"
        if self.path is not None:
            return f"{self.path}"
        if self.card.hub is None:
            return "nowhere: give data.path"
        return (
            f"from the hub, {self.card.hub.id}, {self.card.hub.revision or 'its newest revision'}, unless it is cached"
        )

    def examples(self, language: Language, split: Split) -> Examples:
        """One split in one language.

        Raises:
            IsoglossError: it is missing, empty, or holds something that cannot be right.
        """
        rows, origin = self._rows(language, split)
        if split in self.limits:
            rows = rows[: self.limits[split]]
        if not rows:
            raise IsoglossError(f"{origin} has no examples; the {split} split of {language} needs at least one")
        return Examples(language, split, _table(rows, self.card), origin)

    def _rows(self, language: Language, split: Split) -> tuple[list[Raw], str]:
        code = self.card.code(language)
        columns = [name for name in self.card.columns.model_dump().values() if name is not None]
        if self.card.generator is not None:
            table: pl.DataFrame = importlib.import_module(self.card.generator).examples(code, split)
            return [Raw(f"{self.card.name} {row['id']}", row) for row in table.iter_rows(named=True)], self.card.name
        if self.path is not None and self.card.local is not None:
            path = self.path / self.card.local.path.format(code=code, split=self.card.local.splits[split])
            return READERS[self.card.local.format](path, columns), str(path)
        from isogloss.data.hub import read_hub

        rows = read_hub(self.card, code, split, columns, revision=self.revision)
        return rows, f"{self.card.name} ({code}, {split}) on the hub"


def open_data(task: str, *, path: Path | None = None, limits: dict[Split, int] | None = None) -> DataSet:
    """A data set by the name of its card.

    Args:
        task: the card.
        path: a folder in the data set's own layout; left out: the hub, or what a package ships.
        limits: at most so many examples of a split.

    Raises:
        IsoglossError: no such card or folder, or the folder does not look like the data set.
    """
    card = find(task)
    if path is not None:
        if card.local is None:
            raise IsoglossError(f"{task} is made from a package; leave data.path out")
        if not path.is_dir():
            raise IsoglossError(f"data.path {path} is no folder; expected {task} with files such as {card.local.path}")
    opened = DataSet(card, path, limits or {})
    if not opened.languages():
        assert card.local is not None
        raise IsoglossError(f"data.path {path} holds no language of {task}; expected files such as {card.local.path}")
    return opened


def _table(rows: Sequence[Raw], card: Card) -> pl.DataFrame:
    """Rows as a table in our columns, each value checked."""
    columns = card.columns
    known = set(card.labels)
    out: dict[str, list[Any]] = {"id": [], "text": []}
    if columns.second is not None:
        out["second"] = []
    out["label"] = []
    for number, row in enumerate(rows):
        label = card.aliases.get(row.values[columns.label], row.values[columns.label])
        if label not in known:
            raise IsoglossError(f"{row.where} has the label {label!r}; {card.name} has {', '.join(card.labels)}")
        texts = {"text": columns.text} | ({"second": columns.second} if columns.second else {})
        for name, column in texts.items():
            text = row.values[column].strip()
            if not text:
                raise IsoglossError(f"{row.where} has an empty {column!r}; remove the row or fill it in")
            out[name].append(text)
        out["id"].append(row.values[columns.id] if columns.id else str(number))
        out["label"].append(label)
    table = pl.DataFrame(out, schema=dict.fromkeys(out, pl.String))
    if table["id"].is_duplicated().any():
        twice = table.filter(pl.col("id").is_duplicated())["id"][0]
        where = next(row.where for row in reversed(rows) if columns.id and row.values[columns.id] == twice)
        raise IsoglossError(f"{where} has the id {twice!r} a second time; ids name one example each")
    return table
