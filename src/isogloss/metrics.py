"""Scores as fractions from 0 to 1: pure functions on arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Int


def accuracy(gold: Int[np.ndarray, "N"], predicted: Int[np.ndarray, "N"]) -> float:
    """Share of examples whose class was predicted."""
    return float((gold == predicted).mean())


def macro_f1(gold: Int[np.ndarray, "N"], predicted: Int[np.ndarray, "N"]) -> float:
    """F1 of each class that occurs in gold or prediction, averaged over those classes."""
    classes = np.union1d(gold, predicted)
    scores = []
    for label in classes:
        hit = int(((gold == label) & (predicted == label)).sum())
        scores.append(2 * hit / (int((gold == label).sum()) + int((predicted == label).sum())))
    return float(np.mean(scores))


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"accuracy": accuracy, "macro-f1": macro_f1}
