"""Milliseconds of a chain of small operators by how threads wait: what `runtime/threads.py` rests on.

    python -m benchmarks.waiting --busy 8

OpenMP reads how to wait once, when torch loads it, so every policy has a process of its own. They take turns, alone on
the machine and beside busy processes, and the median of the rounds is shown. The chain is of the operators between the
matrix products of the embedded encoder's layers: each is over in a fraction of a millisecond, and ends at a barrier.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from rich.console import Console
from rich.table import Table

ROWS, WIDTH, OPERATORS = 1024, 384, 200


def policies() -> dict[str, dict[str, str]]:
    """What to set, by what it is called."""
    from isogloss.runtime.threads import WAITING  # not at the top: the processes that are measured import no isogloss

    spinning = (3_000, 10_000, 30_000, 100_000)
    return {
        "OpenMP's own way": {},
        "asleep at once": {"OMP_WAIT_POLICY": "PASSIVE"},
        **{f"GOMP_SPINCOUNT={count}": {"GOMP_SPINCOUNT": str(count)} for count in spinning},
        "isogloss's way": WAITING,
    }


def chain() -> float:
    """Milliseconds of one chain, the median of several seconds of them."""
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    states = torch.randn(ROWS, WIDTH)
    norm, weight = torch.nn.LayerNorm(WIDTH), torch.randn(WIDTH, WIDTH)
    times: list[float] = []
    with torch.no_grad():
        until = time.perf_counter() + 3
        while time.perf_counter() < until or len(times) < 3:
            began = time.perf_counter()
            for number in range(OPERATORS // 4):
                mixed = states @ weight if number % 4 == 0 else states
                torch.nn.functional.gelu(norm(mixed) + states)
            times.append((time.perf_counter() - began) * 1e3)
    return median(times[1:])


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Other programs at work meanwhile."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def measured(policy: dict[str, str]) -> float:
    """The chain in a process that waits so."""
    from isogloss.runtime.threads import DECIDED_BY

    plain = {name: value for name, value in os.environ.items() if name not in DECIDED_BY}
    command = [sys.executable, __file__, "--chain"]
    ran = subprocess.run(command, env=plain | policy, stdout=subprocess.PIPE, check=True)  # noqa: S603
    return float(ran.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", type=int, default=8, help="processes that compute meanwhile")
    parser.add_argument("--chain", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.chain:
        print(chain())
        return
    loads = {0: "idle", given.busy: f"beside {given.busy} busy processes"}
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(given.rounds):
        for load in loads:
            with busy(load):
                for name, policy in policies().items():
                    times.setdefault((name, load), []).append(measured(policy))
    table = Table("threads wait", *loads.values(), title=f"{os.cpu_count()} cores; milliseconds")
    for name in policies():
        table.add_row(name, *(f"{median(times[name, load]):,.0f}" for load in loads))
    Console(width=120, highlight=False).print(table)


if __name__ == "__main__":
    main()
