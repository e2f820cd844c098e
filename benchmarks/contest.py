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
Say = Callable[[str], None]


def contest(cell: Cell, ground: Ground, *, until: float, say: Say) -> dict[str, Any]:
    """All rounds of a cell.

    Args:
        cell: what is measured.
        ground: where.
        until: when, on `time.monotonic`, no further round begins; one round there always is.
        say: is told who takes a turn.

    Returns:
        `contestants`: by name, what each did in every round, or why it could not; `peak`: FLOP/s by dtype and round.
    """
    match = ground.match(cell)
    builders = Entrants(match, ground.adapters).builders(cell.contestants)
    return Rounds(cell, match, quick=ground.quick).all(builders, until=until, say=say)


class Rounds:
    """Rounds of one cell.

    Args:
        cell: what is measured.
        match: what the contestants have in common.
        quick: whether the matmul rate is only looked at.
    """

    def __init__(self, cell: Cell, match: Match, *, quick: bool = False) -> None:
        self.cell, self.match, self.quick = cell, match, quick
        self.results: dict[str, dict[str, Any]] = {}
        self.there: dict[str, Contestant] = {}
        self.peak: dict[str, list[float]] = {}

    def all(self, builders: Builders, *, until: float, say: Say) -> dict[str, Any]:
        """See `contest`."""
        for name, build in builders.items():
            say(f"{name} is made")
            self._enter(name, build)
        for number in range(self.cell.rounds):
            began = time.monotonic()
            self._round(number, say)
            if time.monotonic() + (time.monotonic() - began) > until:
                break
        for one in self.there.values():
            _close(one)
        return {"contestants": {name: self._rated(result) for name, result in self.results.items()}, "peak": self.peak}

    def _enter(self, name: str, build: Callable[[], Contestant]) -> None:
        self.results[name] = {}
        try:
            one = self.there[name] = build()
            _warm_up(one, self.cell, self.match)
        except Exception as error:  # noqa: BLE001 - that a rival cannot do it is a result
            self._fails(name, error)
            return
        dtype = str(one.dtype).removeprefix("torch.")
        self.peak.setdefault(dtype, [])
        doing = [what for what in self.cell.doing if not _skipped(one, what, self.cell)]
        self.results[name] = {
            "runs": one.runs, "dtype": dtype, "way": dict(one.way),
            **{what: _asked(one, what, self.cell, self.match) for what in doing},
        }  # fmt: skip

    def _fails(self, name: str, error: Exception) -> None:
        self.results[name]["failed"] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        if name in self.there:
            _close(self.there.pop(name))

    def _round(self, number: int, say: Say) -> None:
        for dtype, rates in self.peak.items():
            rates.append(matmul_rate(getattr(torch, dtype), self.match.device, quick=self.quick))
        names = list(self.there)
        first = number % max(1, len(names))  # each begins a round once
        for name in names[first:] + names[:first]:
            say(f"round {number + 1}: {name}")
            one, result = self.there[name], self.results[name]
            try:
                for what in self.cell.doing:
                    if what in result:
                        result[what]["seconds"].append(_work(one, what, result[what])())
            except Exception as error:  # noqa: BLE001 - as above
                self._fails(name, error)

    def _rated(self, result: dict[str, Any]) -> dict[str, Any]:
        """With examples a second, and the share of the matmul rate measured in the same round."""
        rated = dict(result)
        for what in self.cell.doing:
            if what in result:
                did = result[what]
                rates = [did["examples"] / taken for taken in did["seconds"]]
                pairs = zip(rates, self.peak[result["dtype"]], strict=False)
                shares = [rate * did["flops"] / most for rate, most in pairs]
                rated[what] = {**did, "examples_per_second": rates, "share": shares}
        return rated


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


def _close(one: Contestant) -> None:
    one.close()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
