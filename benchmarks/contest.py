"""A contest: contestants take turns in rounds, so that a drift of the machine hits all alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.cells import EVALUATION, TRAINING, Cell
from benchmarks.contestants.contestant import PROMPT, Contestant, Match
from benchmarks.contestants.entrants import Entrants
from benchmarks.measure import flops, matmul_rate
from benchmarks.shapes import SHAPES, checkpoint, tiny
from benchmarks.texts import Source, Texts

LEAST = {"cpu": 1, "cuda": 4}  # updates of a stack in a round


@dataclass(frozen=True)
class Ground:
    """Where contests take place.

    Args:
        device: that computes.
        source: of texts.
        workspace: a folder for checkpoints.
        quick: whether everything is tiny.
        adapters: the Python of an environment with the library adapters.
    """

    device: torch.device
    source: Source
    workspace: Path
    quick: bool = False
    adapters: Path | None = None

    def match(self, cell: Cell) -> Match:
        """What the contestants of a cell have in common."""
        shape = tiny(cell.shape) if self.quick else SHAPES[cell.shape]
        tests = [self.source.texts("test", cell.test, mean=cell.mean, language=i) for i in range(cell.languages)]
        test = Texts([row for part in tests for row in part.rows], np.concatenate([part.labels for part in tests]))
        train = self.source.texts("train", cell.train, mean=cell.mean)
        folder = checkpoint(shape, self.workspace / cell.shape)
        return Match(shape, folder, cell.method, cell.batch, train, test, self.device)


Builders = Mapping[str, Callable[[], Contestant]]


def contest(cell: Cell, ground: Ground, *, until: float, say: Callable[[str], None]) -> dict[str, Any]:
    """All rounds of a cell.

    Args:
        cell: what is measured.
        ground: where.
        until: when, on `time.monotonic`, no further round begins; one round there always is.
        say: is told who takes a turn.

    Returns:
        `contestants`: by name, what each did in every round, or why it could not; `peak`: FLOP/s of each dtype by round.
    """
    match = ground.match(cell)
    return compete(cell, match, Entrants(match, ground.adapters).builders(cell.contestants), until=until, say=say)


def compete(
    cell: Cell, match: Match, builders: Builders, *, until: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """The same, with contestants of one's own."""
    results: dict[str, dict[str, Any]] = {name: {} for name in builders}
    there: dict[str, Contestant] = {}

    def fails(name: str, error: Exception) -> None:
        results[name]["failed"] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        if name in there:
            _close(there.pop(name))

    for name, build in builders.items():
        say(f"{name} is made")
        try:
            there[name] = build()
            _warm_up(there[name], cell, match)
        except Exception as error:  # noqa: BLE001 - that a rival cannot do it is a result
            fails(name, error)
    for name, one in there.items():
        results[name] |= {"runs": one.runs, "dtype": str(one.dtype).removeprefix("torch."), "way": dict(one.way)}
        for what in cell.doing:
            results[name] |= {} if _skipped(one, what, cell) else {what: _asked(one, what, cell, match)}
    peak: dict[str, list[float]] = {results[name]["dtype"]: [] for name in there}
    for number in range(cell.rounds):
        began = time.monotonic()
        for dtype, rates in peak.items():
            rates.append(matmul_rate(getattr(torch, dtype), match.device, quick=len(match.train) <= 8))
        names = list(there)
        for name in names[number % len(names) :] + names[: number % len(names)]:  # each begins a round once
            say(f"round {number + 1}: {name}")
            try:
                for what in cell.doing:
                    if what in results[name]:
                        results[name][what]["seconds"].append(_work(there[name], what, results[name][what])())
            except Exception as error:  # noqa: BLE001
                fails(name, error)
        if not there or time.monotonic() + (time.monotonic() - began) > until:
            break
    for one in there.values():
        _close(one)
    for result in results.values():
        result.update({what: _rates(result, what, peak) for what in cell.doing if what in result})
    return {"contestants": results, "peak": peak}


def _warm_up(one: Contestant, cell: Cell, match: Match) -> None:
    """One update; on a GPU, where kernels and graphs are made for each shape, a whole round."""
    if match.device.type == "cuda":
        for what in cell.doing:
            if not _skipped(one, what, cell):
                _work(one, what, _asked(one, what, cell, match))()
    elif TRAINING in cell.doing:
        one.train(1)
    gc.collect()


def _skipped(one: Contestant, what: str, cell: Cell) -> bool:
    """A stack evaluates run by run: what one takes is known."""
    return what == EVALUATION and one.runs > 1 and TRAINING in cell.doing


def _asked(one: Contestant, what: str, cell: Cell, match: Match) -> dict[str, Any]:
    """What a round has: an epoch, or of a stack as many updates as come near to one run's epoch in time."""
    if what == EVALUATION:
        needs = flops(match.shape, cell.method, match.test, prompt=PROMPT, training=False)
        return {"examples": len(match.test), "flops": needs, "seconds": []}
    updates = -(-len(match.train) // cell.batch)
    if one.runs > 1:
        updates = max(LEAST[match.device.type], updates // one.runs)
    needs = flops(match.shape, cell.method, match.train, prompt=PROMPT, training=True)
    return {"updates": updates, "examples": updates * cell.batch * one.runs, "flops": needs, "seconds": []}


def _work(one: Contestant, what: str, asked: Mapping[str, Any]) -> Callable[[], float]:
    return one.evaluate if what == EVALUATION else partial(one.train, asked["updates"])


def _rates(result: Mapping[str, Any], what: str, peak: Mapping[str, list[float]]) -> dict[str, Any]:
    """With examples a second, and the share of the matmul rate measured in the same round."""
    did = result[what]
    rates = [did["examples"] / taken for taken in did["seconds"]]
    shares = [rate * did["flops"] / most for rate, most in zip(rates, peak[result["dtype"]], strict=False)]
    return {**did, "examples_per_second": rates, "share": shares}


def _close(one: Contestant) -> None:
    one.close()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
