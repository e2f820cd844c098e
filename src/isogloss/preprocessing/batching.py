"""From features to batches: sort by length, cut into forward passes.

What a training update sees is decided by seed and epoch alone (`order`); how its rows are cut into forward passes
(`passes`) changes the speed and nothing else, unless the backbone itself is in training: its own dropout is drawn pass
by pass.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Int

from isogloss.runtime.seeding import derive


def passes(lengths: Int[np.ndarray, "rows"], *, budget: int) -> list[Int[np.ndarray, "some"]]:
    """Cut rows into forward passes: sorted by length, as many tokens each as the budget admits.

    Rows are packed without padding, so a pass costs the sum of its rows; sorting keeps what attention pads small.

    Args:
        lengths: tokens of each row, prompt included.
        budget: most tokens of one pass; a single longer row goes alone.

    Returns:
        Indices of rows, an array a pass, the longest rows first.
    """
    order = np.argsort(-lengths, kind="stable")
    ends = np.cumsum(lengths[order])
    cut, begin, done = [], 0, 0
    while begin < len(order):
        end = max(begin + 1, int(np.searchsorted(ends, done + budget, side="right")))
        cut.append(order[begin:end])
        begin, done = end, int(ends[end - 1])
    return cut


@lru_cache(maxsize=64)
def order(size: int, *, seed: int, epoch: int) -> Int[np.ndarray, "N"]:
    """The order in which a run sees its examples in an epoch, by seed and epoch alone."""
    return np.random.Generator(np.random.PCG64(derive("order", seed, epoch))).permutation(size)


def budgets(device: torch.device) -> tuple[int, int]:
    """Most tokens of one forward pass in training and in evaluation.

    A CPU keeps what a few thousand tokens make in its cache; in training, where operators are many, one pass over a
    whole stack pays more. A GPU needs many tokens to be busy. What does not fit is cut smaller
    (`experiment/memory.py`).
    """
    return (12288, 4096) if device.type == "cpu" else (65536, 65536)
