"""What following source and targets costs a training in time.

    python -m benchmarks.looking_on

Fine-tuning and a deep prompt on voice-intents, with `dynamics: {}` and without, in turn; the ratio of their times from
the first update to the last.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from isogloss.executors.serial import Serial
from isogloss.experiment.run import run
from isogloss.spec import Spec, check
from isogloss.training.loop import Scorer, train

ROUNDS = 3
METHODS = {"fine-tuning": {"epochs": 3}, "deep-prompt": {"epochs": 4, "length": 8}}


def timed(folder: Path, method: str, dynamics: dict[str, Any] | None) -> float:
    taken = []

    def clocked(*given: Any, **named: Any) -> Scorer:
        begin = time.perf_counter()
        scorer = train(*given, **named)
        taken.append(time.perf_counter() - begin)
        return scorer

    spec = {
        "name": "x",
        "task": "voice-intents",
        "data": {"test_limit": 2},
        "methods": {method: METHODS[method]},
        "dynamics": dynamics,
    }
    with mock.patch("isogloss.experiment.job_training.train", clocked):
        run(check(Spec, spec, where="looking_on"), folder, Serial())
    return taken[0]


def main() -> None:
    for method in METHODS:
        ratios = []
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory() as folder:
                watched, alone = (timed(Path(folder) / name, method, own) for name, own in (("a", {}), ("b", None)))
                ratios.append(watched / alone)
        print(f"{method}: {', '.join(f'{ratio:.2f}' for ratio in sorted(ratios))} of the time without")


if __name__ == "__main__":
    main()
