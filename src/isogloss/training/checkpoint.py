"""Where a long training stands: all that is needed to go on as if it had never stopped.

Orders of data, dropout and rates follow from seed and update alone, so the place in the data and the state of every
random generator are one number, `step`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from isogloss.optim.loss_trend import LossTrend
from isogloss.runtime.files import atomic_file
from isogloss.training.train_state import TrainState

VERSION = 3
KEY = "lane"  # of the facts in a file; checkpoints that lie in run directories are called so


class Checkpoints:
    """One file a run, written every so often.

    Args:
        files: a path for each run; it is that run's alone, so that a run goes on in whatever company.
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

    def load(self, train_states: Sequence[TrainState]) -> None:
        """Put each run where its checkpoint left it, if there is one."""
        for train_state, file, fingerprint in zip(train_states, self.files, self.fingerprints, strict=True):
            with suppress(FileNotFoundError):
                _load(train_state, file, fingerprint)

    def maybe_save(self, train_states: Sequence[TrainState]) -> None:
        """Write all checkpoints if it is time."""
        if time.monotonic() - self.last >= self.seconds:
            self.save(train_states)

    def save(self, train_states: Sequence[TrainState]) -> None:
        """Write all checkpoints.

        Where another process has finished a run meanwhile and clears its folder up, nothing need be kept of it here.
        """
        for train_state, file, fingerprint in zip(train_states, self.files, self.fingerprints, strict=True):
            metadata = {KEY: json.dumps(_facts(train_state, fingerprint))}
            with suppress(FileNotFoundError), atomic_file(file) as temporary:
                try:
                    save_file(_tensors(train_state), temporary, metadata=metadata)
                except SafetensorError as error:  # it has no error of its own for that
                    if "No such file" in str(error):
                        raise FileNotFoundError(str(error)) from error
                    raise
        self.last = time.monotonic()


def _facts(train_state: TrainState, fingerprint: str) -> dict[str, object]:
    return {
        "version": VERSION, "fingerprint": fingerprint, "step": train_state.step, "tokens": train_state.tokens,
        "skipped": train_state.skipped, "best": train_state.best, "best_epoch": train_state.best_epoch,
        "history": train_state.history, "trend": asdict(train_state.trend),
    }  # fmt: skip


def _tensors(train_state: TrainState) -> dict[str, Tensor]:
    tensors = {f"run.{name}": tensor for name, tensor in train_state.run.state().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in train_state.best_state.items()}
    for index, state in train_state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in state.items()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _load(train_state: TrainState, file: Path, fingerprint: str) -> None:
    with safe_open(file, framework="pt") as stored:
        facts = json.loads((stored.metadata() or {}).get(KEY, "{}"))
        if facts.get("version") != VERSION or facts["fingerprint"] != fingerprint:
            return
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - it is no dict
    train_state.run.load_state(_under("run.", tensors))
    train_state.best_state = _under("best.", tensors)
    train_state.step, train_state.tokens, train_state.skipped = facts["step"], facts["tokens"], facts["skipped"]
    train_state.best, train_state.best_epoch = tuple(facts["best"]), facts["best_epoch"]
    train_state.history = facts["history"]
    train_state.trend = LossTrend(**facts["trend"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _under("optimizer.", tensors).items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    train_state.optimizer.load_state_dict(
        {"state": state, "param_groups": train_state.optimizer.state_dict()["param_groups"]}
    )


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
