"""From features to batches: sort by length, cut into forward passes.

A *row* is one example for one run. What a training update sees is decided by seed and epoch alone (`order`); how its
rows are cut into forward passes (`passes`) changes the speed and nothing else, unless the backbone itself is in
training: its own dropout is drawn pass by pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from isogloss.preprocessing.features import Features
from isogloss.runtime.seeding import derive


@dataclass(frozen=True)
class Batch:
    """Padded rows on the device."""

    tokens: Int[Tensor, "B T"]
    mask: Bool[Tensor, "B T"]
    types: Int[Tensor, "B T"] | None
    run: Int[Tensor, "B"]
    spots: tuple[Int[Tensor, "units"], Int[Tensor, "units"]] | None  # each unit's row and token; none: a row is a unit
    front: Int[Tensor, "B"] | None = None  # how many tokens stand in front of a prompt, where a template says so


@dataclass(frozen=True)
class BatchRow:
    """One row of the features for one run of the stack."""

    features: Features
    row: int  # of the features
    run: int  # an index into the K runs of the stack

    @property
    def length(self) -> int:
        """Tokens, special tokens included."""
        return int(self.features.lengths[self.row])

    @property
    def units(self) -> int:
        """What the head scores in it."""
        begin, end = self.features.unit_starts[self.row : self.row + 2]
        return int(end - begin)


def collate(rows: Sequence[BatchRow], *, pad: int, device: torch.device) -> Batch:
    """Pad rows on the right to the longest of them."""
    longest = max(row.length for row in rows)
    tokens = np.full((len(rows), longest), pad, dtype=np.int64)
    types = None if rows[0].features.types is None else np.zeros((len(rows), longest), dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=bool)
    for index, row in enumerate(rows):
        start, end = row.features.starts[row.row : row.row + 2]
        tokens[index, : end - start] = row.features.tokens[start:end]
        mask[index, : end - start] = True
        if types is not None and row.features.types is not None:
            types[index, : end - start] = row.features.types[start:end]
    return Batch(
        tokens=torch.from_numpy(tokens).to(device),
        mask=torch.from_numpy(mask).to(device),
        types=None if types is None else torch.from_numpy(types).to(device),
        run=torch.tensor([row.run for row in rows], device=device),
        spots=_spots(rows, device),
        front=_front(rows, device),
    )


def _front(rows: Sequence[BatchRow], device: torch.device) -> Tensor | None:
    filled = [(row.features.filled, row.row) for row in rows]
    counts = [template.prompt[row] for template, row in filled if template is not None and template.prompt is not None]
    return torch.tensor(counts, device=device) if counts else None


def _spots(rows: Sequence[BatchRow], device: torch.device) -> tuple[Tensor, Tensor] | None:
    tokens = []  # of each row, those that its units stand at
    for row in rows:
        if row.features.words is not None:
            tokens.append(row.features.words.spots[row.features.units([row.row])])
        elif row.features.filled is not None:
            tokens.append(row.features.filled.answer[[row.row]])
    if not tokens:
        return None
    owners = np.repeat(np.arange(len(rows)), [len(units) for units in tokens])
    return torch.from_numpy(owners).to(device), torch.from_numpy(np.concatenate(tokens)).to(device)


def passes(lengths: Sequence[int], *, budget: int) -> list[list[int]]:
    """Cut rows into forward passes: sorted by length, as many tokens each as the budget admits.

    Rows are packed without padding, so a pass costs the sum of its rows; sorting keeps what attention pads small.

    Args:
        lengths: tokens of each row, prompt included.
        budget: most tokens of one pass; a single longer row goes alone.

    Returns:
        Indices of rows, a list a pass, the longest rows first.
    """
    cut: list[list[int]] = []
    room = 0
    for row in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if lengths[row] > room:
            cut.append([])
            room = budget
        cut[-1].append(row)
        room -= lengths[row]
    return cut


@lru_cache(maxsize=16)
def order(size: int, *, seed: int, epoch: int) -> Int[np.ndarray, "N"]:
    """The order in which a run sees its examples in an epoch, by seed and epoch alone."""
    return np.random.Generator(np.random.PCG64(derive("order", seed, epoch))).permutation(size)


def budgets(device: torch.device) -> tuple[int, int]:
    """Most tokens of one forward pass in training and in evaluation.

    A CPU is full with a few thousand tokens and keeps more of them in its cache; a GPU needs many to be busy.
    """
    return (2048, 4096) if device.type == "cpu" else (16384, 65536)
