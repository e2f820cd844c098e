"""Data sets by name: one source language to train in, many to be scored in."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import polars as pl

from isogloss.data import limits as limit_draw
from isogloss.data import split_slices
from isogloss.data.card_checks import known_labels
from isogloss.data.cards import CUSTOM, SPLITS, Card, Split, cards, find
from isogloss.data.custom_card import custom_card
from isogloss.data.examples import Examples
from isogloss.data.kinds.registry import data_kinds
from isogloss.data.label_column import Labels, read_either_way, refuse_partly
from isogloss.data.local_files import expected_files, has, in_language, read_local
from isogloss.data.raw_row import RawRow
from isogloss.data.tables import examples_table, words_in
from isogloss.errors import IsoglossError, MissingError, unknown
from isogloss.languages.language import Language
from isogloss.runtime.cache import frames_folder

__all__ = ["Card", "DataSet", "Examples", "cards", "find", "open_data"]


@dataclass(frozen=True)
class _Drawn:
    """What a limit draws of parallel data, for all languages."""

    reference: Language
    names: set[str]
    whole: bool  # whether it leaves all of the reference's


@dataclass(frozen=True)
class _UsableRows:
    """What a split holds, as it is read."""

    rows: list[RawRow]  # without void ones
    origin: str
    dropped: int  # void ones
    labelled: bool  # whether labels are read


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
        if self.path is None or not self.card.local:
            return known
        taken = cast(Split, split_slices.name(self.splits.get("test", "test")))
        if not any(taken in layout.splits for layout in self.card.local):
            raise self._missing(taken)
        return [language for language in known if has(self.card, self.path, language, taken)]

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

    def examples(self, language: Language, split: Split, labels: Labels = "needed") -> Examples:
        """One split in one language.

        Args:
            language: one of the card's.
            split: which.
            labels: whether the examples have to have them, or are looked at at all.

        Raises:
            IsoglossError: it is missing, empty, or holds something that cannot be right.
        """
        if self.trainer is not None and split != "test":
            return self.trainer.examples(self.trainer.card.language(str(language)), split)
        limit = self.limits.get(split)
        usable = self._usable(language, split, labels)
        rows, origin, labelled = usable.rows, usable.origin, usable.labelled
        whole = None if limit is None else len(rows)
        if limit is not None and self.first_rows:
            rows, limit = rows[:limit], None
        table = examples_table(rows, self.card, labelled=labelled)
        empty = words_in(rows, self.card) - words_in(table, self.card)
        examples = Examples(language, split, table, origin, usable.dropped, empty, labelled, whole)
        if limit is None:
            return examples
        if not self.card.parallel:
            return examples.taken(self._draw(examples, rows, limit))
        return examples.taken(self._the_same(examples, rows, limit))

    def read_for(self, source: Language, *, first_rows: bool = False) -> DataSet:
        """The same data, as a source's experiment reads them: see `reference` and `first_rows`."""
        trainer = None if self.trainer is None else self.trainer.read_for(source, first_rows=first_rows)
        return replace(self, reference=source, trainer=trainer, first_rows=first_rows)

    @property
    def limit_facts(self) -> dict[str, Any] | None:
        """The limits, and how they draw; None where there are none, or nothing is drawn."""
        if not self.limits or self.first_rows:
            return None
        how = limit_draw.HOW[data_kinds()[self.card.kind].family]
        return {**{split: self.limits[split] for split in SPLITS if split in self.limits}, "drawn": how}

    def _usable(self, language: Language, split: Split, labels: Labels) -> _UsableRows:
        taken = self.splits.get(split, split)
        read = partial(self._rows, language, cast(Split, split_slices.name(taken)))
        every, origin, labelled = read_either_way(read, self.card, self._columns, labels)
        usable = [row for row in every if not self._is_void(row, labelled=labelled)]
        rows = self._part(taken, usable)
        labelled = labelled and labels != "ignored"
        if labelled:
            refuse_partly(rows, self.card, scored=split == "test")
        if not rows:
            void = len(every) - len(usable)
            beside = f" beside {void:,} void row{'s' if void > 1 else ''}" if void else ""
            raise IsoglossError(f"{origin} has no examples{beside}; the {split} split of {language} needs at least one")
        return _UsableRows(rows, origin, len(every) - len(usable), labelled)

    @property
    def _columns(self) -> list[str]:
        """The columns that rows have to have."""
        named = self.card.columns.model_dump(exclude={"group"}).values()
        return list(dict.fromkeys([*(name for name in named if name is not None), *self.card.void]))

    def _draw(self, examples: Examples, rows: list[RawRow], limit: int) -> list[int]:
        """Places of the examples that a limit leaves of a language by itself."""
        family = data_kinds()[self.card.kind].family
        strata: list[str] | None = None
        if family == "classification" and examples.labelled:
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
                its = self._usable(language, examples.split, "any")
            except MissingError:
                continue
            table = examples_table(its.rows, self.card, labelled=its.labelled)
            return Examples(language, examples.split, table, its.origin, labelled=its.labelled), its.rows
        return examples, rows

    def _rows(self, language: Language, split: Split, columns: list[str]) -> tuple[list[RawRow], str]:
        code = self.card.code(language)
        if self.card.generator is not None:
            table: pl.DataFrame = importlib.import_module(self.card.generator).examples(code, split)
            return [RawRow(f"{self.card.name} {row['id']}", row) for row in table.iter_rows(named=True)], self.card.name
        if self.path is not None and self.card.local:
            if not any(split in layout.splits for layout in self.card.local):
                raise self._missing(split)
            rows, part, origin = read_local(self.card, self.path, language, split, columns)
            return self._part(part, rows), origin
        if (hub := self.card.hub) is None:
            raise IsoglossError(f"{self.card.name} is not on the hub; give data.path")
        if split not in hub.splits:
            raise self._missing(split)
        part, only = hub.splits[split], hub.only or self.card.only
        if only is not None and only.column not in columns:
            columns = [*columns, only.column]
        from isogloss.data.hub import read_hub

        rows = read_hub(self.card, hub, code, split_slices.name(part), columns, revision=self.revision)
        return self._part(part, in_language(rows, only, code)), f"{self.card.name} ({code}, {part}) on the hub"

    def _is_void(self, row: RawRow, *, labelled: bool) -> bool:
        """Whether the card says that there is no example in a row; of rows without labels, what a label says is open.

        A label that says so is heeded where labels are ignored, too: it says nothing of what is right.
        """
        label = self.card.columns.label
        if labelled and self.card.drop and row.values.get(label) in self.card.drop:
            return True
        void = self.card.void.items()
        return any(row.values.get(column) in values for column, values in void if labelled or column != label)

    def _missing(self, split: Split) -> MissingError:
        return MissingError(
            f"{self.card.name} has no {split} split; make one of parts of others (data.splits), or give another "
            "data set to train on (data.train)"
        )

    def _part(self, part: str, rows: list[RawRow]) -> list[RawRow]:
        group = self.card.columns.group
        if group is None or "[" not in part:
            return split_slices.part(part, rows)
        if rows and group not in rows[0].values:
            raise IsoglossError(f"{rows[0].where} has no column {group!r}, by which {self.card.name} is divided")
        return split_slices.part(part, rows, lambda row: row.text(group))


def open_data(
    task: str,
    *,
    path: Path | None = None,
    limits: dict[Split, int] | None = None,
    splits: dict[Split, str] | None = None,
    labels: dict[str, str] | None = None,
    card: dict[str, Any] | None = None,
    train: tuple[str, Path | None] | None = None,
    train_card: dict[str, Any] | None = None,
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
        train_card: the card of these, where they are `custom` too.

    Raises:
        IsoglossError: no such card or folder, or the folder does not look like the data set.
    """
    chosen = custom_card(path, card, "data") if task == CUSTOM else find(task)
    known = known_labels(chosen.labels)
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
        name, folder = train
        taught = custom_card(folder, train_card, "data.train") if name == CUSTOM else find(name)
        trainer = _trainer(chosen, _opened(taught, folder, limits, splits, labels, key="data.train.path"))
    opened = _opened(chosen, path, limits, splits, labels, trainer)
    if not opened.languages():
        raise IsoglossError(
            f"data.path {path} holds no language of {task}; expected files such as {expected_files(chosen)}"
        )
    return opened


def _opened(
    card: Card,
    path: Path | None,
    limits: dict[Split, int] | None,
    splits: dict[Split, str] | None,
    labels: dict[str, str] | None,
    trainer: DataSet | None = None,
    *,
    key: str = "data.path",
) -> DataSet:
    if path is not None and not card.local:
        origin = "is made from a package" if card.generator is not None else "is read from the hub alone"
        raise IsoglossError(f"{card.name} {origin}; leave {key} out")
    if path is not None and not path.is_dir():
        if path.parent == frames_folder():
            raise IsoglossError(
                f"the examples that were given from Python are no longer in {path.parent}; give them again"
            )
        raise IsoglossError(
            f"{key} {path} is no folder; expected {card.name} with files such as {expected_files(card)}"
        )
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
