"""A search for settings by the source's development data: many candidates begin, few train to their end.

It is made of trainings that pause (`Job.until`), so candidates over a frozen backbone train in one stack, which goes on
narrower, and any executor carries them out. What is trained with the chosen settings afterwards is what it would be had
the spec named them: the search's own seed is none of its seeds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from typing import Any

from isogloss.errors import IsoglossError, named
from isogloss.experiment import cost
from isogloss.experiment.cells import Cell, cells, stacks
from isogloss.experiment.failed_jobs import raise_failed
from isogloss.experiment.job import Executor, FailedJob, Job, JobQueue, PausedCell, refuse_waiting
from isogloss.experiment.leases import CellLeases
from isogloss.experiment.memory import narrower
from isogloss.experiment.provenance import refuse_changes, resolved_spec
from isogloss.experiment.restore import recorded_dtype
from isogloss.experiment.search import record as records
from isogloss.experiment.search.candidates import candidates
from isogloss.experiment.search.halving import FINALISTS, LEAST, Rung, rungs
from isogloss.experiment.search.plan import kept, refuse_made_differently, refuse_stale, spaces, with_settings
from isogloss.experiment.search.record import Asked, Pause, SearchRecord
from isogloss.experiment.search.space import Interval, Space, as_kept
from isogloss.experiment.search.tie import within_one_error
from isogloss.experiment.submitted import refuse_submitted
from isogloss.experiment.workspace import Workspace
from isogloss.runtime.console import err
from isogloss.spec import Spec
from isogloss.store import Store

SEED = 10**9  # of candidates; nobody's own
LOOK_EVERY = 1.0  # seconds, at what another process does
CHECKPOINT = "checkpoint.safetensors"


def searched(spec: Spec, out: Path, executor: Executor) -> Spec:
    """The spec with what its searches choose; what is missing of these is carried out.

    Args:
        spec: of the experiment.
        out: its run directory.
        executor: carries out the candidates' trainings.

    Raises:
        IsoglossError: a search cannot be carried out, or another one of that name is kept in the directory.
    """
    if not (wanted := spaces(spec)):
        return spec
    # Mistakes in one method, searched or not, are told before another is trained.
    every = {name: Search(spec, space, candidates(space), out, executor) for name, space in wanted.items()}
    final = _seeds(cells(with_settings(spec, {name: one.made[0] for name, one in every.items()})))
    for name, one in every.items():
        with named(f"methods.{name}.search"):
            tried = cells(one.spec)
        if own := sorted(_seeds(tried) & final):
            raise IsoglossError(f"methods.{name}: the seed {own[0]} is the search's own; expected another one")
    chosen = {}
    while every:
        name = next(iter(every))
        chosen[name] = every.pop(name).chosen()  # whose workspace goes before the next one's comes
    return with_settings(spec, chosen)


def _seeds(wanted: Sequence[Cell]) -> set[int]:
    return {training.seed for cell in wanted for training in cell.trainings}


class Search:
    """The search of one method.

    Args:
        spec: of the experiment.
        space: what is tried.
        made: the candidates' settings besides those that are fixed.
        out: the run directory.
        executor: carries out trainings.
    """

    def __init__(self, spec: Spec, space: Space, made: Sequence[dict[str, Any]], out: Path, executor: Executor) -> None:
        self.asked, self.space, self.out, self.executor = spec, space, out, executor
        begun = kept(space, out)
        self.made = made if begun is None else begun.candidates  # wherever points lie now, those that were begun
        self.folder = records.folder(out, space.name)
        dtype = recorded_dtype(spec.dtype, Store(out).finished())
        # A single training tells candidates apart as well as a mean of several, at a fraction of the price.
        fixed = {key: value for key, value in space.fixed.items() if key != "average" or space.forms is not None}
        methods = {
            f"{space.name}-{number + 1}": {"method": space.method.name, **fixed, **one, "seeds": [SEED]}
            for number, one in enumerate(self.made)
        }
        self.spec = spec.model_copy(update={"methods": methods, "dtype": dtype, "dynamics": None, "track": {}})

    def chosen(self) -> dict[str, Any]:
        """The settings of the best candidate.

        Raises:
            IsoglossError: another search is kept under that name, or a candidate cannot be trained.
        """
        record = kept(self.space, self.out)
        if record is None or record.chosen is None:
            with Store(self.out).lock:
                self.folder.mkdir(parents=True, exist_ok=True)
            record = self._carried_out()
        assert record.chosen is not None
        err.print(f"{self.space.name}: {record.sentence()}", markup=False, soft_wrap=True)
        return record.candidates[record.chosen]

    def _carried_out(self) -> SearchRecord:
        """The whole search, by this process or, while it lives, by another one that has begun it."""
        leases = CellLeases(Store(self.out), {}, {})
        key, waiting = (f"{self.space.name} (search)", 0), False
        with leases:
            while not leases.take([key]):
                if (record := kept(self.space, self.out)) is not None and record.chosen is not None:
                    return record
                if not waiting:
                    worker = leases.elsewhere([key]).get(key)
                    what = f"waiting for the search of {self.space.name}: {worker} is at work on it"
                    refuse_waiting(self.executor, what)
                    err.print(what, markup=False, soft_wrap=True)
                    waiting = True
                time.sleep(LOOK_EVERY)
            if (record := kept(self.space, self.out)) is not None and record.chosen is not None:
                return record
            return self._train(record)

    @cached_property
    def workspace(self) -> Workspace:
        """Of the candidates."""
        with named(f"methods.{self.space.name}.search"):
            return Workspace.open(self.spec)

    @property
    def cells(self) -> Sequence[Cell]:
        """The candidates, in order."""
        return self.workspace.cells

    def _train(self, record: SearchRecord | None) -> SearchRecord:
        workspace = self.workspace
        # What a search would be refused for when it is done is refused before.
        refuse_stale(self.asked, self.out, workspace.facts)
        refuse_changes(self.out, Store(self.out).finished(), [], workspace.facts, {})
        facts = as_kept({**self.cells[0].facts(workspace.facts), "seed": None})
        if record is None:
            record = self._planned(facts)
        else:
            refuse_made_differently(self.folder, record.facts, facts)
        resolved = resolved_spec(self.spec, workspace.data)
        self.carried_out = resolved.model_copy(update={"dtype": workspace.facts["backbone"]["dtype"]})
        alive, done = list(range(len(record.candidates))), 0.0
        for number, (count, share) in enumerate(record.rungs):
            if number:
                alive = self._going_on(record, number, count, done, share)
            record = self._climb(record, number, alive, done, share)
            done = share
        record = self._choice(record, len(record.rungs) - 1)
        rmtree(self.folder / records.CHECKPOINTS, ignore_errors=True)  # before: nobody comes back to what is done
        records.write(self.out, self.space.name, record)
        return record

    def _planned(self, facts: dict[str, Any]) -> SearchRecord:
        space = self.space
        # As many points of intervals as let two come to their end: of short trainings a look or an update is dear.
        fewest = 2 if any(isinstance(values, Interval) for values in space.tried.values()) else len(self.made)
        plan, refused = None, None
        for count in range(len(self.made), fewest - 1, -1):
            try:
                unit, climbed = self._rungs(count)
            except IsoglossError as error:
                refused = error
                continue
            plan = plan or (count, unit, climbed)
            if climbed[-1].count >= FINALISTS:
                plan = count, unit, climbed
                break
        if plan is None:
            raise IsoglossError(f"methods.{space.name}.search: {refused}") from refused
        count, unit, climbed = plan
        record = SearchRecord(
            asked=Asked.model_validate(space.asked()), facts=facts, candidates=list(self.made[:count]),
            metric=self.workspace.card.metrics[0], unit=unit, rungs=[(rung.count, rung.share) for rung in climbed],
        )  # fmt: skip
        records.write(self.out, space.name, record)
        return record

    def _rungs(self, count: int) -> tuple[float, list[Rung]]:
        """What a full training of the first candidates costs in the mean, and how far they train."""
        workspace, tried = self.workspace, self.cells[:count]
        prices = sorted((cost.training(workspace, cell) for cell in tried), reverse=True)
        unit, half = sum(prices) / count, (count + 1) // 2
        if self.space.forms is not None or all(cell.method.passes == 0 for cell in tried):
            return unit, [Rung(count, 1.0)]  # a head alone learns from states that are computed once for all candidates
        dear = sum(prices[:half]) / half / unit  # who goes on is likelier dear than cheap
        look = sum(cost.look(workspace, cell) for cell in tried) / count / unit
        least = max(LEAST, 1 / min(cost.updates(workspace, cell) for cell in tried))
        return unit, rungs(count, self.space.budget, look, dear, least)

    def _going_on(self, record: SearchRecord, number: int, count: int, done: float, share: float) -> list[int]:
        """The best of a rung; of those that train to their end, the best one and whom the budget is enough for."""
        seen = record.of_rung(number - 1)
        ranked = sorted(seen, key=lambda candidate: (-seen[candidate].score, candidate))
        if number < len(record.rungs) - 1:
            return ranked[:count]
        left = self.space.budget * record.unit - sum(pause.cost for pause in record.pauses if pause.rung < number)
        going: list[int] = []
        for candidate in ranked:
            if len(going) < count and (not going or self._price(candidate, done, share) <= left * (1 + 1e-9)):
                going.append(candidate)
                left -= self._price(candidate, done, share)
        return going

    def _price(self, candidate: int, done: float, share: float) -> float:
        return cost.part(self.workspace, self.cells[candidate], done, share)

    def _climb(
        self, record: SearchRecord, number: int, alive: Sequence[int], done: float, share: float
    ) -> SearchRecord:
        """Train those that are left as far as a rung, and look at each."""
        todo = [candidate for candidate in alive if candidate not in record.of_rung(number)]
        for candidate in set(range(len(self.made))) - set(alive):  # which nobody goes on with
            rmtree(self._checkpoint(self.cells[candidate]).parent, ignore_errors=True)
        place = {self.cells[candidate].key: candidate for candidate in todo}
        together = self._together(alive)
        failed: list[FailedJob] = []
        every = list(self._jobs(todo, done, share))
        refuse_submitted(self.out, place, self.executor)
        queue = JobQueue(iter(every), sum(job.cost for job in every), self.out)
        with closing(self.executor.carry_out(queue, self.workspace)) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome, FailedJob):  # the others' trainings are kept
                    failed.append(outcome)
                    continue
                assert isinstance(outcome, PausedCell)
                candidate = place[outcome.cell.key]
                pause = Pause(
                    candidate=candidate, rung=number, share=share, step=outcome.step, score=outcome.score,
                    cost=self._price(candidate, done, share) / together[candidate],
                    curve=_curve(outcome, record.metric), answers=outcome.answers if share == 1 else None,
                )  # fmt: skip
                record = record.model_copy(update={"pauses": [*record.pauses, pause]})
                records.write(self.out, self.space.name, record)
        if failed:
            raise_failed(self.out, failed, len(every))
        return record

    def _together(self, alive: Sequence[int]) -> dict[int, int]:
        """By candidate, how many share its passes: of heads alone, all whose states are computed once for a stack."""
        place = {self.cells[candidate].key: candidate for candidate in alive}
        wanted = stacks([self.cells[candidate] for candidate in alive], self.workspace.backbone.pooling)
        return {
            place[cell.key]: len(stack) if cell.method.passes == 0 else 1 for stack in wanted for cell in stack
        }  # fmt: skip

    def _jobs(self, todo: Sequence[int], done: float, share: float) -> list[Job]:
        workspace, jobs = self.workspace, []
        room = self.executor.room(workspace) if hasattr(self.executor, "room") else None
        for wanted in stacks([self.cells[candidate] for candidate in todo], workspace.backbone.pooling):
            parts, line = narrower(workspace, wanted, tests=False, room=room)
            if line:
                err.print(line, markup=False, soft_wrap=True)
            for part in parts:
                work = sum(cost.part(workspace, cell, done, share) for cell in part)
                facts = tuple(cell.facts(workspace.facts) for cell in part)
                files = tuple(map(self._checkpoint, part))
                jobs.append(Job(self.carried_out, tuple(part), facts, work, checkpoints=files, until=share))
        return jobs

    def _checkpoint(self, cell: Cell) -> Path:
        return self.folder / records.CHECKPOINTS / cell.name / CHECKPOINT

    def _choice(self, record: SearchRecord, number: int) -> SearchRecord:
        """The best at its end; of those within one standard error the cheaper one, or of forms the slowest."""
        workspace, ended = self.workspace, record.of_rung(number)
        finalists = sorted(ended)
        best = max(finalists, key=lambda candidate: (ended[candidate].score, -candidate))
        gold = workspace.encoded(self.cells[best]).train_dev(SEED).gold
        if any(len(ended[candidate].answers or []) != len(gold) for candidate in finalists):
            raise IsoglossError(
                f"{self.folder / records.FILE} lacks answers of a candidate; delete that folder to search anew"
            )
        near = within_one_error(
            [ended[candidate].answers or [] for candidate in finalists], gold, kind=workspace.card.kind,
            metric=record.metric, language=str(workspace.data.source),
        )  # fmt: skip
        tied = [candidate for candidate, one in zip(finalists, near, strict=True) if one or candidate == best]
        if self.space.forms is not None:
            chosen = tied[0]
        else:
            price = {candidate: cost.training(workspace, self.cells[candidate]) for candidate in tied}
            chosen = min(tied, key=lambda candidate: (price[candidate], -ended[candidate].score, candidate))
        return record.model_copy(update={"chosen": chosen, "tied": tied})


def _curve(outcome: PausedCell, metric: str) -> list[tuple[float, float]]:
    return [
        (float(row["epoch"]), float(row["value"])) for row in outcome.history
        if row["metric"] == metric and row["value"] is not None
    ]  # fmt: skip
