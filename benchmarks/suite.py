"""The suite: parts one after the other, a record a cell, and the table."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import programs
from benchmarks.cells import Cell, Part, Program
from benchmarks.contest import Ground, contest
from benchmarks.contestants.entrants import ADAPTERS, OURS
from benchmarks.records import Records, identity, key
from benchmarks.table import markdown, rows
from isogloss.errors import install
from isogloss.runtime.files import atomic_file

HOW = {  # to get what a part needs
    ADAPTERS: "python -m benchmarks.adapters_environment makes its environment",
    "": install("demo"),
}


class Suite:
    """Measures parts and writes what it finds.

    Args:
        ground: where contests take place.
        out: the folder of records, table and curves.
        console: that is told.
        minutes: after which a part begins nothing more.
    """

    def __init__(self, ground: Ground, out: Path, console: Console, *, minutes: float) -> None:
        self.ground, self.out, self.console, self.minutes = ground, out, console, minutes
        self.records = Records(out / "cells.jsonl")
        self.about = identity(ground.device, ground.source.name, quick=ground.quick)
        self.failed = False  # isogloss itself, in any cell

    def measure(self, parts: Sequence[Part], *, again: bool = False) -> None:
        """Every cell of these parts that is not measured yet.

        Args:
            parts: in their order.
            again: whether those are measured too that are.
        """
        for part in parts:
            if missing := [name for name in part.needs if not self._there(name)]:
                self.console.print(f"{part.name}: left out; {missing[0]} is not here, {HOW.get(missing[0], HOW[''])}")
                continue
            until = time.monotonic() + 60 * self.minutes
            for cell in part.cells:
                name = key(cell.written(), self.about)
                if not again and name in self.records.done():
                    self.console.print(f"{cell.name}: measured before")
                elif time.monotonic() > until:
                    self.console.print(f"{cell.name}: no time left in {self.minutes:g} minutes; run it again to go on")
                else:
                    self._measure(part, cell, name, until)

    def _there(self, package: str) -> bool:
        if package == ADAPTERS:
            return self.ground.adapters is not None and self.ground.adapters.exists()
        return find_spec(package) is not None

    def _measure(self, part: Part, cell: Cell | Program, name: str, until: float) -> None:
        began, load = time.monotonic(), os.getloadavg()[0]
        with self.console.status(cell.name) as status:

            def say(what: str) -> None:
                status.update(f"{cell.name}: {what}")

            found: dict[str, Any]
            if isinstance(cell, Program):
                found = {"program": programs.run(cell, until=until, say=say)}
                problems = [found["program"]["failed"]] if "failed" in found["program"] else []
            else:
                found = contest(cell, self.ground, until=until, say=say)
                everyone = found["contestants"].items()
                # That a rival cannot do it is a result, unless the part is there for it.
                expected = (OURS, *part.needs)
                problems = [did["failed"] for one, did in everyone if one.startswith(expected) and "failed" in did]
        record = {
            "key": name, "part": part.name, "cell": cell.written(), "about": self.about, "failed": problems,
            "when": datetime.now(UTC).isoformat(timespec="seconds"), "took": time.monotonic() - began,
            "load": [load, os.getloadavg()[0]], **found,
        }  # fmt: skip
        self.records.add(record)
        self.write()
        self.failed |= bool(problems)
        self.console.print(f"{cell.name}: {record['took']:.0f} s{''.join(f'; FAILED: {said}' for said in problems)}")

    def write(self) -> None:
        """The table and the curves, of all that has been measured so far."""
        newest = self.records.newest()
        if not newest:
            return
        machines = {json.dumps(one["about"], sort_keys=True): one["about"] for one in newest}
        single = [{"cell": one["cell"]["name"], **one["program"]} for one in newest if "program" in one]
        whole = {"environments": list(machines.values()), "rows": rows(newest), "programs": single}
        texts = {
            "table.json": json.dumps(whole, indent=1) + "\n", "table.md": markdown(newest),
            "ratios.md": markdown(newest, details=False),
        }  # fmt: skip
        for file, text in texts.items():
            with atomic_file(self.out / file) as path:
                path.write_text(text, encoding="utf-8")
        try:
            from benchmarks.curves import draw
        except ImportError as error:  # on a machine that only measures; `--table` draws on another
            self.console.print(f"the curves are not drawn: {error}")
        else:
            draw(newest, self.out)
