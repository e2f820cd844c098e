"""An experiment from spec to run directory: what is missing is carried out, what is stored is never mixed up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from isogloss.errors import IsoglossError
from isogloss.experiment import cost
from isogloss.experiment.cells import Cell, stacks
from isogloss.experiment.job import Executor, FailedJob, Job
from isogloss.experiment.provenance import merged_spec, refuse_changes, resolved_spec
from isogloss.experiment.restore import refuse_other_tokenizer
from isogloss.experiment.workspace import Workspace
from isogloss.spec import Spec
from isogloss.store import Store

GATHERING = 0.05  # share of the time that may go into putting tables together


def run(spec: Spec, out: Path, executor: Executor) -> Store:
    """Train, evaluate and store what is missing of an experiment.

    Args:
        spec: the experiment.
        out: the run directory; new, or holding results of the same cells.
        executor: carries out the jobs.

    Raises:
        IsoglossError: the spec cannot be carried out, what is stored was made by another one, or a job failed; what
            the other jobs have finished is stored.
    """
    store = Store(out)
    workspace = Workspace.open(spec)
    refuse_changes(out, store.finished(), workspace.cells, workspace.facts, workspace.data.test_data)
    refuse_other_tokenizer(store, store.finished(), workspace.backbone)
    resolved = resolved_spec(spec, workspace.data)
    with store.lock:  # others may add methods to the same spec meanwhile
        store.begin(merged_spec(resolved, store.spec()), workspace.environment)
    jobs = list(_jobs(resolved, workspace, store))
    try:
        failed = _carry_out(jobs, workspace, store, executor) if jobs else []
    finally:  # what is finished is in the tables, though others were stopped
        store.gather()
    if failed:
        others = f" ({len(failed)} of {len(jobs)} jobs failed; the others are stored)" if len(jobs) > 1 else ""
        raise IsoglossError(f"{failed[0].error}{others}") from failed[0].error
    return store


def _carry_out(jobs: list[Job], workspace: Workspace, store: Store, executor: Executor) -> list[FailedJob]:
    failed, gathered, gathering = [], time.monotonic(), 0.0
    # Closed at once if a cell cannot be stored: an executor may have signals and a progress bar to give back.
    with closing(executor.carry_out(jobs, workspace)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, FailedJob):
                failed.append(outcome)
                continue
            store.put(outcome)
            if gathering <= GATHERING * (time.monotonic() - gathered):
                begin = time.monotonic()
                store.gather()
                gathered = time.monotonic()
                gathering = gathered - begin
    return failed


def _jobs(spec: Spec, workspace: Workspace, store: Store) -> Iterator[Job]:
    """What is missing: cells to train, in stacks, and cells that lack languages."""
    by_key = {cell.key: cell for cell in store.finished()}
    missing = [cell for cell in workspace.cells if cell.key not in by_key]
    monitor = cost.monitor_plan(workspace) if missing else None

    def job(*cells: Cell, work: float, **extra: Any) -> Job:
        return Job(spec, cells, tuple(cell.facts(workspace.facts) for cell in cells), work, **extra)

    for stack in stacks(missing, workspace.backbone.pooling):
        work = sum(cost.training(workspace, cell) + cost.scoring(workspace, cell) for cell in stack)
        checkpoints = tuple(store.checkpoint(*cell.key) for cell in stack)
        yield job(*stack, work=work, monitor=monitor, checkpoints=checkpoints)
    for cell in workspace.cells:
        stored_cell = by_key.get(cell.key)
        if stored_cell is None:
            continue
        if languages := tuple(code for code in workspace.data.test_data if code not in stored_cell.record.test_data):
            work = cost.one_pass(workspace.encoded(cell).languages(languages).features, cell)
            yield job(cell, work=work, trained=(stored_cell.record, stored_cell.weights()), languages=languages)
