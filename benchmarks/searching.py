"""Measure a search for settings against the grid that it replaces, by source development data alone.

    python -m benchmarks.searching --task voice-intents
    python -m benchmarks.searching --task sib200 --data PATH --methods soft-prompt deep-prompt

Of each method a grid of 16 cells, all trained to their end, and then a search of the same room for the price of four
trainings: what the grid has as numbers the search has as an interval between the least and the greatest of them. One
table: the best development score of either, that of the candidate which the search takes (of those within one standard
error of its best the cheapest), passes and time of the search as shares of the grid's. Passes are tokens through the
backbone, times what an update costs more than a forward pass. What is finished is kept in `--out`; begun again, it goes
on, and a time that was cut off is not told.
"""

from __future__ import annotations

import isogloss  # noqa: F401 - before torch: it says how torch's threads wait for one another

# isort: split
import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from isogloss.executors.serial import Serial
from isogloss.experiment.search import record as records
from isogloss.experiment.search.record import SearchRecord
from isogloss.experiment.search.search import searched
from isogloss.spec import Spec

GRIDS: dict[str, dict[str, list[float]]] = {
    "soft-prompt": {"lr": [1e-2, 3e-2, 1e-1, 3e-1], "head_lr": [1e-2, 3e-2], "length": [4, 16]},
    "deep-prompt": {"lr": [3e-3, 1e-2, 3e-2, 1e-1], "head_lr": [1e-2, 3e-2], "length": [4, 16]},
    "fine-tuning": {"lr": [3e-5, 1e-4, 3e-4, 1e-3], "head_lr": [3e-3, 3e-2], "epochs": [3, 6]},
}
FIXED: dict[str, dict[str, Any]] = {
    "soft-prompt": {"epochs": 6}, "deep-prompt": {"epochs": 6}, "fine-tuning": {"embeddings": True},
}  # fmt: skip
BUDGET, CELLS = 4, 16
BACKBONE = "embedded/multilingual-e5-small"


def room(grid: dict[str, list[float]]) -> dict[str, Any]:
    """What the search of a grid's room tries."""
    return {
        name: values if all(isinstance(value, int) for value in values) else {"from": min(values), "to": max(values)}
        for name, values in grid.items()
    }


def carried_out(spec: Spec, name: str, out: Path) -> tuple[SearchRecord, float | None]:
    """A search, and the seconds it took, where it was not cut off."""
    times, begun = out.with_suffix(".json"), records.read(out, name)  # beside, as the folder is isogloss's own
    known = json.loads(times.read_text()) if times.exists() else {}
    start = time.perf_counter()
    searched(spec, out, Serial())
    if begun is None:
        times.write_text(json.dumps({**known, name: time.perf_counter() - start}))
    record = records.read(out, name)
    assert record is not None
    return record, json.loads(times.read_text()).get(name) if times.exists() else None


def best(record: SearchRecord) -> float:
    """The best development score at the end of a training."""
    return max(pause.score for pause in record.of_rung(len(record.rungs) - 1).values())


def taken(record: SearchRecord) -> float:
    """The development score of the candidate that is taken."""
    return record.of_rung(len(record.rungs) - 1)[record.chosen or 0].score


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.searching", description=__doc__)
    parser.add_argument("--task", default="voice-intents")
    parser.add_argument("--data", help="where its data lie")
    parser.add_argument("--methods", nargs="+", choices=GRIDS, default=list(GRIDS))
    parser.add_argument("--out", type=Path, default=Path("runs") / "benchmarks" / "searching")
    given = parser.parse_args(sys.argv[1:])
    table = Table(title=f"{given.task}: a search of four trainings against a grid of {CELLS}")
    for head in ("method", "best of grid", "best of search", "taken", "passes", "time"):
        table.add_column(head, justify="left" if head == "method" else "right")
    for method in given.methods:
        told = {}
        for kind, space, budget in (("grid", GRIDS[method], CELLS), ("search", room(GRIDS[method]), BUDGET)):
            settings = {"method": method, **FIXED[method], "search": {**space, "budget": budget}}
            spec = Spec.model_validate({
                "name": "searching", "task": given.task, "backbone": BACKBONE, "seeds": [0],
                "data": {"path": given.data} if given.data else {}, "methods": {f"{method}-{kind}": settings},
            })  # fmt: skip
            told[kind] = carried_out(spec, f"{method}-{kind}", given.out / given.task)
        (grid, whole), (search, part) = told["grid"], told["search"]
        passes = search.cost * search.unit / (grid.cost * grid.unit)
        share = "" if whole is None or part is None else f"{part / whole:.2f}"
        table.add_row(
            method, f"{best(grid):.3f}", f"{best(search):.3f}", f"{taken(search):.3f}", f"{passes:.2f}", share
        )
    Console().print(table)


if __name__ == "__main__":
    main()
