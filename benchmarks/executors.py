"""Measure what a job costs on a Ray cluster besides what it costs in one process.

    python -m benchmarks.executors --data PATH          a folder in SIB-200's own layout; a few minutes on two cores

The grid of `slow-fast-sib200`, every method with two seeds, with few examples, two epochs, and without searches and
averages: first in this process with one thread, job after job, then by two workers of a Ray cluster that is started on
this machine, each with one thread. The table says how long either takes, how long until the first cell is there, and
what a job costs on top from then on: two workers' time less this process's, divided by jobs. That both give the same
scores is checked.
"""

from __future__ import annotations

import isogloss  # noqa: F401 - before torch: it says how torch's threads wait for one another

# isort: split
import argparse
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar

import torch
from polars.testing import assert_frame_equal
from rich.console import Console
from rich.table import Table

from isogloss.executors.registry import executor
from isogloss.executors.serial import SerialSettings
from isogloss.experiment.job import JobQueue, Outcome
from isogloss.experiment.run import run
from isogloss.experiment.workspace import Workspace
from isogloss.runtime.checked import Checked
from isogloss.spec import read_spec

LEFT_OUT = {"search", "average"}  # more jobs of the same kind
SEEDS = {"seeds": [0, 1]}
FEW = {"epochs": 2, **SEEDS}
LIMITS = ["data.train_limit=64", "data.dev_limit=32", "data.test_limit=32", "targets=[deu, swh]"]


class Timed:
    """An executor that is watched, with the settings of a spec."""

    name: ClassVar[str] = "timed"
    Settings: ClassVar[type[Checked]] = SerialSettings
    parallel: ClassVar[bool] = True

    def __init__(self, settings: Any) -> None:
        self.of = executor(settings)
        self.jobs, self.first = 0, 0.0  # and when the first outcome came

    def carry_out(self, jobs: JobQueue, workspace: Workspace) -> Generator[Outcome, None, None]:
        """As the other one."""
        for outcome in self.of.carry_out(JobQueue(self._counted(jobs), jobs.cost), workspace):
            self.first = self.first or time.perf_counter()
            yield outcome

    def _counted(self, jobs: JobQueue) -> Generator[Any, None, None]:
        for job in jobs:
            self.jobs += 1
            yield job


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.executors", description=__doc__)
    parser.add_argument("--data", required=True, help="a folder in SIB-200's own layout")
    given = parser.parse_args(sys.argv[1:])
    torch.set_num_threads(1)
    spec = read_spec("slow-fast-sib200", [*LIMITS, f"data.path={given.data}"])
    methods = {
        name: {**{key: value for key, value in settings.items() if key not in LEFT_OUT}, **FEW}
        for name, settings in spec.methods.items()
        if "policies" not in settings  # its forms are there one by one
    }
    spec = spec.model_copy(update={"methods": methods, **SEEDS})
    told, stored = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in (("serial", {}), ("ray", {"workers": 2})):
            timed, begin = Timed({"name": name, **settings}), time.perf_counter()
            stored[name] = run(spec, Path(folder, name), timed)
            told[name] = timed, time.perf_counter() - begin, timed.first - begin
        for table_name in ("scores", "predictions"):
            assert_frame_equal(stored["serial"].table(table_name), stored["ray"].table(table_name))
    table = Table(title="the same jobs in one process, and by two workers of Ray")
    for head in ("executor", "jobs", "seconds", "until the first cell", "seconds a job on top"):
        table.add_column(head, justify="left" if head == "executor" else "right")
    serial, ray = told["serial"], told["ray"]
    on_top = (2 * (ray[1] - ray[2]) - (serial[1] - serial[2])) / max(1, ray[0].jobs - 2)
    for name, (timed, whole, first) in told.items():
        last = f"{on_top:.2f}" if name == "ray" else ""
        table.add_row(name, f"{timed.jobs}", f"{whole:.1f}", f"{first:.1f}", last)
    Console().print(table)


if __name__ == "__main__":
    main()
