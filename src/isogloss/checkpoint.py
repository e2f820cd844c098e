"""Where a long training stands: all that is needed to go on as if it had never stopped.

Orders of data, dropout and rates follow from seed and update alone, so the place in the data and the state of every
random generator are one number, `step`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from isogloss.cache import atomic_file
from isogloss.lane import Lane
from isogloss.onset import Trend

VERSION = 3


class Checkpoints:
    """One file a run, written every so often.

    Args:
        files: a path a lane; each is that run's alone, so that a run goes on in whatever company.
        fingerprints: what each run is; a file of another run is not taken.
        minutes: between two checkpoints.
    """

    def __init__(self, files: Sequence[Path], fingerprints: Sequence[str], *, minutes: float) -> None:
        self.files = list(files)
        self.fingerprints = list(fingerprints)
        self.seconds = minutes * 60
        self.began = self.last = time.monotonic()

    @property
    def overdue(self) -> bool:
        """Whether the training as a whole took longer than may be lost."""
        return time.monotonic() - self.began >= self.seconds

    def load(self, lanes: Sequence[Lane]) -> None:
        """Put each lane where its checkpoint left it, if there is one."""
        for lane, file, fingerprint in zip(lanes, self.files, self.fingerprints, strict=True):
            if file.is_file():
                _load(lane, file, fingerprint)

    def maybe_save(self, lanes: Sequence[Lane]) -> None:
        """Write all checkpoints if it is time."""
        if time.monotonic() - self.last >= self.seconds:
            self.save(lanes)

    def save(self, lanes: Sequence[Lane]) -> None:
        """Write all checkpoints."""
        for lane, file, fingerprint in zip(lanes, self.files, self.fingerprints, strict=True):
            with atomic_file(file) as temporary:
                save_file(_tensors(lane), temporary, metadata={"lane": json.dumps(_facts(lane, fingerprint))})
        self.last = time.monotonic()


def _facts(lane: Lane, fingerprint: str) -> dict[str, object]:
    return {
        "version": VERSION, "fingerprint": fingerprint, "step": lane.step, "tokens": lane.tokens,
        "skipped": lane.skipped, "best": lane.best, "best_epoch": lane.best_epoch, "history": lane.history,
        "trend": asdict(lane.trend),
    }  # fmt: skip


def _tensors(lane: Lane) -> dict[str, Tensor]:
    tensors = {f"run.{name}": tensor for name, tensor in lane.run.state().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in lane.best_state.items()}
    for index, state in lane.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in state.items()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _load(lane: Lane, file: Path, fingerprint: str) -> None:
    with safe_open(file, framework="pt") as stored:
        facts = json.loads(stored.metadata()["lane"])
        if facts["version"] != VERSION or facts["fingerprint"] != fingerprint:
            return
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - it is no dict
    lane.run.load_state(_under("run.", tensors))
    lane.best_state = _under("best.", tensors)
    lane.step, lane.tokens, lane.skipped = facts["step"], facts["tokens"], facts["skipped"]
    lane.best, lane.best_epoch, lane.history = tuple(facts["best"]), facts["best_epoch"], facts["history"]
    lane.trend = Trend(**facts["trend"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _under("optimizer.", tensors).items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    lane.optimizer.load_state_dict({"state": state, "param_groups": lane.optimizer.state_dict()["param_groups"]})


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
