"""Simulate an experiment of many jobs on many workers: how near it comes to the limit, and what passes the driver.

    python -m benchmarks.scaling                            10,000 jobs on 1 to 1,000 workers
    python -m benchmarks.scaling --a-second 50000           workers thirty times as fast, as GPUs are

The jobs are those of the presets whose data come with a package (the demo, slots, slow and fast), drawn with
replacement, with the cost that the driver itself reckons for each (`experiment/cost`). They are handed out the longest
first, as an executor with several workers has them. The driver does one thing at a time: it hands a job out, or stores
a cell, and each takes what `python -m benchmarks.driver` measured; a worker waits for a job until the driver comes to
it, except for the spare jobs that wait on the cluster already. The limit is the larger of all work divided by workers,
and the longest job. Beside it the same in the order of the spec, and without spare jobs.
"""

from __future__ import annotations

import isogloss  # noqa: F401 - before torch: it says how torch's threads wait for one another

# isort: split
import argparse
import heapq
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from isogloss.experiment import cost
from isogloss.experiment.cells import stacks
from isogloss.experiment.search.candidates import candidates
from isogloss.experiment.search.plan import spaces, with_settings
from isogloss.experiment.workspace import Workspace
from isogloss.spec import read_spec

PRESETS = ("demo", "voice-slots", "slow-fast-dynamics")
SPARE = 2  # jobs that wait on the cluster, as `executors/ray.py` has it
FETCH = 0.005  # seconds until a worker begins with a job that waits there


@dataclass(frozen=True)
class Outcome:
    """What came of a simulation.

    Args:
        makespan: seconds until all is stored.
        busy: share of the time that the driver is at work.
    """

    makespan: float
    busy: float


def costs() -> np.ndarray:
    """Of every job of the presets, in tokens of a forward pass."""
    found = []
    for name in PRESETS:
        spec = read_spec(name)
        spec = with_settings(spec, {method: candidates(space)[0] for method, space in spaces(spec).items()})
        workspace = Workspace.open(spec.model_copy(update={"dynamics": None}))
        trainings = [one for cell in workspace.cells for one in cell.trainings]
        for stack in stacks(trainings, workspace.backbone.pooling):
            work = sum(cost.training(workspace, cell) for cell in stack)
            found.append(work + sum(cost.scoring(workspace, cell) for cell in stack if cell.member is None))
    return np.asarray(found)


def simulate(seconds: Sequence[float], workers: int, *, a_job: float, a_cell: float, spare: int = SPARE) -> Outcome:
    """Jobs in this order on so many workers.

    Args:
        seconds: that each job takes.
        workers: how many there are.
        a_job: seconds of the driver to hand one out.
        a_cell: seconds of the driver to store what comes back.
        spare: jobs that are handed out before there is a worker for them.
    """
    todo, waiting = deque(seconds), deque[float]()  # on the cluster
    ends: list[float] = []  # of jobs that are at work
    idle, driver, worked, stored = workers, 0.0, 0.0, 0

    def hand_out() -> None:
        nonlocal driver, worked, idle
        while todo and len(ends) + len(waiting) < workers + spare:
            driver += a_job
            worked += a_job
            if idle:
                idle -= 1
                heapq.heappush(ends, driver + todo.popleft())
            else:
                waiting.append(todo.popleft())

    hand_out()
    while ends:
        end = heapq.heappop(ends)
        if waiting:  # the worker takes it at once, whatever the driver is at
            heapq.heappush(ends, end + FETCH + waiting.popleft())
        else:
            idle += 1
        driver = max(driver, end) + a_cell
        worked += a_cell
        stored += 1
        hand_out()
    return Outcome(driver, worked / driver)


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 4, 16, 64, 256, 512, 1000])
    parser.add_argument("--a-second", type=float, default=1700, help="tokens of a forward pass that a worker does")
    parser.add_argument("--a-job", type=float, default=2.0, help="ms of the driver to hand out a job")
    parser.add_argument("--a-cell", type=float, default=10.3, help="ms of the driver to store a cell")
    parser.add_argument("--bytes", type=int, default=190_000, help="of a cell")
    given = parser.parse_args(sys.argv[1:])
    drawn = np.random.default_rng(0).choice(costs(), given.jobs) / given.a_second
    longest_first = sorted(drawn.tolist(), reverse=True)
    driver = {"a_job": given.a_job / 1000, "a_cell": given.a_cell / 1000}
    print(
        f"{given.jobs:,} jobs of {min(drawn):.1f} to {max(drawn):.1f} seconds, {np.median(drawn):.1f} in the middle; "
        f"{given.jobs * given.bytes / 1e9:.1f} GB come to the driver"
    )
    table = Table(title="share of the limit that is reached")
    for head in ("workers", "limit, s", "longest first", "order of the spec", "no spare jobs", "driver busy"):
        table.add_column(head, justify="right")
    for workers in given.workers:
        limit = max(drawn.sum() / workers, drawn.max())
        best = simulate(longest_first, workers, **driver)
        others = [simulate(drawn.tolist(), workers, **driver), simulate(longest_first, workers, **driver, spare=0)]
        shares = [f"{limit / one.makespan:.3f}" for one in (best, *others)]
        table.add_row(f"{workers:,}", f"{limit:,.0f}", *shares, f"{best.busy:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
