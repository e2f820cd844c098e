"""Who takes part in a contest, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants.contestant import Contestant, Match
from benchmarks.contestants.isogloss import Isogloss
from benchmarks.contestants.loop import Way
from benchmarks.texts import LONGEST

OURS = "isogloss"
NO_DROPOUT = ", no dropout"
ADAPTERS = "adapters"  # a rival, and the library that it is, which has an environment of its own
RIVALS = {
    "usual": f"a script with PEFT and Trainer: float32, every text padded to {LONGEST} tokens",
    "dynamic": "the same, padded to the longest text of each batch",
    "bf16": "the same in bf16, by Trainer's own switch",
    "expert": "a loop of its own, batches of texts of like length, and the fastest of bf16 weights, bf16 autocast and "
    "float32 with the fused or the eager attention, by a trial on this machine",
    ADAPTERS: "the expert's loop with the library adapters in place of PEFT",
}


@dataclass(frozen=True)
class Entrants:
    """Makes the contestants of one contest, all of which read and learn the same.

    Args:
        match: what they have in common.
        adapters: the Python of an environment that has the library adapters.
    """

    match: Match
    adapters: Path | None = None

    def builders(self, names: tuple[str, ...]) -> dict[str, Callable[[], Contestant]]:
        """How each is made.

        Args:
            names: `isogloss K=8` and so on, or of `RIVALS`; `, no dropout` may follow.
        """
        shared: list[object] = []  # PEFT is imported, and its models are made, where it is asked for

        def models() -> object:
            from benchmarks.contestants.peft import Models

            if not shared:
                shared.append(Models(self.match))
            return shared[0]

        return {name: self._builder(name, models) for name in names}

    def _builder(self, name: str, models: Callable[[], object]) -> Callable[[], Contestant]:
        plain = name.removesuffix(NO_DROPOUT)
        dropout = plain == name
        if plain.startswith(OURS):
            runs = int(plain.partition("K=")[2] or 1)
            return lambda: Isogloss(self.match, runs, dropout=dropout)
        return lambda: self._rival(plain, models, dropout=dropout)

    def _rival(self, name: str, models: Callable[[], object], *, dropout: bool) -> Contestant:
        if name == ADAPTERS:
            from benchmarks.contestants.adapters import Adapters

            return Adapters(self.match, self.adapters, dropout=dropout)
        from benchmarks.contestants.peft import Models
        from benchmarks.contestants.trainer import ByTrainer

        made = models()
        assert isinstance(made, Models)
        if name == "expert":
            return made.expert(dropout=dropout)
        fixed = LONGEST if name == "usual" else None
        return ByTrainer(made.model(Way(), dropout=dropout), self.match, fixed=fixed, bf16=name == "bf16")
