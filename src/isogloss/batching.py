"""From texts to batches: tokenise once, sort by length, cut into forward passes.

A *row* is one example for one run. What a training update sees is decided by seed and epoch alone (`order`); how its
rows are cut into forward passes (`passes`) changes the speed and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True)
class Features:
    """Tokenised examples of one task, in order.

    `tokens` are all examples' ids end to end; example i is `tokens[starts[i]:starts[i + 1]]`.
    """

    tokens: Int[np.ndarray, "total"]
    types: Int[np.ndarray, "total"] | None
    starts: Int[np.ndarray, "ends"]
    labels: Int[np.ndarray, "N"]
    texts: tuple[Sequence[str], ...]  # one sequence, or two for pairs: what `truncated` encodes anew
    cut: int = 0  # how many examples were truncated

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def lengths(self) -> Int[np.ndarray, "N"]:
        """Tokens of each example, special tokens included."""
        return np.diff(self.starts)

    def truncated(self, room: int, tokenizer: Any) -> Features:
        """These features with every example of more than `room` tokens encoded anew to fit.

        The tokenizer truncates, so special tokens stay and of a pair the longer text is cut first.
        """
        long = np.flatnonzero(self.lengths > room)
        if len(long) == 0:
            return self
        columns = [[texts[int(i)] for i in long] for texts in self.texts]
        encoded = tokenizer(*columns, truncation=True, max_length=room, verbose=False)
        tokens = np.split(self.tokens, self.starts[1:-1])
        types = None if self.types is None else np.split(self.types, self.starts[1:-1])
        for place, i in enumerate(long):
            tokens[i] = np.asarray(encoded["input_ids"][place], dtype=np.int64)
            if types is not None:
                types[i] = np.asarray(encoded["token_type_ids"][place], dtype=np.int64)
        return replace(
            self,
            tokens=np.concatenate(tokens),
            types=None if types is None else np.concatenate(types),
            starts=np.concatenate([[0], np.cumsum([len(ids) for ids in tokens])]),
            cut=len(long),
        )


def tokenise(texts: tuple[Sequence[str], ...], labels: Sequence[int], tokenizer: Any) -> Features:
    """Encode whole texts; nothing is truncated yet, because the room depends on the method's prompt.

    Args:
        texts: the texts, or the first and the second texts of pairs.
        labels: each example's class.
        tokenizer: a fast tokenizer.
    """
    encoded = tokenizer(*(list(column) for column in texts), truncation=False, verbose=False)
    ids: list[list[int]] = encoded["input_ids"]
    types = encoded.get("token_type_ids")
    return Features(
        tokens=np.concatenate([np.asarray(row, dtype=np.int64) for row in ids]),
        types=None if types is None else np.concatenate([np.asarray(row, dtype=np.int64) for row in types]),
        starts=np.concatenate([[0], np.cumsum([len(row) for row in ids])]),
        labels=np.asarray(labels, dtype=np.int64),
        texts=texts,
    )


@dataclass(frozen=True)
class Batch:
    """Padded rows on the device."""

    tokens: Int[Tensor, "B T"]
    mask: Bool[Tensor, "B T"]
    types: Int[Tensor, "B T"] | None
    run: Int[Tensor, "B"]


@dataclass(frozen=True)
class Row:
    """One example for one run: `features[example]`, for run `run` of the stack."""

    features: Features
    example: int
    run: int

    @property
    def length(self) -> int:
        """Tokens, special tokens included."""
        return int(self.features.lengths[self.example])


def collate(rows: Sequence[Row], *, pad: int, device: torch.device) -> Batch:
    """Pad rows on the right to the longest of them."""
    longest = max(row.length for row in rows)
    tokens = np.full((len(rows), longest), pad, dtype=np.int64)
    types = None if rows[0].features.types is None else np.zeros((len(rows), longest), dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=bool)
    for place, row in enumerate(rows):
        start, end = row.features.starts[row.example : row.example + 2]
        tokens[place, : end - start] = row.features.tokens[start:end]
        mask[place, : end - start] = True
        if types is not None and row.features.types is not None:
            types[place, : end - start] = row.features.types[start:end]
    return Batch(
        tokens=torch.from_numpy(tokens).to(device),
        mask=torch.from_numpy(mask).to(device),
        types=None if types is None else torch.from_numpy(types).to(device),
        run=torch.tensor([row.run for row in rows], device=device),
    )


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


def derive(*parts: object) -> int:
    """A seed made of several: the same on every machine, and unlike for unlike parts."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@lru_cache(maxsize=16)
def order(size: int, *, seed: int, epoch: int) -> Int[np.ndarray, "N"]:
    """The order in which a run sees its examples in an epoch, by seed and epoch alone."""
    return np.random.Generator(np.random.PCG64(derive("order", seed, epoch))).permutation(size)


def budgets(device: torch.device) -> tuple[int, int]:
    """Most tokens of one forward pass in training and in evaluation.

    A CPU is full with a few thousand tokens and keeps more of them in its cache; a GPU needs many to be busy.
    """
    return (2048, 4096) if device.type == "cpu" else (16384, 65536)
