"""An experiment from spec to run directory: what is missing is carried out, what is stored is never mixed up."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from isogloss.errors import IsoglossError
from isogloss.experiment.failed_jobs import raise_failed
from isogloss.experiment.job import Detached, Executor
from isogloss.experiment.leases import CellLeases
from isogloss.experiment.provenance import merged_spec, refuse_changes, refuse_other_labels, resolved_spec
from isogloss.experiment.remarks import no_labels
from isogloss.experiment.restore import recorded_dtype, refuse_other_reading
from isogloss.experiment.schedule import Schedule
from isogloss.experiment.search.plan import refuse_stale
from isogloss.experiment.search.search import searched
from isogloss.experiment.workspace import Workspace
from isogloss.runtime.console import err
from isogloss.runtime.determinism import deterministic
from isogloss.spec import ResolvedSpec, Spec
from isogloss.store import Store
from isogloss.trackers.registry import refuse_lacking


def run(spec: Spec, out: Path, executor: Executor) -> Store:
    """Train, evaluate and store what is missing of an experiment.

    Args:
        spec: the experiment.
        out: the run directory; new, or holding results of the same cells. Other processes may be at work on it: its
            cells are shared between all of them, and it is whole when this returns, unless the executor detaches.
        executor: carries out the jobs.

    Raises:
        IsoglossError: the spec cannot be carried out, what is stored or in training elsewhere was made by another one,
            or a job failed; what the other jobs have finished is stored.
        Exception: a job failed by a fault that is no user's; the same holds.
    """
    try:
        with deterministic(spec.deterministic, spec.device):
            return _run(spec, out, executor)
    except Detached as left:
        err.print(str(left), markup=False, soft_wrap=True)
        return Store(out)


def _run(spec: Spec, out: Path, executor: Executor) -> Store:
    refuse_lacking(spec.track)
    store = Store(out)
    asked, spec = spec, searched(spec, out, executor)
    dtype = recorded_dtype(spec.dtype, store.finished())
    # Jobs that are sent elsewhere compute in the same; what is stored says what was asked for.
    workspace = Workspace.open(spec.model_copy(update={"dtype": dtype}))

    refuse_stale(asked, out, workspace.facts)

    def refuse() -> None:
        refuse_other_labels(out, store.finished(), workspace.data)
        refuse_changes(out, store.finished(), workspace.cells, workspace.facts, workspace.data.test_data)
        refuse_other_reading(store, store.finished(), workspace.backbone)

    refuse()
    if without := workspace.data.unlabelled:
        err.print(no_labels([test.language for test in without]), markup=False, soft_wrap=True)
    resolved = resolved_spec(spec, workspace.data)
    carried_out = resolved.model_copy(update={"dtype": workspace.facts["backbone"]["dtype"]})
    facts = {cell.label: {**cell.facts(workspace.facts), "seed": None} for cell in workspace.cells}
    leases = CellLeases(store, facts, workspace.data.test_data)
    with leases:
        with store.lock:  # others may add methods to the same spec meanwhile
            refuse()
            store.begin(merged_spec(resolved, _stored_spec(store)), workspace.environment)
        try:
            failed, handed_out = Schedule(carried_out, workspace, store, leases).carry_out(executor)
        except BaseException:  # what is finished is in the tables, though others were stopped
            with suppress(OSError, IsoglossError):
                store.gather()
            raise
        store.gather()
    if failed:
        raise_failed(out, failed, handed_out)
    return store


def _stored_spec(store: Store) -> ResolvedSpec | None:
    """The spec in the directory, which may be damaged: the one that is carried out takes its place."""
    try:
        return store.spec()
    except IsoglossError as error:
        err.print(f"{error}; it is written anew", markup=False, soft_wrap=True)
        return None
