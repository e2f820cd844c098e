"""What jobs would take of memory, before a weight or a text is there: with texts as long as the backbone takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from isogloss.backbones.device import device_of
from isogloss.backbones.loading import is_folder, outline
from isogloss.experiment.cells import Cell, stacks
from isogloss.experiment.memory import not_reckoned
from isogloss.preprocessing.batching import budgets
from isogloss.preprocessing.features import Features
from isogloss.runtime.device_memory import in_words
from isogloss.spec import Spec
from isogloss.training.memory_estimate import MemoryEstimate


def outlined(spec: Spec, cells: Sequence[Cell], classes: int) -> Iterator[str]:
    """A line for each job, where the backbone is a checkpoint in a folder; verbalizers are not reckoned.

    It takes seconds a job, which the embedded backbones are too small to be worth.

    Args:
        spec: the experiment.
        cells: those to train.
        classes: what heads tell apart.

    Raises:
        IsoglossError: there is no such backbone or device.
    """
    # Of the members of an averaged cell, those that train together, or one of them.
    trainings = [one for cell in cells for one in (cell.trainings if cell.method.frozen else cell.trainings[:1])]
    plain = [cell for cell in trainings if cell.settings.head == "linear" and cell.settings.epochs]
    if not is_folder(spec.one_backbone):
        return
    backbone = outline(
        spec.one_backbone, device=spec.device, dtype=spec.dtype, checkpointing=spec.gradient_checkpointing
    )  # fmt: skip
    if backbone is None or not plain:
        return
    device = device_of(spec.device)
    budget, eval_budget = budgets(device)
    longest = min(backbone.shape.positions, spec.data.longest or backbone.shape.positions)
    weights = sum(weight.numel() * weight.element_size() for weight in backbone.weights().values())
    yield f"the backbone {in_words(weights)}"
    told: set[str] = set()  # of jobs that differ in nothing but the seed, one
    for stack in stacks(plain, backbone.pooling):
        first = stack[0]
        alike = repr([(cell.method_name, cell.settings) for cell in stack])
        if alike in told:
            continue
        told.add(alike)
        length = min(longest, backbone.room(max(cell.method.positions(cell.settings) for cell in stack)))
        train = [_longest(cell.settings.batch_size, length) for cell in stack]
        read = _longest(max(1, eval_budget // length), length)
        try:
            with torch.random.fork_rng(devices=[]):
                job = MemoryEstimate(
                    backbone, device, first.method, [cell.settings for cell in stack], classes=classes,
                    seen=torch.arange(1),
                )  # fmt: skip
                taken = job.bytes(train, [read], budget=budget, eval_budget=eval_budget)
        except Exception as error:  # noqa: BLE001 - what knows no tensors without memory must not stop a dry run
            yield f"{first.name}: {not_reckoned(error)}"
            continue
        together = f" ({len(stack)} runs together)" if len(stack) > 1 else ""
        yield f"{first.name}{together} at most about {in_words(taken.peak)} besides, with texts of {length} tokens"


def _longest(rows: int, length: int) -> Features:
    tokens = np.zeros(rows * length, dtype=np.int64)
    return Features(tokens, None, np.arange(rows + 1) * length, np.zeros(rows, dtype=np.int64))
