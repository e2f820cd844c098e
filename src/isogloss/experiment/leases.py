"""Who is at work on which cells of a run directory, so that several processes share its work and never mix it up."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import SoftFileLease

from isogloss.errors import IsoglossError
from isogloss.experiment.provenance import difference
from isogloss.runtime import locks
from isogloss.runtime.files import atomic_file
from isogloss.runtime.json import load, load_mapping
from isogloss.store import Store

FOLDER = ".leases"  # of a run directory
Key = tuple[str, int]  # of a cell: label and seed


@dataclass(frozen=True)
class Worker:
    """Another process on the same directory.

    Args:
        name: of its files.
        host: its machine.
        process: its number there.
        facts: what decides the results of each method that it makes, seeds aside.
        test_data: the fingerprint of each language's test split.
        cells: those that it has in training.
    """

    name: str
    host: str
    process: int
    facts: Mapping[str, Mapping[str, Any]]
    test_data: Mapping[str, str]
    cells: frozenset[Key]

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


class CellLeases:
    """This process's part in the work on a run directory.

    A process has one marker in the directory, which is renewed while it lives and stands for all of its cells: one
    thread renews it, however many cells train in a stack. Beside it stands what it is about to make, and which cells it
    has in training. All of this is read and written under the directory's lock. A cell of a process that is dead, or
    has given no sign of life for `locks.DURATION`, is free again. Should its holder be alive after all and finish the
    cell, the store compares the two.

    Args:
        store: the run directory.
        facts: by label, what decides the results that this process is about to make, seeds aside.
        test_data: the fingerprint of each language's test split.
    """

    def __init__(self, store: Store, facts: Mapping[str, Mapping[str, Any]], test_data: Mapping[str, str]) -> None:
        self.store = store
        self.facts = facts
        self.test_data = test_data
        self.folder = store.path / FOLDER
        self._cells: set[Key] = set()
        self._name = ""
        self._own: SoftFileLease | None = None
        self._watched: dict[str, SoftFileLease] = {}

    def __enter__(self) -> None:
        """Say what is to be made.

        Raises:
            IsoglossError: another process is making something else of that name.
        """
        seen: dict[str, float] = {}  # when markers were last renewed, of processes that make something else
        while True:
            with self.store.lock:
                against = [(worker, why) for worker in self._others() if (why := self._difference(worker))]
                if not against:
                    self._join()
                    return
                for worker, why in against:
                    renewed = self._renewed(worker.name)
                    # Of processes on this machine it is known that they live; others have to show it.
                    if worker.host == socket.gethostname() or seen.setdefault(worker.name, renewed) != renewed:
                        raise IsoglossError(
                            f"{worker} is at work on {self.store.path} and makes {why}; give the method another name, "
                            "or choose another --out"
                        )
            time.sleep(0.5)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give everything back."""
        with suppress(OSError, IsoglossError), self.store.lock:
            self._leave()

    def take(self, keys: Iterable[Key]) -> list[Key]:
        """Those of the cells that no other process has in training; they are this process's now."""
        wanted = list(keys)
        with self.store.lock:
            if self._own is None or not self._own.is_lock_held_by_us:  # it was taken for dead, as after a long sleep
                self._leave()
                self._join()
            elsewhere = self._elsewhere()
            free = [key for key in wanted if key not in elsewhere]
            self._cells |= set(free)
            self._write_cells()
        return free

    def give_back(self, keys: Iterable[Key]) -> None:
        """These are finished, or will not be."""
        with self.store.lock:
            self._cells -= set(keys)
            self._write_cells()

    def elsewhere(self, keys: Iterable[Key]) -> dict[Key, Worker]:
        """Those of the cells that other processes have in training."""
        with self.store.lock:
            held = self._elsewhere()
        return {key: held[key] for key in keys if key in held}

    def _elsewhere(self) -> dict[Key, Worker]:
        return {key: worker for worker in self._others() for key in worker.cells}

    def _others(self) -> list[Worker]:
        """Processes that are alive; what dead ones have left is removed."""
        if not self.folder.is_dir():
            return []
        # Whose marker it is stands before the first dot: filelock's temporary ones have more behind it.
        names = {path.name.partition(".")[0] for path in self.folder.iterdir()} - {self._name, ""}
        return [self._read(name) for name in sorted(names) if not self._swept(name)]

    def _swept(self, name: str) -> bool:
        if name not in self._watched:
            self._watched[name] = locks.lease(self.folder / f"{name}.lease")
        if not locks.vacant(self._watched[name]):
            return False
        del self._watched[name]
        for file in list(self.folder.iterdir()):
            if file.name.startswith(f"{name}."):
                with suppress(OSError):  # whoever made a folder there
                    file.unlink()
        return True

    def _read(self, name: str) -> Worker:
        said = load_mapping(self.folder / f"{name}.json")  # empty where it was killed before it could
        cells = _listed(self.folder / f"{name}.cells")
        facts = {label: facts for label, facts in _mapping(said.get("facts")).items() if isinstance(facts, dict)}
        held = {(cell[0], cell[1]) for cell in cells if isinstance(cell, list) and list(map(type, cell)) == [str, int]}
        process = said.get("process")
        return Worker(
            name, str(said.get("host")), process if isinstance(process, int) else 0, facts,
            _mapping(said.get("test_data")), frozenset(held),
        )  # fmt: skip

    def _difference(self, worker: Worker) -> str | None:
        """What another process makes differently, in words."""
        for label, facts in self.facts.items():
            for other, others in worker.facts.items():
                # Of another method, what all methods of a directory have in common.
                common = (facts.keys() & others.keys()) - {"method", "settings"}
                keys = facts.keys() | others.keys() if label == other else common
                changes = difference({key: others.get(key) for key in keys}, {key: facts.get(key) for key in keys})
                if changes:
                    return f"{other} differently ({'; '.join(changes)})"
        shared = sorted(self.test_data.keys() & worker.test_data.keys())
        if changed := [code for code in shared if self.test_data[code] != worker.test_data[code]]:
            return f"scores on other test data of {', '.join(changed)}"
        return None

    def _renewed(self, name: str) -> float:
        try:
            return (self.folder / f"{name}.lease").lstat().st_mtime
        except OSError:
            return 0.0

    def _join(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self._name = uuid.uuid4().hex
        self._own = locks.lease(self.folder / f"{self._name}.lease")
        self._own.acquire()
        said = {
            "host": socket.gethostname(), "process": os.getpid(), "facts": self.facts, "test_data": self.test_data,
        }  # fmt: skip
        with atomic_file(self.folder / f"{self._name}.json") as file:
            file.write_text(json.dumps(said), encoding="utf-8")
        self._write_cells()

    def _leave(self) -> None:
        if self._own is not None:
            self._own.release()
            for kind in ("cells", "json"):
                (self.folder / f"{self._name}.{kind}").unlink(missing_ok=True)
            self._own = None
        with suppress(OSError):  # there are others
            self.folder.rmdir()

    def _write_cells(self) -> None:
        with atomic_file(self.folder / f"{self._name}.cells", lasting=False) as file:
            file.write_text(json.dumps(sorted(self._cells)), encoding="utf-8")


def _listed(file: Path) -> list[Any]:
    try:
        value = load(file)
    except IsoglossError:
        return []
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
