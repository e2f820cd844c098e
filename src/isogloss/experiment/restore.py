"""What is stored of a run, and a stored cell ready to predict again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.loading import EMBEDDED, fingerprint, load, where
from isogloss.errors import IsoglossError
from isogloss.experiment.cells import Cell
from isogloss.methods.method import ImportedPart
from isogloss.store import DamagedError, RunRecord, Store, StoredCell
from isogloss.tasks.registry import TASKS
from isogloss.tasks.verbalizer import Verbalizer
from isogloss.training.run import Run, new_head
from isogloss.training.stack import Stack

LOCAL = "local:"  # how an exported run names a backbone that lay in a folder
COPY = "backbone"  # where a copy of it lies beside the exported run, if the format needs one
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(@[\w./-]+)?")
COMMIT = re.compile(r"[0-9a-f]{40}")


def check_cell(stored: StoredCell) -> None:
    """Whether a cell's record says what it takes to restore it.

    Raises:
        DamagedError: it does not.
    """
    record = stored.checked().record
    if record.kind not in TASKS:
        raise DamagedError(stored.folder / "run.json", f"kind: {record.kind!r} is no kind of task")


def check_reading(stored: StoredCell) -> None:
    """Whether it also says how texts are read.

    Raises:
        DamagedError: it does not.
    """
    check_cell(stored)
    facts = stored.record.facts
    needed = {"longest", "subword"} if facts.get("verbalizer") is None else {"longest", "labels", "source"}
    if lacking := sorted(needed - {name for name in facts if name == "longest" or facts[name] is not None}):
        raise DamagedError(stored.folder / "run.json", f"facts.{lacking[0]} is missing")


def verbalizer_of(backbone: Backbone, facts: Mapping[str, Any], inputs: Sequence[str]) -> Verbalizer | None:
    """The words that are the classes of cells with these facts; None where classes are numbers.

    Args:
        backbone: loaded with its head over the vocabulary.
        facts: of a cell or of all cells: `labels`, `source` and, where there is one, `verbalizer`.
        inputs: what an example consists of.
    """
    if facts.get("verbalizer") is None:
        return None
    return Verbalizer.of(backbone, facts["labels"], facts["verbalizer"], source=facts["source"], inputs=inputs)


def recorded_dtype(asked: str, cells: Sequence[StoredCell]) -> str:
    """What to compute in: where that is left to isogloss, what stored cells were computed in.

    Their numbers rest on it, whatever is fastest on the machine that goes on with them.

    Args:
        asked: of a spec.
        cells: of one run directory, all alike.
    """
    return str(cells[0].checked().record.facts["backbone"]["dtype"]) if asked == "auto" and cells else asked


def load_backbone(
    stored: Store,
    cells: Sequence[StoredCell],
    *,
    words: bool | None,
    dtype: str | None = None,
    name: str | None = None,
) -> Backbone:
    """The backbone of stored cells, on whatever device there is here.

    Args:
        stored: the run directory.
        cells: those that are wanted.
        words: whether the head over the vocabulary is wanted; None: where there is one.
        dtype: what to compute in; None: as the spec says, which left to isogloss is what the cells were computed in.
        name: the backbone, where the caller knows better than the stored spec where it lies; None: as the spec says.

    Raises:
        IsoglossError: the backbone is not the one they were trained on.
    """
    spec = stored.known_spec()
    name = name or _named(stored, spec.backbone, cells)
    dtype = dtype or recorded_dtype(spec.dtype, cells)
    back = (
        "put back what was there, or say where a copy of it lies: --backbone of predict and serve, or `backbone` in "
        f"{stored.path / 'spec.yaml'}"
    )
    try:
        where(name)
    except IsoglossError as error:
        raise IsoglossError(f"{error}; {back}") from error
    backbone = load(name, dtype=dtype, words=words)  # never by unpickling: this spec may be anybody's
    for cell in cells:
        facts = cell.record.facts
        if backbone.identity.weights != facts["backbone"]["weights"]:
            raise IsoglossError(
                f"{name} has other weights now than when {stored.path} was made "
                f"({backbone.identity.weights[:12]}, expected {str(facts['backbone']['weights'])[:12]}); {back}"
            )
        if facts["settings"].get("head") != "verbalizer" or backbone.lm_head is None:
            continue
        if fingerprint(backbone.lm_head) != facts["verbalizer"]["vocabulary"]:
            raise IsoglossError(f"{name} has another head over its vocabulary now than when {stored.path} was made")
    refuse_other_reading(stored, cells, backbone)
    return backbone


def refuse_other_reading(stored: Store, cells: Sequence[StoredCell], backbone: Backbone) -> None:
    """The same weights with another tokenizer or configuration are another backbone.

    Raises:
        IsoglossError: a cell was made with another one.
    """
    now = backbone.identity
    for cell in cells:
        then = _made_with(cell)  # cells of before 0.2 say nothing of it
        changes = [] if then.get("tokenizer_sha256", now.tokenizer) == now.tokenizer else ["another tokenizer"]
        said = then["config"] if isinstance(then.get("config"), dict) else {}
        # What only one of them says may be a default that another version of transformers writes or leaves out.
        changes += [
            f"{key}: {now.config[key]!r:.60} and not {said[key]!r:.60}"
            for key in sorted(now.config.keys() & said.keys())
            if now.config[key] != said[key]
        ]
        if changes:
            raise IsoglossError(
                f"{now.name} has {changes[0]} now, other than when {stored.path} was made; put back what was there, or "
                "choose another --out"
            )


def _made_with(cell: StoredCell) -> dict[str, Any]:
    """What is known of the backbone that a cell was made with."""
    backbone = cell.record.environment.get("backbone")
    return backbone if isinstance(backbone, dict) else {}


def _named(stored: Store, name: str, cells: Sequence[StoredCell]) -> str:
    """What a stored spec calls its backbone, of the hub at the revision that the cells were trained on.

    Raises:
        IsoglossError: it is a path as no run stores it, which could lead anywhere from here.
    """
    if name in EMBEDDED or (Path(name).is_absolute() and ".." not in Path(name).parts):
        return name
    if name.startswith(LOCAL):
        copy = stored.path.absolute().parent / COPY
        if copy.is_dir() and not copy.is_symlink():
            return str(copy)
        raise IsoglossError(
            f"{stored.path} was exported without its backbone, which lay in a folder called "
            f"{name[len(LOCAL) :]!r:.120}; give a folder or a hub id with the same weights, as --backbone or in Python "
            "as `backbone`"
        )
    if not HUB_ID.fullmatch(name) or ".." in name:
        raise IsoglossError(
            f"{stored.path / 'spec.yaml'} names the backbone {name!r:.200}, which is no full path and no hub id "
            "(org/model or org/model@revision); set `backbone` there to where it lies"
        )
    revision = _made_with(cells[0]).get("revision")
    pinned = isinstance(revision, str) and COMMIT.fullmatch(revision) and "@" not in name
    return f"{name}@{revision}" if pinned and not Path(name).exists() else name


def weights(cell: Cell, run: Run) -> dict[str, Tensor]:
    """What is stored of a run: the method's trained tensors and the head's."""
    tensors = {f"part.{name}": tensor for name, tensor in cell.method.stored(run.part).items()}
    return tensors | {f"head.{name}": tensor for name, tensor in run.head.state_dict().items()}


def restore(
    backbone: Backbone, record: RunRecord, tensors: Mapping[str, Tensor], verbalizer: Verbalizer | None
) -> Stack:
    """A trained cell, ready to predict: a stack of one.

    Args:
        backbone: the one it was trained on.
        record: of the cell.
        tensors: its weights, as `weights` gave them.
        verbalizer: the one it was trained with, if any.
    """
    cell = Cell.of(record)
    trained = backbone if cell.method.frozen else backbone.copy()
    try:
        return stack_of(cell, trained, tensors, classes=len(record.labels), verbalizer=verbalizer)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        why = " ".join(str(error).split())[:200]
        raise IsoglossError(
            f"the stored weights of {record.method} seed {record.seed} do not fit what its run.json says ({why}); "
            "delete its folder and run again to train it anew"
        ) from error


def stack_of(
    cell: Cell, backbone: Backbone, tensors: Mapping[str, Tensor], *, classes: int, verbalizer: Verbalizer | None = None
) -> Stack:
    """A stack of one cell with these weights.

    Args:
        cell: which.
        backbone: its own, where its method is not frozen.
        tensors: its weights, as `weights` gave them.
        classes: what its head tells apart.
        verbalizer: the one it was trained with, if any.
    """
    part: nn.Module = cell.method.restore(backbone, cell.settings, _under("part.", tensors)).eval()
    if isinstance(part, ImportedPart):
        backbone = part.backbone
    head = new_head(backbone, cell.settings, classes=classes, verbalizer=verbalizer, generator=torch.Generator())
    head.load_state_dict(_under("head.", tensors))
    run = Run(cell.settings, cell.seed, part.to(backbone.device), head.to(backbone.device))
    return Stack(backbone, cell.method, [run])


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensors[name] for name in tensors if name.startswith(prefix)}  # no other is read
