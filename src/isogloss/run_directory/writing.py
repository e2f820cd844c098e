"""How a cell gets into its folder: all of it at once, and languages that it lacked later."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import polars as pl
from safetensors.torch import save_file

from isogloss.run_directory.cell import EncodedTables, FinishedCell, StoredCell, file_sha256
from isogloss.run_directory.record import RunRecord, with_languages, write_record
from isogloss.runtime.console import err
from isogloss.runtime.files import atomic_file, atomic_folder


def write_cell(target: Path, cell: FinishedCell) -> None:
    """Write a trained cell.

    Args:
        target: its folder; what holds no cell there is put aside.
        cell: with weights.
    """
    assert cell.weights is not None
    if not target.parent.is_dir():
        _put_aside(target.parent)
    _put_aside(target)
    with atomic_folder(target, sweeping=False) as folder:  # a run sweeps when it begins
        file = folder / "weights.safetensors"
        save_file({name: tensor.contiguous().cpu() for name, tensor in cell.weights.items()}, file)
        written = {}
        for name, content in EncodedTables.of(cell.tables).files.items():
            (folder / f"{name}.parquet").write_bytes(content)
            written[name] = [hashlib.sha256(content).hexdigest()]
        sha256 = {"weights_sha256": file_sha256(file), "tables_sha256": written}
        write_record(folder / "run.json", cell.record.model_copy(update=sha256))


def _put_aside(target: Path) -> None:
    """A folder without a record is no cell; whatever it holds is put out of the way."""
    if not target.exists() and not target.is_symlink():
        return
    names = (f"{target.name}.damaged{number}" for number in ["", *(f"-{count}" for count in range(2, 10_000))])
    aside = next(path for name in names if not (path := target.with_name(name)).exists())
    target.rename(aside)
    err.print(f"{target} held no finished cell; what was there is now {aside}", markup=False, soft_wrap=True)


def add_languages(stored: StoredCell, cell: FinishedCell, order: Sequence[str] = ()) -> None:
    """Add to a stored cell the languages that it lacks.

    `run.json`, which names the languages, is written last and decides: rows of others are not read. It is written first
    as well, with what the tables are about to be, so that they are known at any moment.

    Args:
        stored: the cell.
        cell: the same, with tables of more languages.
        order: in which languages come in the tables, whoever was first; those that it lacks stay in front.
    """
    new = {code: data for code, data in cell.record.test_data.items() if code not in stored.record.test_data}
    if not new:
        return
    written = dict(stored.record.tables_sha256)
    with ExitStack() as tables:  # which take their places when it ends
        for name in ["predictions", "scores", *(["confidence"] if _has_confidence(stored, cell) else [])]:
            rows_of_new = cell.tables[name].filter(pl.col("language").is_in(list(new)), split="test")
            present = stored.folder / f"{name}.parquet"
            file = tables.enter_context(atomic_file(present))
            _ordered(pl.concat([stored.table(name), rows_of_new]), order).write_parquet(file)
            if name in written:  # else it is of before they were kept
                written[name] = list(dict.fromkeys([file_sha256(present), file_sha256(file)]))
        if written:
            _write_record(stored.folder, stored.record.model_copy(update={"tables_sha256": written}))
    before, cut = stored.record, cell.record.truncated.get("test", 0)
    truncated = {**before.truncated, "test": before.truncated.get("test", 0) + cut}
    changes = {
        "test_data": _in_order({**before.test_data, **new}, order),
        "truncated": truncated,
        "tables_sha256": {name: sha256[-1:] for name, sha256 in written.items()},
        **with_languages(before, cell.record),
    }
    _write_record(stored.folder, before.model_copy(update=changes))


def _ordered(table: pl.DataFrame, order: Sequence[str]) -> pl.DataFrame:
    if not order:
        return table
    places = {language: place for place, language in enumerate(order)}
    return table.sort(pl.col("language").replace_strict(places, default=-1, return_dtype=pl.Int64), maintain_order=True)


def _in_order(data: Mapping[str, str], order: Sequence[str]) -> dict[str, str]:
    places = {language: place for place, language in enumerate(order)}
    return dict(sorted(data.items(), key=lambda item: places.get(item[0], -1)))


def _has_confidence(stored: StoredCell, cell: FinishedCell) -> bool:
    """Whether it is kept how sure the answers are; cells of before there were temperatures never have it."""
    return stored.record.temperature is not None and "confidence" in cell.tables


def _write_record(folder: Path, record: RunRecord) -> None:
    with atomic_file(folder / "run.json") as file:
        write_record(file, record)
