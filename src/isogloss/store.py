"""The run directory: what a run leaves, and how it is written so that nothing is ever half there.

A finished cell is one folder, `weights/METHOD/SEED/`, that appears by a single rename. The tables at the top of the
run directory are put together from these folders, so they hold finished cells and nothing else, and several processes
may work on one directory.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from safetensors.torch import load_file, save_file
from torch import Tensor

from isogloss.errors import IsoglossError
from isogloss.runtime import yaml
from isogloss.runtime.files import atomic_file, atomic_folder

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


@dataclass(frozen=True)
class Finished:
    """A stored cell."""

    folder: Path
    record: dict[str, Any]  # run.json

    @property
    def key(self) -> tuple[str, int]:
        """Method label and seed."""
        return self.record["method"], self.record["seed"]

    def weights(self) -> dict[str, Tensor]:
        """The stored tensors by name."""
        return load_file(self.folder / "weights.safetensors")

    def table(self, name: str) -> pl.DataFrame:
        """This cell's rows of a table."""
        return pl.read_parquet(self.folder / f"{name}.parquet")


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
        strange = path.is_dir() and any(not found.name.startswith(".") for found in path.iterdir())
        if strange and not marker.is_file():
            raise IsoglossError(f"{path} holds files that isogloss did not write; choose another --out")
        if marker.is_file():
            found = _json(marker)
            if found.get("tool") != "isogloss":
                raise IsoglossError(f"{path} was not written by isogloss; choose another --out")
            if found.get("format") != FORMAT:
                raise IsoglossError(
                    f"{path} has the format {found.get('format')}, expected {FORMAT}; choose another --out"
                )

    def folder(self, label: str, seed: int) -> Path:
        """Where a cell lies once it is finished."""
        return self.path / "weights" / safe_name(label) / str(seed)

    def checkpoint(self, label: str, seed: int) -> Path:
        """Where a cell's training stands."""
        return self.path / "checkpoints" / safe_name(label) / str(seed) / "train_state.safetensors"

    def begin(self, spec: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
        """Write what the run is to be."""
        self.path.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.path / "environment.json") as file:
            file.write_text(json.dumps({"tool": "isogloss", "format": FORMAT, **environment}, indent=2) + "\n")
        with atomic_file(self.path / "spec.yaml") as file:
            file.write_text(yaml.dumps(dict(spec)), encoding="utf-8")

    def spec(self) -> dict[str, Any]:
        """The spec as resolved; nothing before the run has begun."""
        if not (self.path / "spec.yaml").is_file():
            return {}
        raw = yaml.load(self.path / "spec.yaml")
        if not isinstance(raw, dict):
            raise IsoglossError(f"{self.path / 'spec.yaml'} is not a spec")
        return raw

    def finished(self) -> list[Finished]:
        """Every finished cell, by method and seed."""
        found = [Finished(file.parent, _json(file)) for file in self.path.glob("weights/*/[0-9]*/run.json")]
        return sorted(found, key=lambda cell: cell.key)

    def finish(self, record: dict[str, Any], tensors: Mapping[str, Tensor], tables: Mapping[str, pl.DataFrame]) -> None:
        """Store a cell: all of it or nothing.

        Args:
            record: method, seed, settings, facts and all that `predict` needs.
            tensors: trained weights.
            tables: scores, predictions and history of this cell.
        """
        target = self.folder(record["method"], record["seed"])
        with atomic_folder(target) as folder:
            save_file(
                {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, folder / "weights.safetensors"
            )
            for name, table in tables.items():
                table.write_parquet(folder / f"{name}.parquet")
            (folder / "run.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        shutil.rmtree(self.checkpoint(record["method"], record["seed"]).parent, ignore_errors=True)

    def extend(self, cell: Finished, record: dict[str, Any], scores: pl.DataFrame, predictions: pl.DataFrame) -> None:
        """Add languages to a finished cell. `run.json`, which names them, is written last and decides."""
        for name, new in (("predictions", predictions), ("scores", scores)):
            with atomic_file(cell.folder / f"{name}.parquet") as file:
                pl.concat([_known_languages(cell, name), new]).write_parquet(file)
        with atomic_file(cell.folder / "run.json") as file:
            file.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def gather(self) -> None:
        """Put the tables together anew from the finished cells."""
        cells = self.finished()
        for name, schema in TABLES.items():
            parts = [_known_languages(cell, name) for cell in cells]
            table = pl.concat(parts) if parts else pl.DataFrame(schema=schema)
            with atomic_file(self.path / f"{name}.parquet") as file:
                table.write_parquet(file)

    def table(self, name: str) -> pl.DataFrame:
        """One of the tables at the top."""
        try:
            return pl.read_parquet(self.path / f"{name}.parquet")
        except FileNotFoundError as error:
            raise IsoglossError(f"{self.path} has no {name}.parquet; run the experiment first") from error


def _known_languages(cell: Finished, name: str) -> pl.DataFrame:
    """A cell's rows, without those of languages whose scoring was cut off."""
    table = cell.table(name)
    if name == "history":
        return table
    return table.filter(pl.col("language").is_in(list(cell.record["test_data"])) | (pl.col("split") != "test"))


def rows(schema: Mapping[str, Any], values: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows as a table of that schema; what a row does not name is null."""
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in values], schema=dict(schema))


def safe_name(label: str) -> str:
    """A method's label as a folder name that every file system takes; unlike labels have unlike names."""
    safe = re.sub(r"[^A-Za-z0-9._=,+-]", "_", label)
    # Brackets stand around every variant and tell nothing apart; whatever else had to go might.
    plain = re.fullmatch(r"[A-Za-z0-9._=,+-]*(\[[A-Za-z0-9._=,+-]*\])?", label) and len(label) <= LONGEST_NAME
    return safe if plain else f"{safe[:LONGEST_NAME]}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IsoglossError(f"{path} could not be read: {error}") from error
    if not isinstance(value, dict):
        raise IsoglossError(f"{path} is not what isogloss writes there")
    return value
