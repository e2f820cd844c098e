"""One trained cell as a run directory of its own, small enough to go along with an export and to be loaded from it.

It holds what labels new texts, and the scores. It holds no predictions, whose answers may be texts of the data and
whose right answers are a test set's; no history; and nothing of the machine that it was trained on: no path and no
command.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.errors import IsoglossError
from isogloss.experiment.provenance import with_defaults
from isogloss.experiment.restore import LOCAL
from isogloss.interop.backbone_origin import BackboneOrigin, origin
from isogloss.interop.places import label, without_places
from isogloss.methods.registry import find as find_method
from isogloss.run_directory.cell import file_sha256
from isogloss.run_directory.record import write_record
from isogloss.runtime import yaml
from isogloss.runtime.files import atomic_folder
from isogloss.spec import ResolvedSpec
from isogloss.store import FORMAT, DamagedError, RunRecord, Store, StoredCell, safe_name

KEPT = ("scores",)  # of the tables
LEFT_OUT = ("predictions", "confidence", "history")
WEIGHTS = "weights.safetensors"
# Of what a cell was made with, what says something about the machine or the people at it.
OF_THE_MACHINE = ("command", "git", "platform", "cpu", "gpu", "memory", "trackers")
OF_THE_BACKBONE = ("weights_sha256", "tokenizer_sha256", "config", "revision", "dtype")


def exported_run(store: Store, cell: StoredCell, folder: Path) -> None:
    """Write a run directory of one cell.

    Args:
        store: the run directory that it lies in.
        cell: the one.
        folder: a new one.

    Raises:
        IsoglossError: there is such a folder, or the cell is damaged.
    """
    if folder.exists() or folder.is_symlink():
        raise IsoglossError(f"{folder} is there already; choose another one to export to")
    record, spec = cell.checked().record, store.known_spec()
    backbone = origin(spec.backbone, record)
    with atomic_folder(folder) as temporary:
        _write_cell(cell, backbone, temporary)
        made_with = _environment(record.environment, backbone)
        whole = {"tool": "isogloss", "format": FORMAT, "exported": True, **made_with}
        _write(temporary / "environment.json", json.dumps(whole, indent=2))
        _write(temporary / "spec.yaml", yaml.dumps(_spec(spec, record, backbone).model_dump(mode="json")))


def _write(file: Path, text: str) -> None:
    file.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")


def _write_cell(cell: StoredCell, backbone: BackboneOrigin, out: Path) -> None:
    record, method = cell.record, label(cell.record)
    folder = out / "weights" / safe_name(method) / str(record.seed)
    folder.mkdir(parents=True)
    if not (cell.folder / WEIGHTS).is_file():
        raise DamagedError(cell.folder / WEIGHTS, "there is no such file")
    shutil.copyfile(cell.folder / WEIGHTS, folder / WEIGHTS)
    sha256 = file_sha256(folder / WEIGHTS)
    if record.weights_sha256 not in {None, sha256}:
        raise DamagedError(cell.folder / WEIGHTS, "it is not the file that was written when the cell was finished")
    written = {}
    for name in KEPT:
        named = {"backbone": backbone.name, "method": method}
        table = cell.table(name).with_columns(pl.lit(value).alias(column) for column, value in named.items())
        table.write_parquet(folder / f"{name}.parquet")
        written[name] = [file_sha256(folder / f"{name}.parquet")]
    changes = {
        "method": method,
        "variant": without_places(record.variant),
        "facts": {**record.facts, "settings": without_places(record.facts["settings"])},
        "environment": _environment(record.environment, backbone),
        "weights_sha256": sha256,
        "tables_sha256": written,
        "left_out": list(LEFT_OUT),
    }
    write_record(folder / "run.json", record.model_copy(update=changes))


def _environment(environment: Mapping[str, Any], backbone: BackboneOrigin) -> dict[str, Any]:
    """What a cell was made with, without what is only of the machine that it was made on."""
    kept = {name: value for name, value in environment.items() if name not in OF_THE_MACHINE}
    said = kept.get("backbone")
    if isinstance(said, dict):
        about = {name: said[name] for name in OF_THE_BACKBONE if name in said}
        kept["backbone"] = {"name": backbone.hub or backbone.name, **about}
    return kept


def _spec(spec: ResolvedSpec, record: RunRecord, backbone: BackboneOrigin) -> ResolvedSpec:
    """The spec of the one cell, with names where paths stood."""
    values = spec.model_dump(mode="json")
    values["backbone"] = f"{LOCAL}{backbone.name}" if _lies_here(spec.backbone, backbone) else spec.backbone
    for place in (values["data"], values["data"]["train"], (values["dynamics"] or {}).get("parallel")):
        if place is not None:
            place["path"] = None
    languages = [code for code in record.scored if code != spec.source]
    return ResolvedSpec.model_validate(
        {
            **values, "targets": languages, "unlabelled": record.unlabelled,
            "methods": {record.name: _method(record)}, "seeds": [record.seed],
            "device": "auto", "memory": None, "weights": "safetensors", "track": {},
        }
    )  # fmt: skip


def _lies_here(named: str, backbone: BackboneOrigin) -> bool:
    """Whether a spec names its backbone by a place on this machine."""
    return backbone.folder is not None or named.startswith(LOCAL)


def _method(record: RunRecord) -> dict[str, Any]:
    """What a spec says of a method, so that its only cell has the label that it had."""
    settings = dict(without_places(with_defaults(record.facts)["settings"]))
    shorthands = find_method(record.facts["method"]).settings.SHORTHANDS
    for key, value in record.variant.items():
        for field in shorthands.get(key, ()):
            settings.pop(field, None)
        settings[key] = [without_places(value)]
    return {"method": record.facts["method"], **settings}
