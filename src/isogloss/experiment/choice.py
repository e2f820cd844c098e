"""Which stored cell labels new texts, and why; chosen from the tables alone, before torch is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isogloss.errors import IsoglossError, unknown
from isogloss.experiment.comparison import ComparisonStore
from isogloss.languages.language import Language
from isogloss.run_directory.comparison import Comparison, comparison_of
from isogloss.runtime.console import err
from isogloss.store import Store, StoredCell


@dataclass(frozen=True)
class Choice:
    """A stored cell, and why it was taken.

    Args:
        cell: the one.
        of: how many it is the best of.
        development: its row of the scores that is of the source's development data.
        asked: whether it was named by method and seed.
    """

    cell: StoredCell
    of: int
    development: dict[str, Any]
    asked: bool

    def __str__(self) -> str:
        """In a line, for people."""
        label, seed = self.cell.key
        if self.asked:
            return f"{label} seed {seed}, as asked for"
        language, row = Language.parse(self.development["language"]), self.development
        of = f"the best of {self.of} models" if self.of > 1 else "the only model"
        return f"{label} seed {seed}: {of}, by {row['metric']} on {language.name} development data ({row['value']:.3f})"


def run_directory(folder: Path) -> Store:
    """A folder that has to be a run directory.

    Raises:
        IsoglossError: it is none.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise IsoglossError(f"{folder} {what}; expected a run directory")
    return Store(folder)


def chosen(stored: Store, method: str | None, seed: int | None) -> Choice:
    """The stored cell that was asked for, or the best on the source's development data.

    Args:
        stored: a run directory.
        method: a label of its methods; None: any.
        seed: of its seeds; None: any.

    Raises:
        IsoglossError: nothing such is stored.
    """
    cells = stored.finished()
    if not cells:
        raise IsoglossError(f"{stored.path} holds no finished run; `isogloss run` makes one")
    labels = {cell.record.method for cell in cells}
    if method is not None and method not in labels:
        raise unknown("method of this run", method, labels)
    of_method = [cell for cell in cells if method in {None, cell.record.method}]
    fitting = [cell for cell in of_method if seed in {None, cell.record.seed}]
    if not fitting:
        seeds = sorted({cell.record.seed for cell in of_method})
        raise IsoglossError(f"{stored.path} has no seed {seed!r}; it has {', '.join(map(str, seeds))}")
    development = [cell.table("scores").filter(split="dev").row(0, named=True) for cell in fitting]
    best = max(range(len(fitting)), key=lambda number: development[number]["value"])
    return Choice(fitting[best], len(fitting), development[best], asked=method is not None and seed is not None)


def choose(stored: Store, method: str | None, seed: int | None) -> StoredCell:
    """The cell of `chosen`."""
    return chosen(stored, method, seed).cell


@dataclass(frozen=True)
class ChosenRun:
    """A run directory, of those that a comparison of backbones may have.

    Args:
        path: the run directory.
        backbone: where its backbone is to be taken from; None: as the run directory says.
    """

    path: Path
    backbone: str | None


def chosen_run(folder: Path, method: str | None, seed: int | None, backbone: str | None) -> ChosenRun:
    """The run directory that is meant: the folder itself, or of a comparison that of one backbone, which is said.

    Args:
        folder: a run directory, or a comparison of backbones.
        method: a label of its methods; None: any.
        seed: of its seeds; None: any.
        backbone: of a comparison, which: None: the one that holds the best on the source's development data. Of a run
            directory, where its backbone is to be taken from.

    Raises:
        IsoglossError: nothing such is stored.
    """
    comparison = comparison_of(folder)
    if comparison is None:
        return ChosenRun(folder, backbone)
    if backbone is not None:
        return ChosenRun(comparison.run_of(backbone), None)
    found = _best_of_each(comparison, method, seed)
    best = max(found, key=lambda name: found[name].development["value"])
    row = found[best].development
    source = Language.parse(row["language"]).name
    of = f"the best of {len(found)} backbones" if len(found) > 1 else "the only backbone that is finished"
    err.print(f"{best}: {of}, by {row['metric']} on {source} development data", markup=False, soft_wrap=True)
    return ChosenRun(comparison.runs[best], None)


def _best_of_each(comparison: Comparison, method: str | None, seed: int | None) -> dict[str, Choice]:
    """The best cell of every backbone that has such a one.

    Raises:
        IsoglossError: none has.
    """
    found: dict[str, Choice] = {}
    stores = ComparisonStore(comparison).started()
    labels = {cell.record.method for stored in stores.values() for cell in stored.finished()}
    if method is not None and method not in labels:
        raise unknown("method of this comparison", method, labels)
    refused: IsoglossError | None = None
    for name, stored in stores.items():
        try:
            found[name] = chosen(stored, method, seed)
        except IsoglossError as error:  # it has not this method, or not this seed
            refused = error
    if not found:
        assert refused is not None
        raise refused
    return found
