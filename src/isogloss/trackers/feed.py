"""What trackers are told, and how: by a thread of its own, so that a slow or dead tracker costs a training nothing.

Rows of the history are told as they are fetched, each once: how many a tracker has been told stands in a file beside
the cell's checkpoint, with the id of the tracker's run, so that a training that is resumed goes on in the same run.
"""

from __future__ import annotations

import json
import math
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isogloss.runtime.console import err
from isogloss.runtime.files import atomic_file
from isogloss.runtime.json import load_mapping
from isogloss.runtime.visible import one_line
from isogloss.trackers.registry import find, settings_of
from isogloss.trackers.tracker import Status, TrackedCell, TrackedRun

FILE = "tracked.json"  # beside a checkpoint
PATIENCE = 30.0  # seconds that an ended training waits for its trackers


@dataclass
class _Told:
    """One cell at one tracker."""

    run: TrackedRun
    rows: int  # of the history


class Feed:
    """Tells trackers of several cells that train together; without trackers it does nothing.

    Args:
        trackers: settings by name, as a spec has them.
        cells: in their order.
        files: beside each cell's checkpoint, where it is kept what was told; none: it is not kept.
        known: ids of the runs that cells are tracked by already, by tracker.
    """

    def __init__(
        self,
        trackers: Mapping[str, Mapping[str, Any]],
        cells: Sequence[TrackedCell],
        files: Sequence[Path] = (),
        known: Sequence[Mapping[str, str]] = (),
    ) -> None:
        self._trackers, self._cells, self._files, self._known = settings_of(trackers), cells, files, known
        self._told: dict[tuple[str, int], _Told] = {}
        self._rows = [0] * len(cells)  # of each cell's history that were handed on
        self._ended: set[int] = set()
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="isogloss-trackers", daemon=True)
        self._begun = bool(self._trackers)
        if self._begun:
            self._thread.start()
            for number in range(len(cells)):
                self._tell(number, lambda _: None)

    def history(self, number: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Tell what is new in a cell's history.

        Args:
            number: of the cell.
            rows: all of its history so far.
        """
        if not self._trackers or (begin := self._rows[number]) == len(rows):
            return
        new = list(rows[begin:])
        self._rows[number] = len(rows)

        def tell(told: _Told) -> None:
            unknown = new[max(0, told.rows - begin) :]
            if unknown:
                told.run.log([(int(row["step"]), measured(row)) for row in unknown])
                told.rows = begin + len(new)

        self._tell(number, tell)

    def scores(self, number: int, values: Mapping[str, float], step: int) -> None:
        """Tell test scores, by name."""
        if self._trackers and values:
            self._tell(number, lambda told: told.run.log([(step, dict(values))]))

    def end(self, number: int, status: Status) -> None:
        """Say how a cell's training has ended; once."""
        if self._trackers and number not in self._ended:
            self._ended.add(number)
            self._tell(number, lambda told: told.run.finish(status))

    def ids(self, number: int) -> dict[str, str]:
        """The trackers' runs of a cell by tracker, as soon as all is told that was handed on, or after a while."""
        if not self._begun:
            return {}
        told = threading.Event()
        self._queue.put(told.set)
        told.wait(PATIENCE)
        return {name: one.run.id for (name, of), one in list(self._told.items()) if of == number}

    def close(self, status: Status) -> None:
        """End what has not ended, and wait until all is told, for a while."""
        if not self._begun:
            return
        names = " and ".join(self._trackers)
        for number in range(len(self._cells)):
            self.end(number, status)
        self._queue.put(None)
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            _say(f"{names}: not all was taken within {PATIENCE:.0f} seconds; the rest is left out, and nothing else")

    def _tell(self, number: int, what: Callable[[_Told], None]) -> None:
        self._queue.put(lambda: self._carry_out(number, what))

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            task()

    def _carry_out(self, number: int, what: Callable[[_Told], None]) -> None:
        """Tell every tracker that still listens; one that fails is told no more."""
        for name in list(self._trackers):
            try:
                told = self._told.get((name, number)) or self._begin(name, number)
                before = told.rows
                what(told)
                if told.rows != before:
                    self._keep(number)
            # Whatever a tracker's library raises is no matter of the training's.
            except (Exception, SystemExit) as error:  # noqa: BLE001
                del self._trackers[name]
                why = one_line(str(error))[:300] or type(error).__name__
                _say(f"{name} failed ({why}); the training goes on, and is not told to it any more")

    def _begin(self, name: str, number: int) -> _Told:
        kept = load_mapping(self._files[number]).get(name) if number < len(self._files) else None
        kept = kept if isinstance(kept, dict) else {}
        known = kept.get("id") or (self._known[number].get(name) if number < len(self._known) else None)
        run = find(name).begin(self._cells[number], self._trackers[name], known if isinstance(known, str) else None)
        rows = kept.get("rows")
        told = _Told(run, rows if run.resumed and isinstance(rows, int) else 0)
        self._told[name, number] = told
        self._keep(number)
        return told

    def _keep(self, number: int) -> None:
        """Write down what was told of a cell."""
        if number >= len(self._files):
            return
        kept = {name: {"id": told.run.id, "rows": told.rows} for (name, of), told in self._told.items() if of == number}
        with suppress(OSError), atomic_file(self._files[number]) as file:
            file.write_text(json.dumps(kept) + "\n", encoding="utf-8")


@contextmanager
def feeding(
    trackers: Mapping[str, Mapping[str, Any]],
    cells: Sequence[TrackedCell],
    files: Sequence[Path] = (),
    known: Sequence[Mapping[str, str]] = (),
) -> Iterator[Feed]:
    """A feed for as long as cells train; however that ends, trackers are told. See `Feed`."""
    feed = Feed(trackers, cells, files, known)
    status: Status = "finished"
    try:
        yield feed
    except (KeyboardInterrupt, GeneratorExit):
        status = "stopped"
        raise
    except BaseException:
        status = "failed"
        raise
    finally:
        feed.close(status)


def measured(row: Mapping[str, Any]) -> dict[str, float]:
    """A row of the history as values by name: of a training, of development data, or of what is only looked at."""
    values = {"epoch": row.get("epoch")}
    metric, loss, language = row.get("metric"), row.get("loss"), row.get("language")
    if metric is None:
        values |= {"train/loss": loss, "learning-rate": row.get("learning_rate")}
    elif loss is not None:
        values |= {"dev/loss": loss, f"dev/{metric}": row.get("value")}
    else:
        values |= {f"seen/{metric}/{language}": row.get("value")}
    return {name: float(value) for name, value in values.items() if value is not None and not math.isnan(value)}


def _say(text: str) -> None:
    err.print(text, markup=False, soft_wrap=True)
