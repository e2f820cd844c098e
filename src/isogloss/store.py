"""The run directory: what a run leaves, and how it is written so that nothing is ever half there.

A finished cell is one folder, `weights/METHOD/SEED/`, that appears by a single rename. The tables at the top of the
run directory are put together from these folders, so they hold finished cells and nothing else, and several processes
may work on one directory: what they write, they write under one lock. What is read is checked: a directory may have
been copied, cut off, or sent by somebody.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.errors import IsoglossError
from isogloss.run_directory.cell import FinishedCell, StoredCell, StoredWeights
from isogloss.run_directory.combined_tables import write_combined
from isogloss.run_directory.comparison import refuse_comparison
from isogloss.run_directory.damage import DamagedError, refuse_strange
from isogloss.run_directory.record import (
    RunRecord,
    fingerprint,
    in_order,
    label_of,
    safe_name,
)
from isogloss.run_directory.tables import (
    CONFIDENCE,
    HISTORY,
    PREDICTIONS,
    SCORES,
    TABLES,
    read_table,
    rows,
    without_others,
)
from isogloss.runtime import yaml
from isogloss.runtime.console import err
from isogloss.runtime.files import atomic_file, sweep
from isogloss.runtime.json import load_mapping
from isogloss.runtime.locks import DirectoryLock
from isogloss.spec import ResolvedSpec, check

__all__ = [
    "CONFIDENCE", "HISTORY", "PREDICTIONS", "SCORES", "TABLES", "DamagedError", "FinishedCell", "RunRecord", "Snapshot",
    "Store", "StoredCell", "StoredWeights", "fingerprint", "in_order", "label_of", "rows", "safe_name",
]  # fmt: skip
FORMAT = 2  # of the run directory
LARGE = (
    16 << 20
)  # bytes of a table's file above which it is read a cell at a time: in memory it takes twenty times that
_SEED = re.compile(r"[0-9]+")
_ASIDE = re.compile(r"\..*|.*\.damaged(-[0-9]+)?")  # what is on its way, and what was put out of it
_told: set[Path] = set()  # folders of which was said that they are left out


class Store:
    """A run directory.

    Args:
        path: where it is or will be.

    Raises:
        IsoglossError: there is a folder with other things in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_dir():
            raise IsoglossError(f"{path} is a file; expected a run directory or a new name")
        refuse_comparison(path)
        environment = self.environment()
        if environment:
            if environment.get("tool") != "isogloss":
                raise IsoglossError(f"{path} was not written by isogloss; expected a run directory or a new one")
            if environment.get("format") != FORMAT:
                raise IsoglossError(
                    f"{path} has the format {environment.get('format')}, expected {FORMAT}; choose another --out"
                )
            return
        # A file browser or a network file system may have left a dot file in a new folder.
        # And a search comes before the run begins, with logs of trainings that failed.
        strange = path.is_dir() and any(
            not entry.name.startswith(".") and entry.name not in {"search", "logs"} for entry in path.iterdir()
        )
        if strange and not ((path / "spec.yaml").is_file() and (path / "weights").is_dir()):
            raise IsoglossError(
                f"{path} holds files that isogloss did not write; expected a run directory or a new name"
            )

    @cached_property
    def lock(self) -> DirectoryLock:
        """Held for as long as something is written; whoever holds it may take it again.

        Raises:
            IsoglossError: nothing can be written there, or something in it leads elsewhere.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise IsoglossError(f"{self.path} cannot be made: {error.strerror}; choose another --out") from error
        if not self.writable:
            raise IsoglossError(f"{self.path} cannot be written to; choose another --out, or copy it first")
        refuse_strange(self.path)
        return DirectoryLock(self.path)

    @property
    def writable(self) -> bool:
        """Whether something could be written there; it may lie on a disk that is only to be read."""
        return os.access(self.path, os.W_OK)

    def folder(self, label: str, seed: int) -> Path:
        """Where a cell lies once it is finished."""
        return self.path / "weights" / safe_name(label) / str(seed)

    def checkpoint(self, label: str, seed: int) -> Path:
        """Where a cell's training stands."""
        return self.path / "checkpoints" / safe_name(label) / str(seed) / "lane.safetensors"

    def begin(self, spec: ResolvedSpec, environment: Mapping[str, Any]) -> None:
        """Write what the run is to be, and remove what processes that were killed have left half written."""
        with self.lock:
            for folder, _, _ in os.walk(self.path):
                sweep(Path(folder))
            for of_method in _folders(self.path / "checkpoints"):
                for checkpoints in [*_folders(of_method), of_method / "none"]:
                    cell = self.path / "weights" / of_method.name / checkpoints.name
                    if (cell / "run.json").exists() or checkpoints.name == "none":
                        self._drop(checkpoints)
            with atomic_file(self.path / "environment.json") as file:
                file.write_text(json.dumps({"tool": "isogloss", "format": FORMAT, **environment}, indent=2) + "\n")
            with atomic_file(self.path / "spec.yaml") as file:
                file.write_text(yaml.dumps(spec.model_dump(mode="json")), encoding="utf-8")

    def spec(self) -> ResolvedSpec | None:
        """The spec as resolved; None before the run has begun.

        Raises:
            IsoglossError: what is stored is no such spec.
        """
        file = self.path / "spec.yaml"
        return check(ResolvedSpec, yaml.load(file), where=str(file)) if file.is_file() else None

    def known_spec(self) -> ResolvedSpec:
        """The spec of a directory in which something is finished.

        Raises:
            IsoglossError: it is not there any more, or is none.
        """
        file = self.path / "spec.yaml"
        mend = "run the same spec again with --out to write it anew; what is finished is not trained again"
        if not file.is_file():
            raise IsoglossError(f"{file} is missing; {mend}")
        try:
            spec = self.spec()
        except IsoglossError as error:
            raise IsoglossError(f"{error}; {mend}") from error
        assert spec is not None
        return spec

    def environment(self) -> dict[str, Any]:
        """What the run was last begun with: versions, machine, hashes of data and weights; empty if that is lost."""
        return load_mapping(self.path / "environment.json")

    def finished(self) -> list[StoredCell]:
        """Every finished cell, by method and seed. A folder that is not the cell that its record names is left out.

        Raises:
            DamagedError: a record is none.
        """
        cells = []
        for of_method in _folders(self.path / "weights"):
            for folder in _folders(of_method):
                if _ASIDE.fullmatch(folder.name) or not (folder / "run.json").exists():
                    continue
                if _SEED.fullmatch(folder.name) and (cell := StoredCell.read(folder)).folder == self.folder(*cell.key):
                    cells.append(cell)
                elif folder not in _told:
                    _told.add(folder)
                    what = f"{folder} is left out: it is not the folder of the cell in it; a copy counts as nothing"
                    err.print(what, markup=False, soft_wrap=True)
        return sorted(cells, key=lambda cell: cell.key)

    def labels(self) -> list[str]:
        """The labels of all finished cells: methods as the spec has them, variants by their values."""
        return in_order([cell.record for cell in self.finished()], list(self.known_spec().methods))

    def has(self, label: str, seed: int) -> StoredCell | None:
        """A cell, if it is finished. A copy of another one in its place is none."""
        folder = self.folder(label, seed)
        cell = StoredCell.read(folder) if (folder / "run.json").exists() else None
        return cell if cell is not None and cell.key == (label, seed) else None

    def put(self, cell: FinishedCell, order: Sequence[str] = ()) -> None:
        """Store a cell: all of it or nothing. Of one that is stored, the languages that it lacks are added.

        Args:
            cell: what is finished.
            order: in which languages stand in the tables of a cell to which some are added.

        Raises:
            IsoglossError: another cell of that method and seed is stored, or there is none to add languages to.
        """
        from isogloss.run_directory.writing import add_languages, write_cell  # with torch, which reading needs not

        label, seed = cell.record.method, cell.record.seed
        target = self.folder(label, seed)
        with self.lock:
            if (stored := self.has(label, seed)) is not None:
                self._refuse_another(stored, cell.record)
                add_languages(stored, cell, order)
            elif cell.weights is None:
                raise IsoglossError(
                    f"{target} is gone, to which languages were to be added; run again to train it anew"
                )
            else:
                write_cell(target, cell)
            self._drop(self.checkpoint(label, seed).parent)

    def _drop(self, checkpoints: Path) -> None:
        """A cell's checkpoints, which nobody needs any more."""
        shutil.rmtree(checkpoints, ignore_errors=True)
        with suppress(OSError):  # others are in it
            checkpoints.parent.rmdir()
            checkpoints.parent.parent.rmdir()

    def _refuse_another(self, stored: StoredCell, record: RunRecord) -> None:
        """Whether a process that had lost its lease comes with the same cell, or with another one of that name."""
        before, now = stored.record, record
        same = fingerprint(before.facts) == fingerprint(now.facts)
        if not same or any(before.test_data.get(code, data) != data for code, data in now.test_data.items()):
            raise IsoglossError(
                f"{self.path} holds {now.method} seed {now.seed}, which another process has made differently "
                "meanwhile; give the method another name, or choose another --out"
            )

    def gather(self) -> None:
        """Put the tables together anew from the finished cells."""
        with self.lock:
            cells = self.finished()
            for name in TABLES:
                with atomic_file(self.path / f"{name}.parquet") as file:
                    write_combined(file, name, cells)

    def table(self, name: str) -> pl.DataFrame:
        """One of the tables, with all that is finished, though a run may have been killed before it was gathered.

        Raises:
            IsoglossError: nothing is finished, or a cell is damaged.
        """
        cells = self.finished()
        if not cells:
            raise IsoglossError(f"{self.path} has no {name}.parquet; run the experiment first")
        table = self._gathered(name, cells)
        return _together(cells, name) if table is None else table

    def parts(self, name: str) -> Iterator[pl.DataFrame]:
        """The same rows piece by piece: all at once where they are few, else a cell at a time.

        Raises:
            IsoglossError: nothing is finished, or a cell is damaged.
        """
        if self._large(name):
            yield from (cell.table(name) for cell in self.finished())
        else:
            yield self.table(name)

    def _large(self, name: str) -> bool:
        """Whether all rows together may be too many to be in memory."""
        file = self.path / f"{name}.parquet"
        return file.is_file() and file.stat().st_size > LARGE

    def snapshot(self) -> Snapshot:
        """The directory as it is now: whatever is finished later does not come between one look at it and the next."""
        return Snapshot(self.path, self.finished())

    @property
    def outdated(self) -> bool:
        """Whether it holds more than is looked at."""
        return False

    def _gathered(self, name: str, cells: Sequence[StoredCell]) -> pl.DataFrame | None:
        """These cells' rows of a table as it lies at the top; None if it lacks some, or is no such table."""
        file = self.path / f"{name}.parquet"
        if not file.is_file():
            return None
        try:
            return without_others(read_table(file, name), name, {row for cell in cells for row in cell.rows_of(name)})
        except IsoglossError:
            return None


class Snapshot(Store):
    """A run directory as it was at one moment, while others may be at work on it.

    Args:
        path: where it is.
        cells: that were finished then.
    """

    def __init__(self, path: Path, cells: Sequence[StoredCell]) -> None:
        super().__init__(path)
        self._cells = list(cells)
        self._tables: dict[str, pl.DataFrame] = {}

    def finished(self) -> list[StoredCell]:
        """Every cell that was finished then."""
        return list(self._cells)

    def table(self, name: str) -> pl.DataFrame:
        """One of the tables as it was then; it stays in memory."""
        if name not in self._tables:
            self._tables[name] = super().table(name)
        return self._tables[name]

    def mend(self) -> None:
        """Put the tables together anew where they do not hold what is finished, if they can be written."""
        large = {name for name in TABLES if self._large(name)}
        tables = {name: self._gathered(name, self._cells) for name in TABLES if name not in large}
        self._tables |= {name: table for name, table in tables.items() if table is not None}
        lacking = len(self._tables) + len(large) < len(TABLES) or any(map(self._older, large))
        if lacking and self.writable:
            Store(self.path).gather()

    def _older(self, name: str) -> bool:
        """Whether a cell was finished after a table was put together, which is too large to be looked at."""
        gathered = (self.path / f"{name}.parquet").stat().st_mtime_ns
        return any((cell.folder / "run.json").stat().st_mtime_ns > gathered for cell in self._cells)

    @property
    def outdated(self) -> bool:
        """Whether something was finished since."""
        return [cell.record for cell in Store(self.path).finished()] != [cell.record for cell in self._cells]


def _together(cells: Sequence[StoredCell], name: str) -> pl.DataFrame:
    return pl.concat([cell.table(name) for cell in cells]) if cells else pl.DataFrame(schema=TABLES[name])


def _folders(path: Path) -> Iterator[Path]:
    """The folders in a folder; none where there is none."""
    if not path.is_dir():
        if path.exists():
            raise IsoglossError(f"{path} is a file, where isogloss has a folder; move it away and run again")
        return
    yield from sorted(entry for entry in path.iterdir() if entry.is_dir())
