"""How long each run of a stack has trained: they learn at once, and share the time."""

from __future__ import annotations

import time
from collections.abc import Sequence

from isogloss.training.train_state import TrainState


class TrainingClock:
    """Counts the time between two updates as that of the runs that have learnt, in equal parts.

    What comes before the first update, as states that are computed once, and what is looked at between two counts too.

    Args:
        train_states: of the stack.
    """

    def __init__(self, train_states: Sequence[TrainState]) -> None:
        self.train_states = train_states
        self.steps = [state.step for state in train_states]
        self.last = time.perf_counter()

    def count(self) -> None:
        """After an update."""
        now = time.perf_counter()
        learnt = [state for state, step in zip(self.train_states, self.steps, strict=True) if state.step > step]
        for state in learnt:
            if state.seconds is not None:
                state.seconds += (now - self.last) / len(learnt)
        self.steps, self.last = [state.step for state in self.train_states], now
