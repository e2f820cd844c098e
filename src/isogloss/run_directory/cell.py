"""A finished cell: as it comes from training, and as it lies in a run directory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import polars as pl
from safetensors import SafetensorError, safe_open

from isogloss.errors import IsoglossError
from isogloss.run_directory.damage import DamagedError
from isogloss.run_directory.record import RunRecord, check_facts, read_record
from isogloss.run_directory.tables import cells_and_languages, read_table

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = Any  # a directory is opened, and looked at, without the seconds that torch takes

PIECE = 1 << 22


class EncodedTables(Mapping[str, pl.DataFrame]):
    """Tables as their files will hold them, each decoded when it is asked for.

    Encoding tables is most of what it costs to store a cell. Where it comes from another process, that one has done it.

    Args:
        files: by name, in Parquet.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    @classmethod
    def of(cls, tables: Mapping[str, pl.DataFrame]) -> EncodedTables:
        """Tables, encoded if they are not yet."""
        return tables if isinstance(tables, cls) else cls({name: _encoded(table) for name, table in tables.items()})

    def __getitem__(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(BytesIO(self.files[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


def _encoded(table: pl.DataFrame) -> bytes:
    table.write_parquet(stream := BytesIO())
    return stream.getvalue()


@dataclass(frozen=True)
class FinishedCell:
    """A cell as it comes from training: plain data, which can be sent.

    Args:
        record: what is known of it; `test_data` names the languages whose rows are in the tables.
        weights: by name; None where only languages are added to a cell that is stored.
        tables: `scores` and `predictions`, of a trained cell its `history`, and of one with a temperature `confidence`.
    """

    record: RunRecord
    weights: Mapping[str, Tensor] | None
    tables: Mapping[str, pl.DataFrame]

    def encoded(self) -> FinishedCell:
        """The same, to be sent."""
        return replace(self, tables=EncodedTables.of(self.tables))


class StoredWeights(Mapping[str, Tensor]):
    """Tensors by name, each read when it is asked for: many cells can wait for their turn, and none is in memory.

    Where they are sent to another process, they go as tensors.

    Args:
        file: a safetensors file.
        sha256: of the file, checked before the first tensor is read; None: it is not known.
    """

    def __init__(self, file: Path, sha256: str | None = None) -> None:
        self.file = file
        self.sha256 = sha256

    def __getitem__(self, name: str) -> Tensor:
        with self._opened as tensors:
            if name not in tensors.keys():  # noqa: SIM118 - it is no dict
                raise KeyError(name)
            tensor = cast("Tensor", tensors.get_tensor(name))
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise DamagedError(self.file, f"the tensor {name} holds numbers that are none (NaN or infinite)")
        return tensor

    def __iter__(self) -> Iterator[str]:
        with self._opened as tensors:
            return iter(list(tensors.keys()))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    @property
    def _opened(self) -> Any:
        if self._unchecked:
            raise DamagedError(self.file, "it is not the file that was written when the cell was finished")
        try:
            return safe_open(self.file, framework="pt")
        except SafetensorError as error:
            raise DamagedError(self.file, str(error)) from error

    @cached_property
    def _unchecked(self) -> bool:
        if not self.file.is_file():
            raise DamagedError(self.file, "there is no such file" if not self.file.exists() else "it is no file")
        return self.sha256 is not None and file_sha256(self.file) != self.sha256


@dataclass(frozen=True)
class StoredCell:
    """A cell in a run directory."""

    folder: Path
    record: RunRecord

    @classmethod
    def read(cls, folder: Path) -> StoredCell:
        """The cell in a folder.

        Raises:
            DamagedError: its record is none.
        """
        return cls(folder, read_record(folder))

    def checked(self) -> StoredCell:
        """Itself.

        Raises:
            DamagedError: its record does not say what decided the result.
        """
        check_facts(self.record, self.folder)
        return self

    @property
    def key(self) -> tuple[str, int]:
        """Method label and seed."""
        return self.record.method, self.record.seed

    @property
    def rows(self) -> set[tuple[str, int, str]]:
        """Method, seed and language of every test split that it has predicted."""
        return self.rows_of("predictions")

    def rows_of(self, name: str) -> set[tuple[str, int, str]]:
        """The same of those that a table has rows of: languages without labels have no scores."""
        languages = self.record.scored if name == "scores" else self.record.test_data
        return {(*self.key, language) for language in languages}

    def weights(self) -> StoredWeights:
        """The stored tensors by name."""
        return StoredWeights(self.folder / "weights.safetensors", self.record.weights_sha256)

    def table(self, name: str) -> pl.DataFrame:
        """This cell's rows of a table, without those of languages whose scoring was cut off.

        Raises:
            DamagedError: the file does not hold them.
            IsoglossError: the cell was exported without them.
        """
        if name in self.record.left_out:
            raise IsoglossError(
                f"{self.folder} was exported without its {name}, which it labels new texts without; report and analyze "
                "the run directory that it came from"
            )
        file = self.folder / f"{name}.parquet"
        try:
            table = self._whole(file, name)
        except IsoglossError as error:
            raise DamagedError(file, str(error).removeprefix(f"{file} ")) from error
        if set(table.select("method", "seed").unique().iter_rows()) - {self.key}:
            raise DamagedError(file, "it holds rows of another cell")
        if name == "history":
            return table
        table = table.filter(pl.col("language").is_in(list(self.record.test_data)) | (pl.col("split") != "test"))
        if name == "confidence":  # languages that a version added which knew of none have no rows
            return table
        if lacking := self.rows_of(name) - cells_and_languages(table):
            raise DamagedError(file, f"it has no rows of {', '.join(sorted(language for *_, language in lacking))}")
        if name == "scores":
            self._check_scores(table, file)
        return table

    def _whole(self, file: Path, name: str) -> pl.DataFrame:
        """The table as it was written, with more languages than are looked at where some were added meanwhile."""
        try:
            return read_table(file, name, self.record.tables_sha256.get(name))
        except IsoglossError:
            now = read_record(self.folder)
            if now.tables_sha256 == self.record.tables_sha256 or not self.rows <= replace(self, record=now).rows:
                raise
            return read_table(file, name, now.tables_sha256.get(name))

    def _check_scores(self, table: pl.DataFrame, file: Path) -> None:
        if sum(table.null_count().row(0)):
            raise DamagedError(file, "it has rows that lack something")
        development = table.filter(split="dev")
        if development.is_empty():
            raise DamagedError(file, "it has no score on development data")
        metric, metrics = development["metric"][0], self.record.facts.get("metrics")
        if isinstance(metrics, list) and metric not in metrics[:1]:
            raise DamagedError(file, f"its score on development data is {metric}, which selects nothing")
        scored = table.filter(split="test", metric=metric)
        if set(scored["language"]) != set(self.record.scored):
            raise DamagedError(file, f"it does not have the {metric} of every language")


def file_sha256(file: Path) -> str:
    """sha256 of a file, however large it is."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
