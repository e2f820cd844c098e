"""Records: a line of JSON for each cell, written as it ends; and what decides whether it has to be measured again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import isogloss
from isogloss.runtime.environment import environment

LIBRARY, SUITE = Path(isogloss.__file__).parent, Path(__file__).parent
# Of the suite, what measures; not what lists parts, keeps records or draws.
MEASURING = ("contest.py", "measure.py", "programs.py", "shapes.py", "texts.py", "tokenising.py", "contestants/*.py")


def identity(device: torch.device, texts: str, *, quick: bool) -> dict[str, Any]:
    """Everything but the cell that a measurement is of.

    Args:
        device: that computes.
        texts: what is read.
        quick: whether everything is tiny.
    """
    about = environment()
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    cpu = {**about["cpu"], "cores": os.cpu_count()}
    return {
        "machine": {"device": device.type, "name": gpu or cpu["model"], "cpu": cpu, "platform": about["platform"]},
        "versions": {"isogloss": about["isogloss"], "python": about["python"], **about["packages"]},
        "code": sources(),
        "texts": texts,
        "quick": quick,
    }


def sources(library: Path = LIBRARY, suite: Path = SUITE) -> str:
    """A hash over all code that bears on a measurement: a commit says which it is only where nothing has been changed.

    Args:
        library: isogloss's own folder.
        suite: this one.
    """
    files = [*library.rglob("*.py"), *(path for pattern in MEASURING for path in suite.glob(pattern))]
    sha = hashlib.sha256()
    for path in sorted(files):
        sha.update(path.name.encode() + b"\n" + path.read_bytes())
    return sha.hexdigest()[:12]


def key(cell: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """The same where the same cell is measured of the same."""
    return hashlib.sha256(json.dumps([cell, about], sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Records:
    """A file with a record a line.

    Args:
        path: of the file, which need not be there yet.
    """

    path: Path

    def all(self) -> list[dict[str, Any]]:
        """In the order in which they were written; a line that was cut off is none."""
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        records = []
        for line in lines:
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(record, dict):
                records.append(record)
        return records

    def add(self, record: Mapping[str, Any]) -> None:
        """Write one, whole, by one call that appends: what is there stays, whoever else writes."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(record, allow_nan=False) + "\n"
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"  # of a process that was killed
            os.write(handle, ("\n" + line if torn else line).encode())
            os.fsync(handle)
        finally:
            os.close(handle)

    def done(self) -> set[str]:
        """Keys of cells that need not be measured again: isogloss itself did not fail in them."""
        return {record["key"] for record in self.all() if not record["failed"]}

    def newest(self) -> list[dict[str, Any]]:
        """Of each cell on each machine, the record written last."""
        last: dict[str, dict[str, Any]] = {}
        for record in self.all():
            about = record["about"]
            place = json.dumps([about["machine"]["name"], about["texts"], about["quick"], record["cell"]["name"]])
            last.pop(place, None)
            last[place] = record
        return list(last.values())
