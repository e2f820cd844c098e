"""Data sets by name: one source language to train in, many to be scored in."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import polars as pl

from isogloss.data import limits as limit_draw
from isogloss.data import split_slices
from isogloss.data.cards import CUSTOM, SPLITS, Card, Local, Split, cards, find, read_card
from isogloss.data.kinds.registry import data_kinds
from isogloss.data.raw_row import RawRow
from isogloss.data.readers import READERS
from isogloss.data.tables import examples_table
from isogloss.errors import IsoglossError, MissingError, unknown
from isogloss.languages.language import Language
from isogloss.runtime import yaml
from isogloss.runtime.cache import frames_folder

__all__ = ["Card", "DataSet", "Examples", "cards", "find", "open_data"]


@dataclass(frozen=True, eq=False)
class Examples:
    """One split in one language: a table in the columns of its kind of task."""

    language: Language
    split: Split
    table: pl.DataFrame
    origin: str  # where it came from, for errors and records
    dropped: int = 0  # rows left out because the card's `drop` says that they are void
    whole: int | None = None  # examples of the split, of which a limit left these; none: there is no limit

    def __len__(self) -> int:
        return len(self.table)

    def taken(self, places: Sequence[int]) -> Examples:
        """Some of the examples, in this order."""
        return replace(self, table=self.table[places])

    @property
    def labels(self) -> pl.Series:
        """The label of each text or word; of questions, none."""
        if "label" in self.table.columns:
            return self.table["label"]
        return self.table["labels"].explode() if "labels" in self.table.columns else pl.Series(dtype=pl.String)

    @property
    def contents(self) -> list[str]:
        """The text of each example: of a pair both, of a question the passage."""
        if "passage" in self.table.columns:
            return self.table["passage"].to_list()
        if "words" in self.table.columns:
            return self.table["words"].list.join(" ").to_list()
        return self.table.select(pl.concat_str(pl.col("^(text|second)$"), separator="\t")).to_series().to_list()

    @property
    def fingerprint(self) -> str:
        """sha256 over every value, in order."""
        digest = hashlib.sha256()
        for row in self.table.iter_rows():
            values = (value if isinstance(value, str) else "\x1d".join(map(str, value)) for value in row)
            digest.update("\x1f".join(values).encode() + b"\x1e")
        return digest.hexdigest()


@dataclass(frozen=True)
class _Drawn:
    """What a limit draws of parallel data, for all languages."""

    reference: Language
    names: set[str]
    whole: bool  # whether it leaves all of the reference's


@dataclass(eq=False)
class DataSet:
    """An opened data set.

    Args:
        card: what it is.
        path: the user's folder; None for the hub or a generator.
        limits: at most so many examples of a split, drawn as `isogloss.data.limits` does.
        splits: parts of the card's splits that stand for others: `{"train": "dev[:80%]"}`.
        trainer: the data set whose train and dev splits stand for this one's.
        reference: the language whose examples a limit draws where the data are parallel, for the others to take the
            same; none, or where it lacks the split: the first of the card that has it.
        first_rows: whether a limit takes the first rows, as before limits were drawn.
    """

    card: Card
    path: Path | None = None
    limits: dict[Split, int] = field(default_factory=dict)
    splits: dict[Split, str] = field(default_factory=dict)
    trainer: DataSet | None = None
    reference: Language | None = None
    first_rows: bool = False
    _drawn: dict[Split, _Drawn] = field(default_factory=dict, init=False)  # where the data are parallel

    @cached_property
    def revision(self) -> str | None:
        """The commit on the hub that the examples come from; none where they come from elsewhere."""
        if self.path is not None or self.card.hub is None:
            return None
        from isogloss.data.hub import newest

        return newest(self.card.hub.id, self.card.hub.revision)

    def languages(self) -> list[Language]:
        """The languages that are really there."""
        known = [Language.parse(code) for code in self.card.languages]
        if self.path is None or self.card.local is None:
            return known
        taken = cast(Split, split_slices.name(self.splits.get("test", "test")))
        if taken not in self.card.local.splits:
            raise self._missing(taken)
        test = split_slices.name(self.card.local.splits[taken])
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
        if self.trainer is not None and split != "test":
            return self.trainer.examples(language, split)
        limit = self.limits.get(split)
        rows, origin, dropped = self._usable(language, split)
        if limit is not None and self.first_rows:
            return Examples(language, split, examples_table(rows[:limit], self.card), origin, dropped, len(rows))
        table = examples_table(rows, self.card)
        if limit is None:
            return Examples(language, split, table, origin, dropped)
        examples = Examples(language, split, table, origin, dropped, whole=len(table))
        if not self.card.parallel:
            return examples.taken(self._draw(examples, rows, limit))
        return examples.taken(self._the_same(examples, rows, limit))

    def read_for(self, source: Language, *, first_rows: bool = False) -> DataSet:
        """The same data, as a source's experiment reads them: see `reference` and `first_rows`."""
        trainer = None if self.trainer is None else self.trainer.read_for(source, first_rows=first_rows)
        return replace(self, reference=source, trainer=trainer, first_rows=first_rows)

    @property
    def limit_facts(self) -> dict[str, Any] | None:
        """The limits, and how they draw; None where there are none."""
        if not self.limits:
            return None
        how = "the first" if self.first_rows else limit_draw.HOW[data_kinds()[self.card.kind].family]
        return {**{split: self.limits[split] for split in SPLITS if split in self.limits}, "drawn": how}

    def _usable(self, language: Language, split: Split) -> tuple[list[RawRow], str, int]:
        """The rows of a split, where they come from, and how many void ones were left out."""
        taken = self.splits.get(split, split)
        every, origin = self._rows(language, cast(Split, split_slices.name(taken)))
        columns = self.card.columns
        usable = [row for row in every if not self.card.drop or row.values[columns.label] not in self.card.drop]
        rows = self._part(taken, usable)
        if not rows:
            raise IsoglossError(f"{origin} has no examples; the {split} split of {language} needs at least one")
        return rows, origin, len(every) - len(usable)

    def _draw(self, examples: Examples, rows: list[RawRow], limit: int) -> list[int]:
        """Places of the examples that a limit leaves of a language by itself."""
        family = data_kinds()[self.card.kind].family
        strata: list[str] | None = None
        if family == "classification":
            strata = examples.table["label"].to_list()
        elif family == "qa":
            group = self.card.columns.group
            articles = [row.values.get(group) for row in rows] if group is not None else [None]
            strata = examples.table["passage"].to_list() if None in articles else [str(title) for title in articles]
        names = limit_draw.unique(examples.table["id"].to_list())
        return limit_draw.drawn(family, names, strata, limit, dataset=self.card.name, split=examples.split)

    def _the_same(self, examples: Examples, rows: list[RawRow], limit: int) -> list[int]:
        """Places of the examples that a limit leaves in every language of parallel data."""
        split, names = examples.split, limit_draw.unique(examples.table["id"].to_list())
        if split not in self._drawn:
            whole, of_whole = self._whole(examples, rows)
            its_names = limit_draw.unique(whole.table["id"].to_list())
            places = self._draw(whole, of_whole, limit)
            self._drawn[split] = _Drawn(
                whole.language, {its_names[place] for place in places}, whole=len(places) == len(its_names)
            )
        drawn = self._drawn[split]
        if drawn.whole and len(names) <= limit:
            return list(range(len(names)))
        if not (places := [place for place, name in enumerate(names) if name in drawn.names]):
            raise IsoglossError(
                f"{examples.origin} has none of the {len(drawn.names)} examples of {drawn.reference} that "
                f"data.{split}_limit draws; as {self.card.name} says `parallel: true`, ids mean the same example in "
                "every language: mend the ids, or leave the limit out"
            )
        return places

    def _whole(self, examples: Examples, rows: list[RawRow]) -> tuple[Examples, list[RawRow]]:
        """The reference's split before it is drawn from."""
        known = [Language.parse(code) for code in self.card.languages]
        for language in [self.reference or Language.parse(self.card.source), *known]:
            if language == examples.language:
                return examples, rows
            if language not in known:
                continue
            try:
                its_rows, origin, _ = self._usable(language, examples.split)
            except MissingError:
                continue
            return Examples(language, examples.split, examples_table(its_rows, self.card), origin), its_rows
        return examples, rows

    def _rows(self, language: Language, split: Split) -> tuple[list[RawRow], str]:
        code = self.card.code(language)
        columns = [name for name in self.card.columns.model_dump(exclude={"group"}).values() if name is not None]
        if self.card.generator is not None:
            table: pl.DataFrame = importlib.import_module(self.card.generator).examples(code, split)
            return [RawRow(f"{self.card.name} {row['id']}", row) for row in table.iter_rows(named=True)], self.card.name
        if self.path is not None and self.card.local is not None:
            return self._local(self.path, self.card.local, code, split, columns)
        if self.card.hub is None:
            raise IsoglossError(f"{self.card.name} is not on the hub; give data.path")
        if split not in self.card.hub.splits:
            raise self._missing(split)
        part = self.card.hub.splits[split]
        from isogloss.data.hub import read_hub

        rows = read_hub(self.card, self.card.hub, code, split_slices.name(part), columns, revision=self.revision)
        return self._part(part, self._in_language(rows, code)), f"{self.card.name} ({code}, {part}) on the hub"

    def _missing(self, split: Split) -> MissingError:
        return MissingError(
            f"{self.card.name} has no {split} split; make one of parts of others (data.splits), or give another "
            "data set to train on (data.train)"
        )

    def _in_language(self, rows: list[RawRow], code: str) -> list[RawRow]:
        """The rows in the language of that code, where one file holds all languages."""
        if (only := self.card.only) is None:
            return rows
        return [row for row in rows if only.holds(row.values[only.column], code)]

    def _part(self, part: str, rows: list[RawRow]) -> list[RawRow]:
        group = self.card.columns.group
        if group is None or "[" not in part:
            return split_slices.part(part, rows)
        if rows and group not in rows[0].values:
            raise IsoglossError(f"{rows[0].where} has no column {group!r}, by which {self.card.name} is divided")
        return split_slices.part(part, rows, lambda row: row.values[group])

    def _local(
        self, folder: Path, local: Local, code: str, split: Split, columns: list[str]
    ) -> tuple[list[RawRow], str]:
        if split not in local.splits:
            raise self._missing(split)
        part = local.splits[split]
        path = folder / local.path.format(code=code, split=split_slices.name(part))
        wanted = columns if local.split_column is None else [*columns, local.split_column]
        rows = READERS[local.format](path, wanted, local.header)
        if local.split_column is not None:
            rows = [row for row in rows if row.values[local.split_column] == split_slices.name(part)]
        return self._part(part, self._in_language(rows, code)), f"{path} ({part})" if local.split_column else str(path)


def open_data(
    task: str,
    *,
    path: Path | None = None,
    limits: dict[Split, int] | None = None,
    splits: dict[Split, str] | None = None,
    labels: dict[str, str] | None = None,
    card: dict[str, Any] | None = None,
    train: tuple[str, Path | None] | None = None,
) -> DataSet:
    """A data set by the name of its card.

    Args:
        task: the card; or `custom`, whose card is given or lies in the folder as `card.yaml`.
        path: a folder in the data set's own layout; left out: the hub, or what a package ships.
        limits: at most so many examples of a split.
        splits: parts of splits that stand for others.
        labels: labels that are read as others, beside the card's own aliases.
        card: the card of a `custom` task.
        train: the data set to train and select on instead, and its folder; left out: what the card says.

    Raises:
        IsoglossError: no such card or folder, or the folder does not look like the data set.
    """
    chosen = _custom(path, card) if task == CUSTOM else find(task)
    known = {*chosen.labels, *(label.partition("-")[2] for label in chosen.labels if "-" in label)}
    for label in (labels or {}).values():
        if label not in known:
            raise unknown(f"label of {chosen.name}", label, known)
    if train is None and chosen.train is not None and path is None:
        train = chosen.train, None
    trainer = None
    if train is not None:
        for split in ("train", "dev"):
            if split_slices.name((splits or {}).get(split, split)) == "test":
                raise IsoglossError(
                    f"data.splits.{split} is a part of test, but {task} is trained on {train[0]} here; leave it out, "
                    f"or give data.path, a folder with {task}, to train on parts of that"
                )
        trainer = _trainer(chosen, _opened(find(train[0]), train[1], limits, splits, labels))
    opened = _opened(chosen, path, limits, splits, labels, trainer)
    if not opened.languages():
        assert chosen.local is not None
        raise IsoglossError(f"data.path {path} holds no language of {task}; expected files such as {chosen.local.path}")
    return opened


def _opened(
    card: Card,
    path: Path | None,
    limits: dict[Split, int] | None,
    splits: dict[Split, str] | None,
    labels: dict[str, str] | None,
    trainer: DataSet | None = None,
) -> DataSet:
    if path is not None and card.local is None:
        origin = "is made from a package" if card.generator is not None else "is read from the hub alone"
        raise IsoglossError(f"{card.name} {origin}; leave data.path out")
    if path is not None and card.local is not None and not path.is_dir():
        if path.parent == frames_folder():
            raise IsoglossError(
                f"the examples that were given from Python are no longer in {path.parent}; give them again"
            )
        raise IsoglossError(f"data.path {path} is no folder; expected {card.name} with files such as {card.local.path}")
    aliased = card.model_copy(update={"aliases": card.aliases | (labels or {})})
    return DataSet(aliased, path, limits or {}, splits or {}, trainer)


def _trainer(tested: Card, opened: DataSet) -> DataSet:
    card = opened.card
    kind = data_kinds()[card.kind]
    strange = {kind.renamed(label, card) for label in card.labels} - set(tested.labels)
    if strange or kind.family != data_kinds()[tested.kind].family:
        raise IsoglossError(
            f"{card.name} cannot train for {tested.name}: it is {card.kind}"
            + (f" with other labels ({', '.join(sorted(strange))}); map them with data.labels" if strange else "")
        )
    return opened


def _custom(path: Path | None, card: dict[str, Any] | None) -> Card:
    if path is None:
        raise IsoglossError("task custom needs data.path, the folder with the files")
    if card is not None:
        return read_card(card, where="data.card")
    if not path.is_dir():
        raise IsoglossError(f"data.path {path} is no folder; expected the folder with the files, as seen from here")
    beside = path / "card.yaml"
    if not beside.is_file():
        raise IsoglossError(f"task custom needs a card: data.card, or {beside}; `isogloss data-card {path}` drafts one")
    return read_card(yaml.load(beside), where=str(beside))
