"""What takes turns in a contest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from benchmarks.shapes import Shape
from benchmarks.texts import Texts

PROMPT = 16  # positions P


@dataclass(frozen=True)
class Match:
    """What all contestants of a contest have in common.

    Args:
        shape: of the model.
        checkpoint: its folder.
        method: `deep-prompt`, `soft-prompt`, `lora` or `fine-tuning`.
        batch: examples of one update of one run.
        train: examples to learn from.
        test: examples to predict.
        device: what computes.
    """

    shape: Shape
    checkpoint: Path
    method: str
    batch: int
    train: Texts
    test: Texts
    device: torch.device


class Contestant(Protocol):
    """Something that trains and evaluates."""

    runs: int  # K: how many learn in one update
    dtype: torch.dtype  # what it multiplies in
    way: Mapping[str, Any]  # how it was chosen to compute, for the table

    def train(self, updates: int) -> float:
        """Seconds of so many updates of every run."""
        ...

    def evaluate(self) -> float:
        """Seconds of predicting the test examples with one run."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...
