"""What is stored of a run, and a stored cell ready to predict again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.loading import fingerprint, load
from isogloss.errors import IsoglossError
from isogloss.experiment.cells import Cell
from isogloss.methods.registry import find
from isogloss.spec import check
from isogloss.store import Finished, Store
from isogloss.tasks.verbalizer import Verbalizer
from isogloss.training.stack import Run, Stack, new_head


def cell_of(found: Finished) -> Cell:
    """Which cell it is that is stored."""
    facts = found.record["facts"]
    method = find(facts["method"])
    settings = check(method.settings, facts["settings"], where=str(found.folder))
    return Cell(found.record["method"], method, settings, found.record["seed"])


def load_backbone(
    stored: Store, cells: Sequence[Finished], *, words: bool | None, dtype: str | None = None
) -> Backbone:
    """The backbone of stored cells, on whatever device there is here.

    Args:
        stored: the run directory.
        cells: those that are wanted.
        words: whether the head over the vocabulary is wanted; None: where there is one.
        dtype: what to compute in; None: as the spec says, for whatever device there is here.

    Raises:
        IsoglossError: the backbone is not the one they were trained on.
    """
    spec = stored.spec()
    name = spec["backbone"]
    backbone = load(name, dtype=dtype or spec["dtype"], words=words)
    for cell in cells:
        facts = cell.record["facts"]
        if backbone.identity.weights != facts["backbone"]["weights"]:
            raise IsoglossError(
                f"{name} has other weights now than when {stored.path} was made "
                f"({backbone.identity.weights[:12]}, expected {facts['backbone']['weights'][:12]})"
            )
        if facts["settings"].get("head") != "verbalizer" or backbone.lm_head is None:
            continue
        if fingerprint(backbone.lm_head) != facts["verbalizer"]["vocabulary"]:
            raise IsoglossError(f"{name} has another head over its vocabulary now than when {stored.path} was made")
    return backbone


def weights(cell: Cell, run: Run) -> dict[str, Tensor]:
    """What is stored of a run: the method's trained tensors and the head's."""
    tensors = {f"part.{name}": tensor for name, tensor in cell.method.stored(run.part).items()}
    return tensors | {f"head.{name}": tensor for name, tensor in run.head.state_dict().items()}


def restore(backbone: Backbone, cell: Cell, found: Finished, verbalizer: Verbalizer | None) -> Stack:
    """A stored cell, ready to predict: a stack of one.

    Args:
        backbone: the one it was trained on.
        cell: which it is.
        found: where it is stored.
        verbalizer: the one it was trained with, if any.
    """
    own = backbone if cell.method.frozen else backbone.copy()
    tensors = found.weights()
    part = {name.removeprefix("part."): tensor for name, tensor in tensors.items() if name.startswith("part.")}
    head = {name.removeprefix("head."): tensor for name, tensor in tensors.items() if name.startswith("head.")}
    classes = len(found.record["labels"])
    made = new_head(own, cell.settings, classes=classes, verbalizer=verbalizer, generator=torch.Generator())
    made.load_state_dict(head)
    restored = cell.method.restore(own, cell.settings, part).to(own.device).eval()
    return Stack(own, cell.method, [Run(cell.settings, cell.seed, restored, made.to(own.device))])
