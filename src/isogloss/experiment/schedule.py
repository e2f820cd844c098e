"""What is missing of an experiment, made into jobs; several processes may share it."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from isogloss.experiment import cost
from isogloss.experiment.cells import Cell, member_checkpoint, stacks
from isogloss.experiment.cost import MonitorPlan
from isogloss.experiment.job import Executor, FailedJob, Job, JobQueue, PausedCell, refuse_waiting
from isogloss.experiment.leases import CellLeases, Key, Worker
from isogloss.experiment.memory import Room, narrower
from isogloss.experiment.submitted import refuse_submitted
from isogloss.experiment.workspace import Workspace
from isogloss.runtime.console import err
from isogloss.spec import Spec
from isogloss.store import Store, StoredCell, fingerprint
from isogloss.training.checkpoint import updates_done

GATHERING = 0.05  # share of the time that may go into putting tables together
LOOK_EVERY = 1.0  # seconds, at what other processes do
T = TypeVar("T")
PARTS = 16  # at most, that the scoring of one cell is cut into


class Schedule:
    """What is missing of an experiment, of which other processes may do a part.

    Args:
        spec: as it is carried out, resolved.
        workspace: of the experiment.
        store: the run directory.
        leases: of this process.
    """

    def __init__(self, spec: Spec, workspace: Workspace, store: Store, leases: CellLeases) -> None:
        self.spec, self.workspace, self.store, self.leases = spec, workspace, store, leases
        self.handed_out = 0  # jobs
        self.parallel = False  # whether they are carried out beside one another
        self.room: Room | None = None  # and where, if that is elsewhere
        self.executor: Executor | None = None
        self._begun: set[Key] = set()  # trainings of these
        self._scored: dict[Key, set[str]] = {}  # and languages that they add to stored cells
        self._parts: Counter[Key] = Counter()  # and how many such jobs of a cell are on their way
        self._ended: set[Key] = set()  # trainings that are to be averaged, and need not be begun any more
        self._failed: set[Key] = set()  # cells of which a training failed: they are not begun again
        self._ready: deque[Cell] = deque()  # averaged cells of which all trainings are done

    def carry_out(self, executor: Executor) -> tuple[list[FailedJob], int]:
        """Do what is free, wait for what others do, and do what they leave.

        Returns:
            The jobs that failed, and how many there were in all.
        """
        self.executor, self.parallel = executor, getattr(executor, "parallel", False)
        self.room = executor.room(self.workspace) if hasattr(executor, "room") else None
        failed: list[FailedJob] = []
        while lacking := self._lacking():
            before = self.handed_out
            failed += self._round(lacking, executor)
            if self.handed_out > before:  # of what failed the others are finished all the same
                continue
            if failed:
                break
            self._wait(lacking)
        return failed, self.handed_out

    def _lacking(self) -> dict[Key, StoredCell | None]:
        """Cells to train and stored ones that lack languages, without those that were begun here."""
        stored = {cell.key: cell for cell in self.store.finished()}
        return {
            cell.key: stored.get(cell.key)
            for cell in self.workspace.cells
            if (
                self._languages(stored[cell.key])
                if cell.key in stored
                else cell.key not in self._begun and cell.key not in self._failed
            )
        }

    def _languages(self, stored: StoredCell) -> tuple[str, ...]:
        """Those that a stored cell lacks, and no job was made for."""
        known = {*stored.record.test_data, *self._scored.get(stored.key, ())}
        return tuple(code for code in self.workspace.data.test_data if code not in known)

    def _round(self, lacking: Mapping[Key, StoredCell | None], executor: Executor) -> list[FailedJob]:
        """Everything that no other process is at, once."""
        failed, gathered, gathering = [], time.monotonic(), 0.0  # seconds for a cell
        self._ended |= self._begun  # whatever has become of them: the job that averages does the rest
        missing = [cell for cell in self.workspace.cells if cell.key in lacking and lacking[cell.key] is None]
        held = len(self.workspace.cells) - len(missing)
        averaged = {cell.key: [cell] for cell in missing if cell.average > 1}
        self._ready.extend(cell for (cell,) in averaged.values() if self._is_ready(cell))
        incomplete = [(cell, stored) for cell in self.workspace.cells if (stored := lacking.get(cell.key))]
        work = sum(map(self._training, missing)) + sum(self._scoring(cell, stored) for cell, stored in incomplete)
        jobs = JobQueue(self._jobs(missing), work, self.store.path)
        # Closed at once if a cell cannot be stored: an executor may have signals and a progress bar to give back.
        with closing(executor.carry_out(jobs, self.workspace)) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome, FailedJob):
                    failed.append(outcome)
                    for cell in outcome.job.cells:
                        self._give_back(cell.key)
                        self._failed.add(cell.whole)
                    continue
                if isinstance(outcome, PausedCell):
                    self._ended.add(outcome.cell.key)
                    self._give_back(outcome.cell.key)
                    self._ready.extend(cell for cell in averaged[outcome.cell.whole] if self._is_ready(cell))
                    continue
                self.store.put(outcome, tuple(self.workspace.data.test_data))
                self._give_back((outcome.record.method, outcome.record.seed))
                held += 1
                if gathering * held <= GATHERING * (time.monotonic() - gathered):
                    begin = time.monotonic()
                    self.store.gather()
                    gathered = time.monotonic()
                    gathering = (gathered - begin) / held
        return failed

    def _training(self, cell: Cell) -> float:
        left = [one for one in cell.trainings if not self._has_ended(one)]
        scoring = cost.scoring(self.workspace, cell) if cell.member is None else 0.0
        return sum(cost.training(self.workspace, one) for one in left) + scoring

    def _has_ended(self, cell: Cell) -> bool:
        """Whether this is a training that is to be averaged, and is done, here or by another process."""
        if cell.member is not None and cell.key not in self._ended:
            done = updates_done(self._checkpoint(cell), fingerprint(cell.facts(self.workspace.facts)))
            if done and done >= cost.updates(self.workspace, cell):
                self._ended.add(cell.key)
        return cell.member is not None and cell.key in self._ended

    def _checkpoint(self, cell: Cell) -> Path:
        file = self.store.checkpoint(*cell.whole)
        return file if cell.member is None else member_checkpoint(file, cell)

    def _scoring(self, cell: Cell, stored: StoredCell) -> float:
        languages = self._languages(stored)
        return cost.one_pass(self.workspace.encoded(cell).languages(languages).features, cell)

    def _jobs(self, missing: Sequence[Cell]) -> Iterator[Job]:
        """Cells to train, in stacks, and cells that lack languages: each made when it is asked for."""
        monitor = cost.monitor_plan(self.workspace) if missing else None
        todo = [one for cell in missing for one in cell.trainings if not self._has_ended(one)]
        wanted = stacks(todo, self.workspace.backbone.pooling)
        if self.parallel:  # what begins last ends last: let it be short
            wanted.sort(key=lambda stack: -sum(map(self._training, stack)))
        yield from self._means(monitor)
        for stack in self._fitting(wanted):
            if cells := self._missing(stack):
                until = None if cells[0].member is None else 1.0
                yield self._trained(cells, monitor, until=until)
            yield from self._means(monitor)
        lacking = self._lacking()
        for cell in self.workspace.cells:
            if lacking.get(cell.key) is not None and self._taken([cell]):
                yield from self._added(cell)

    def _added(self, cell: Cell) -> Iterator[Job]:
        """The languages that a stored cell lacks, in parts where there is somebody for each of them."""
        stored = self.store.has(*cell.key)
        if stored is None or not (languages := self._languages(stored)):
            self.leases.give_back([cell.key])
            return
        every = shares(languages, self._scoring_parts(cell))
        self._parts[cell.key] = len(every)
        for part in every:
            self._scored.setdefault(cell.key, set()).update(part)
            trained = (stored.record, stored.weights())
            work = cost.one_pass(self.workspace.encoded(cell).languages(part).features, cell)
            yield self._job(cell, work=work, trained=trained, languages=part)

    def _scoring_parts(self, cell: Cell) -> int:
        return scoring_parts(self.workspace, cell) if self.parallel else 1

    def _means(self, monitor: MonitorPlan | None) -> Iterator[Job]:
        """Averaged cells of which all trainings are done: what is left is their mean, and its scores."""
        while self._ready:
            cell = self._ready.popleft()
            if cell.key not in self._begun and (cells := self._missing([cell])):
                yield self._trained(cells, monitor)

    def _is_ready(self, cell: Cell) -> bool:
        return all(map(self._has_ended, cell.trainings))

    def _give_back(self, key: Key) -> None:
        """A cell that is done, or of several jobs the last of which is."""
        self._parts[key] -= 1
        if self._parts[key] <= 0:
            del self._parts[key]
            self.leases.give_back([key])

    def _missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """Those that no other process has in training, and this one now has, nor has finished meanwhile."""
        taken = self._taken(cells)
        if done := [cell.key for cell in taken if self._has_ended(cell) or self.store.has(*cell.whole)]:
            self.leases.give_back(done)
        return [cell for cell in taken if cell.key not in done]

    def _trained(self, cells: Sequence[Cell], monitor: MonitorPlan | None, until: float | None = None) -> Job:
        work, checkpoints = sum(map(self._training, cells)), tuple(map(self._checkpoint, cells))
        # Of much to score, all but the first language is left to jobs that share it.
        shared = until is None and max(map(self._scoring_parts, cells)) > 1
        languages = tuple(self.workspace.data.test_data)[:1] if shared else ()
        return self._job(*cells, work=work, monitor=monitor, checkpoints=checkpoints, until=until, languages=languages)

    def _fitting(self, wanted: Sequence[list[Cell]]) -> Iterator[list[Cell]]:
        """The stacks, made narrower where they would not fit into memory; each when it is asked for."""
        for stack in wanted:
            parts, line = narrower(self.workspace, stack, tests=stack[0].member is None, room=self.room)
            if line:
                err.print(line, markup=False, soft_wrap=True)
            yield from parts

    def _taken(self, cells: Sequence[Cell]) -> list[Cell]:
        keys = self.leases.take(cell.key for cell in cells)
        if self.executor is not None:
            refuse_submitted(self.store.path, keys, self.executor)
        return [cell for cell in cells if cell.key in keys]

    def _job(self, *cells: Cell, work: float, **extra: Any) -> Job:
        self.handed_out += 1
        self._begun |= {cell.key for cell in cells}
        facts = tuple(cell.facts(self.workspace.facts) for cell in cells)
        return Job(self.spec, cells, facts, work, **extra)

    def _wait(self, lacking: Mapping[Key, StoredCell | None]) -> None:
        """Until another process has finished a cell, or is at one no more."""
        held = self._held(lacking)
        if set(held) != set(lacking):
            return
        (label, seed), worker = next(iter(held.items()))
        more = f" and {len(held) - 1} more" if len(held) > 1 else ""
        what = f"waiting for {label} seed {seed}{more}, in training elsewhere: {worker} is at work on it"
        if self.executor is not None:
            refuse_waiting(self.executor, what)
        err.print(what, markup=False, soft_wrap=True)
        while set(self._held(lacking)) == set(lacking) == set(self._lacking()):
            time.sleep(LOOK_EVERY)

    def _held(self, lacking: Mapping[Key, StoredCell | None]) -> dict[Key, Worker]:
        """Cells that other processes have in training; of an averaged one, all that is left of its trainings."""
        cells = [cell for cell in self.workspace.cells if cell.key in lacking]
        left = {cell.key: [one.key for one in cell.trainings if not self._has_ended(one)] for cell in cells}
        held = self.leases.elsewhere({key for whole, parts in left.items() for key in (whole, *parts)})
        of_parts = {whole: held[parts[0]] for whole, parts in left.items() if parts and set(parts) <= set(held)}
        return {**of_parts, **{key: worker for key, worker in held.items() if key in left}}


def scoring_parts(workspace: Workspace, cell: Cell) -> int:
    """Into how many jobs the scoring of a cell is cut, where jobs are carried out beside one another.

    None of them need take longer than its training.
    """
    scoring, training = (of(workspace, cell) for of in (cost.scoring, cost.training))
    return max(1, min(PARTS, len(workspace.data.test_data), round(scoring / max(training, 1.0))))


def shares(languages: Sequence[T], parts: int) -> list[tuple[T, ...]]:
    """Languages in so many parts at most, none of them empty."""
    size = max(1, math.ceil(len(languages) / parts))
    return [tuple(languages[begin : begin + size]) for begin in range(0, len(languages), size)]
