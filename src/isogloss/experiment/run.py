"""An experiment from spec to run directory: what is missing is carried out, what is stored is never mixed up."""

from __future__ import annotations

from pathlib import Path

from isogloss.backbones.loading import load
from isogloss.errors import IsoglossError
from isogloss.executors.serial import Laboratory
from isogloss.experiment.cells import cells
from isogloss.experiment.data import read_data
from isogloss.experiment.provenance import common_facts, refuse_changes, resolved_spec, surroundings, verbalizer_facts
from isogloss.runtime.console import err
from isogloss.spec import Spec
from isogloss.store import Store
from isogloss.tasks.registry import TASKS
from isogloss.tasks.verbalizer import Verbalizer


def run(spec: Spec, out: Path) -> Store:
    """Train, evaluate and store what is missing of an experiment.

    Args:
        spec: the experiment.
        out: the run directory; new, or holding results of the same cells.

    Raises:
        IsoglossError: the spec cannot be carried out, or what is stored was made by another one.
    """
    wanted = cells(spec)
    stored = Store(out)
    data = read_data(spec)
    words = any(cell.settings.head == "verbalizer" for cell in wanted)
    if words and data.dataset.card.kind != "classification":
        raise IsoglossError(f"`head: verbalizer` is for classification, which {spec.task} is not")
    with err.status("loading the backbone"):
        backbone = load(
            spec.backbone, device=spec.device, dtype=spec.dtype, words=words, checkpointing=spec.gradient_checkpointing
        )
    for cell in wanted:
        cell.method.check(backbone, cell.settings)
    common = common_facts(data, backbone)
    verbalizer = None
    if words:
        common["verbalizer"] = verbalizer_facts(spec, backbone)
        verbalizer = Verbalizer.of(
            backbone, data.labels, common["verbalizer"], source=str(data.source),
            inputs=TASKS[data.dataset.card.kind].inputs(data.dataset.card.columns.second is not None),
        )  # fmt: skip
    finished = stored.finished()
    refuse_changes(out, finished, wanted, common, data.test_data)
    made_with = surroundings(data, backbone)
    stored.begin(resolved_spec(spec, data, stored), made_with)
    found = {cell.key: cell for cell in stored.finished()}
    todo = [cell for cell in wanted if (cell.label, cell.seed) not in found]
    short = [
        (cell, found[cell.label, cell.seed])
        for cell in wanted
        if (cell.label, cell.seed) in found
        and data.test_data.keys() - found[cell.label, cell.seed].record["test_data"].keys()
    ]
    if todo or short:
        laboratory = Laboratory(
            data, backbone, stored, common, made_with, checkpoint_minutes=spec.checkpoint_minutes,
            verbalizer=verbalizer, cells=wanted,
        )  # fmt: skip
        laboratory.carry_out(todo, short)
    stored.gather()
    return stored
