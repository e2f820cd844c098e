"""The run directory: what a run leaves, and how it is written so that nothing is ever half there.

A finished cell is one folder, `weights/METHOD/SEED/`, that appears by a single rename. The tables at the top of the
run directory are put together from these folders, so they hold finished cells and nothing else, and several processes
may work on one directory: what they write, they write under one lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import polars as pl
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from isogloss.errors import IsoglossError
from isogloss.runtime import yaml
from isogloss.runtime.files import atomic_file, atomic_folder
from isogloss.spec import ResolvedSpec, check

SCORES: dict[str, Any] = {
    "backbone": pl.String, "task": pl.String, "method": pl.String, "seed": pl.Int64, "source": pl.String,
    "language": pl.String, "split": pl.String, "metric": pl.String, "value": pl.Float64, "n": pl.Int64,
}  # fmt: skip
PREDICTIONS: dict[str, Any] = {
    "method": pl.String, "seed": pl.Int64, "language": pl.String, "split": pl.String, "example": pl.String,
    "gold": pl.String, "predicted": pl.String, "score": pl.Float32,
}  # fmt: skip
HISTORY: dict[str, Any] = {
    "method": pl.String, "seed": pl.Int64, "step": pl.Int64, "epoch": pl.Float64, "tokens": pl.Int64,
    "loss": pl.Float64, "learning_rate": pl.Float64, "metric": pl.String, "value": pl.Float64, "language": pl.String,
}  # fmt: skip
TABLES = {"scores": SCORES, "predictions": PREDICTIONS, "history": HISTORY}
FORMAT = 2  # of the run directory
LONGEST_NAME = 160  # of a folder; file systems take 255 bytes


class RunRecord(BaseModel):
    """What is written of a finished cell beside its weights and tables: `run.json`."""

    model_config = ConfigDict(frozen=True, extra="allow")  # a later version may have more to say

    method: str  # the label: the name, with the variant's settings behind it
    name: str  # in the spec
    variant: dict[str, Any]  # the settings that tell it from others of that name
    seed: int
    facts: dict[str, Any]  # all that decides the result
    test_data: dict[str, str]  # the fingerprint of each language's test split
    kind: str  # of task
    inputs: list[str]  # what an example consists of, for people
    labels: list[str]  # in the order of the head's classes
    trainable_parameters: int
    backbone_parameters: int
    selected_epoch: int
    updates: int
    skipped_updates: int  # whose gradient was not finite
    source_learnt: float | None  # the share of the updates after which the source was learnt
    observed: dict[str, int] | None  # examples of each language that were looked at in training
    truncated: dict[str, int]  # texts of each split that were cut to fit
    environment: dict[str, Any]  # what it was made with
    # Of the data, by split and language or by language; nothing of these was kept before.
    drawn: dict[str, dict[str, list[int]]] = {}  # how many examples a limit has left, of how many
    lacking: dict[str, dict[str, list[str]]] = {}  # labels of the data set of which there is no example
    unknown: dict[str, float] = {}  # share of tokens that the tokenizer does not know
    tokenless: dict[str, int] = {}  # texts that become no token at all
    cut: dict[str, int] = {}  # test texts that were cut to fit

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, raw: Any) -> Any:
        """Records of before 0.2 have the label alone, from which name and variant are read here and nowhere else."""
        if isinstance(raw, dict) and isinstance(raw.get("method"), str) and "name" not in raw:
            name, _, variant = raw["method"].partition("[")
            settings = (raw.get("facts") or {}).get("settings") or {}
            keys = re.findall(r"(?:^|,)(\w+)=", variant)
            values = {key: settings.get(key) for key in keys}
            whole = label_of(name, values.items()) == raw["method"]
            raw = {**raw, "name": name if whole else raw["method"], "variant": values if whole else {}}
        return raw


def label_of(name: str, variant: Iterable[tuple[str, Any]]) -> str:
    """A method's name with the settings of a variant: `deep-prompt[length=16,lr=0.01]`."""
    shown = ",".join(f"{key}={value}" for key, value in variant)
    return f"{name}[{shown}]" if shown else name


@dataclass(frozen=True)
class FinishedCell:
    """A cell as it comes from training: plain data, which can be sent.

    Args:
        record: what is known of it; `test_data` names the languages whose rows are in the tables.
        weights: by name; None where only languages are added to a cell that is stored.
        tables: `scores` and `predictions`, and of a trained cell its `history`.
    """

    record: RunRecord
    weights: Mapping[str, Tensor] | None
    tables: Mapping[str, pl.DataFrame]


class StoredWeights(Mapping[str, Tensor]):
    """Tensors by name, each read when it is asked for: many cells can wait for their turn, and none is in memory.

    Where they are sent to another process, they go as tensors.

    Args:
        file: a safetensors file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def __getitem__(self, name: str) -> Tensor:
        with safe_open(self.file, framework="pt") as tensors:
            if name not in tensors.keys():  # noqa: SIM118 - it is no dict
                raise KeyError(name)
            return cast("Tensor", tensors.get_tensor(name))

    def __iter__(self) -> Iterator[str]:
        with safe_open(self.file, framework="pt") as tensors:
            return iter(list(tensors.keys()))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


@dataclass(frozen=True)
class StoredCell:
    """A cell in a run directory."""

    folder: Path
    record: RunRecord

    @property
    def key(self) -> tuple[str, int]:
        """Method label and seed."""
        return self.record.method, self.record.seed

    def weights(self) -> StoredWeights:
        """The stored tensors by name."""
        return StoredWeights(self.folder / "weights.safetensors")

    def table(self, name: str) -> pl.DataFrame:
        """This cell's rows of a table, without those of languages whose scoring was cut off."""
        table = pl.read_parquet(self.folder / f"{name}.parquet")
        if name == "history":
            return table
        return table.filter(pl.col("language").is_in(list(self.record.test_data)) | (pl.col("split") != "test"))


class Store:
    """A run directory.

    Args:
        path: where it is or will be.

    Raises:
        IsoglossError: there is a folder with other things in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        marker = path / "environment.json"
        if path.exists() and not path.is_dir():
            raise IsoglossError(f"{path} is a file; expected a run directory or a new name")
        # A file browser or a network file system may have left a dot file in a new folder.
        strange = path.is_dir() and any(not entry.name.startswith(".") for entry in path.iterdir())
        if strange and not marker.is_file():
            raise IsoglossError(
                f"{path} holds files that isogloss did not write; expected a run directory or a new name"
            )
        if marker.is_file():
            environment = _json(marker)
            if environment.get("tool") != "isogloss":
                raise IsoglossError(f"{path} was not written by isogloss; expected a run directory or a new one")
            if environment.get("format") != FORMAT:
                raise IsoglossError(
                    f"{path} has the format {environment.get('format')}, expected {FORMAT}; choose another --out"
                )

    @cached_property
    def lock(self) -> FileLock:
        """Held for as long as something is written; whoever holds it may take it again."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise IsoglossError(f"{self.path} cannot be made: {error.strerror}; choose another --out") from error
        if not os.access(self.path, os.W_OK):
            raise IsoglossError(f"{self.path} cannot be written to; choose another --out, or copy it first")
        return FileLock(self.path / ".lock")

    def folder(self, label: str, seed: int) -> Path:
        """Where a cell lies once it is finished."""
        return self.path / "weights" / safe_name(label) / str(seed)

    def checkpoint(self, label: str, seed: int) -> Path:
        """Where a cell's training stands."""
        return self.path / "checkpoints" / safe_name(label) / str(seed) / "lane.safetensors"

    def begin(self, spec: ResolvedSpec, environment: Mapping[str, Any]) -> None:
        """Write what the run is to be."""
        with self.lock:
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

    def environment(self) -> dict[str, Any]:
        """What the run was last begun with: versions, machine, hashes of data and weights."""
        return _json(self.path / "environment.json")

    def finished(self) -> list[StoredCell]:
        """Every finished cell, by method and seed.

        Raises:
            IsoglossError: a record is none.
        """
        files = self.path.glob("weights/*/[0-9]*/run.json")
        return sorted((_stored(file.parent) for file in files), key=lambda cell: cell.key)

    def labels(self) -> list[str]:
        """The labels of all finished cells: methods as the spec has them, variants by their values."""
        spec = self.spec()
        return in_order([cell.record for cell in self.finished()], list(spec.methods) if spec else [])

    def put(self, cell: FinishedCell) -> None:
        """Store a cell: all of it or nothing. Of one that is stored, the languages that it lacks are added.

        Raises:
            IsoglossError: another cell of that method and seed is stored, or there is none to add languages to.
        """
        label, seed = cell.record.method, cell.record.seed
        target = self.folder(label, seed)
        with self.lock:
            if (target / "run.json").is_file():
                stored = _stored(target)
                if fingerprint(stored.record.facts) != fingerprint(cell.record.facts):
                    raise IsoglossError(
                        f"{self.path} holds {label} seed {seed}, which another process has made differently meanwhile; "
                        "give the method another name, or choose another --out"
                    )
                self._add_languages(stored, cell)
            elif cell.weights is None:
                raise IsoglossError(
                    f"{target} is gone, to which languages were to be added; run again to train it anew"
                )
            else:
                with atomic_folder(target) as folder:
                    tensors = {name: tensor.contiguous().cpu() for name, tensor in cell.weights.items()}
                    save_file(tensors, folder / "weights.safetensors")
                    for name, table in cell.tables.items():
                        table.write_parquet(folder / f"{name}.parquet")
                    _write_record(folder / "run.json", cell.record)
            shutil.rmtree(self.checkpoint(label, seed).parent, ignore_errors=True)

    def _add_languages(self, stored: StoredCell, cell: FinishedCell) -> None:
        """`run.json`, which names the languages, is written last and decides."""
        new = {code: data for code, data in cell.record.test_data.items() if code not in stored.record.test_data}
        if not new:
            return
        for name in ("predictions", "scores"):
            rows_of_new = cell.tables[name].filter(pl.col("language").is_in(list(new)), split="test")
            with atomic_file(stored.folder / f"{name}.parquet") as file:
                pl.concat([stored.table(name), rows_of_new]).write_parquet(file)
        before, cut = stored.record, cell.record.truncated.get("test", 0)
        truncated = {**before.truncated, "test": before.truncated.get("test", 0) + cut}
        changes = {"test_data": {**before.test_data, **new}, "truncated": truncated, **_remarks(before, cell.record)}
        with atomic_file(stored.folder / "run.json") as file:
            _write_record(file, before.model_copy(update=changes))

    def gather(self) -> None:
        """Put the tables together anew from the finished cells."""
        with self.lock:
            cells = self.finished()
            for name, schema in TABLES.items():
                parts = [cell.table(name) for cell in cells]
                table = pl.concat(parts) if parts else pl.DataFrame(schema=schema)
                with atomic_file(self.path / f"{name}.parquet") as file:
                    table.write_parquet(file)

    def table(self, name: str) -> pl.DataFrame:
        """One of the tables at the top."""
        try:
            return pl.read_parquet(self.path / f"{name}.parquet")
        except FileNotFoundError as error:
            raise IsoglossError(f"{self.path} has no {name}.parquet; run the experiment first") from error


def _remarks(before: RunRecord, new: RunRecord) -> dict[str, Any]:
    """What is said of the data of a cell to which languages are added."""
    by_split = {
        name: {
            split: {**getattr(before, name).get(split, {}), **getattr(new, name).get(split, {})}
            for split in {**getattr(before, name), **getattr(new, name)}
        }
        for name in ("drawn", "lacking")
    }
    return {
        **by_split,
        **{name: {**getattr(new, name), **getattr(before, name)} for name in ("unknown", "tokenless", "cut")},
    }


def in_order(records: Iterable[RunRecord], names: Sequence[str]) -> list[str]:
    """The labels of cells, each once: methods by the order of their names, variants by their values, 8 before 16.

    Args:
        records: of the cells, in any order.
        names: of the methods, as the spec has them; cells of others come last.
    """

    def rank(record: RunRecord) -> tuple[Any, ...]:
        numbers = [value for value in record.variant.values() if isinstance(value, int | float)]
        return names.index(record.name) if record.name in names else len(names), record.name, numbers, record.method

    return list(dict.fromkeys(record.method for record in sorted(records, key=rank)))


def fingerprint(facts: Mapping[str, Any]) -> str:
    """sha256 of a cell's facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def rows(schema: Mapping[str, Any], values: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows as a table of that schema; what a row does not name is null."""
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in values], schema=dict(schema))


def safe_name(label: str) -> str:
    """A method's label as a folder name that every file system takes; unlike labels have unlike names."""
    safe = re.sub(r"[^A-Za-z0-9._=,+-]", "_", label)
    # Brackets stand around every variant and tell nothing apart; whatever else had to go might.
    plain = re.fullmatch(r"[A-Za-z0-9._=,+-]*(\[[A-Za-z0-9._=,+-]*\])?", label) and len(label) <= LONGEST_NAME
    return safe if plain else f"{safe[:LONGEST_NAME]}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


def _stored(folder: Path) -> StoredCell:
    file = folder / "run.json"
    try:
        return StoredCell(folder, RunRecord.model_validate(_json(file)))
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise IsoglossError(f"{file} is not what isogloss writes there: {key}: {error.errors()[0]['msg']}") from error


def _write_record(file: Path, record: RunRecord) -> None:
    file.write_text(json.dumps(record.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IsoglossError(f"{path} could not be read: {error}") from error
    if not isinstance(value, dict):
        raise IsoglossError(f"{path} is not what isogloss writes there")
    return value
