"""What is to be written of a training beside its weights, and the same of several that are averaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isogloss.training.train_state import TrainState

AVERAGED = ("loss", "learning_rate", "value")  # columns of a history that have a mean over trainings


@dataclass(frozen=True, eq=False)
class Trained:
    """How a training went, as far as it has come.

    Args:
        metric: what is selected on.
        score: that metric of what the training keeps, on `dev`.
        history: in rows without method and seed.
        step: updates done.
        tokens: of text learnt from.
        selected_epoch: whose weights are kept; of a mean, the last of them.
        skipped: updates left out because a gradient was not finite.
        onset: the share of the updates at which the source was learnt, if it was.
        observed: examples of each language that were looked at, if any were.
        cut: texts of each split that are cut to fit.
        seconds: that it has trained, of a stack its share; None: it is not known.
    """

    metric: str
    score: float
    history: list[dict[str, Any]]
    step: int
    tokens: int
    selected_epoch: int
    skipped: int
    onset: float | None
    observed: Mapping[str, int] | None
    cut: Mapping[str, int]
    seconds: float | None = None

    @classmethod
    def of(cls, state: TrainState) -> Trained:
        """Where one training stands."""
        return cls(
            state.metric, state.best[0], list(state.history), state.step, state.tokens,
            state.best_epoch, state.skipped, state.onset, None if state.sample is None else state.sample.counts,
            {"train": state.train.cut, "dev": state.dev.cut}, state.seconds if state.total else None,
        )  # fmt: skip


def mean_history(histories: Iterable[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """One history of several trainings: at each update the mean of what they have there, and the sum of their tokens.

    Args:
        histories: of trainings of one kind, which write the same rows.
    """
    rows: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for history in histories:
        seen: Counter[tuple[Any, ...]] = Counter()
        for row in history:
            kind = (row["step"], row["metric"], row["language"], row["loss"] is None)
            rows.setdefault((*kind, seen[kind]), []).append(row)
            seen[kind] += 1
    together = []
    for _, same in sorted(rows.items(), key=lambda one: one[0][0]):  # in the order of the rows of one training
        means = {name: _mean([row[name] for row in same]) for name in AVERAGED}
        together.append({**same[0], **means, "tokens": sum(row["tokens"] for row in same)})
    return together


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None
