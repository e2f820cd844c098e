"""Measure the process that hands out jobs and stores what comes back: how many cells a second, however many there are.

    python -m benchmarks.driver                     1,000, 2,000, 5,000 and 10,000 cells; some minutes
    python -m benchmarks.driver --cells 200 400     so many

A cell of the demo is trained, a head on the embedded encoder. Then an experiment of so many seeds, each a job of its
own, is run by an executor that hands that cell back at once, as if it had been trained elsewhere: the driver takes
leases, writes weights and tables of every cell, and puts the tables of all cells together, as ever. The table says how
long that takes in all, from loading the backbone on, and for a cell, what putting together takes of it, and how many
bytes come in. Making the cells and encoding their tables, which workers do, is not counted.
"""

from __future__ import annotations

import isogloss  # noqa: F401 - before torch: it says how torch's threads wait for one another

# isort: split
import argparse
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import polars as pl
from rich.console import Console
from rich.table import Table

from isogloss.executors.serial import Serial, SerialSettings
from isogloss.experiment.job import JobQueue, Outcome
from isogloss.experiment.run import run
from isogloss.experiment.workspace import Workspace
from isogloss.runtime.checked import Checked
from isogloss.spec import Spec, read_spec
from isogloss.store import FinishedCell, Store

TRAINED, METHOD = "linear-probe", "lora"  # of the second no two train in one job


@dataclass
class Instant:
    """Hands each cell back at once: that of the demo, under another seed.

    Args:
        finished: the cell.
    """

    finished: FinishedCell
    name: ClassVar[str] = "instant"
    Settings: ClassVar[type[Checked]] = SerialSettings
    parallel: ClassVar[bool] = True
    making: float = field(default=0.0, init=False)  # seconds, which elsewhere are the workers'

    def carry_out(self, jobs: JobQueue, workspace: Workspace) -> Generator[Outcome, None, None]:
        """Every cell of every job."""
        for job in jobs:
            for cell, facts in zip(job.cells, job.facts, strict=True):
                start = time.perf_counter()
                named = [pl.lit(METHOD).alias("method"), pl.lit(cell.seed, dtype=pl.Int64).alias("seed")]
                tables = {name: table.with_columns(named) for name, table in self.finished.tables.items()}
                update = {"method": METHOD, "name": METHOD, "seed": cell.seed, "facts": facts}
                record = self.finished.record.model_copy(update=update)
                made = FinishedCell(record, self.finished.weights, tables).encoded()
                self.making += time.perf_counter() - start
                yield made


def spec(method: str, seeds: int) -> Spec:
    """The demo with one method and so many seeds."""
    demo = read_spec("demo")
    return demo.model_copy(update={"methods": {method: demo.methods.get(method, {})}, "seeds": list(range(seeds))})


def trained(folder: Path) -> FinishedCell:
    """A cell of the demo."""
    (cell,) = run(spec(TRAINED, 1), folder, Serial()).finished()
    tables = {name: cell.table(name) for name in ("scores", "predictions", "history", "confidence")}
    return FinishedCell(cell.record, dict(cell.weights()), tables)


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.driver", description=__doc__)
    parser.add_argument("--cells", nargs="+", type=int, default=[1000, 2000, 5000, 10_000])
    given = parser.parse_args(sys.argv[1:])
    table = Table(title="the driver: cells handed out, stored, and their tables put together")
    for head in ("cells", "seconds", "ms a cell", "seconds at the end", "bytes a cell"):
        table.add_column(head, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        finished = trained(Path(folder, "trained"))
        stored = Store(Path(folder, "trained")).folder(TRAINED, 0)
        size = sum(file.stat().st_size for file in stored.iterdir())
        for count in given.cells:
            out = Path(folder, str(count))
            start = time.perf_counter()
            executor = Instant(finished)
            store = run(spec(METHOD, count), out, executor)
            whole = time.perf_counter() - start - executor.making
            start = time.perf_counter()
            store.gather()
            last = time.perf_counter() - start
            table.add_row(f"{count:,}", f"{whole:.1f}", f"{1000 * whole / count:.1f}", f"{last:.1f}", f"{size:,}")
    Console().print(table)


if __name__ == "__main__":
    main()
