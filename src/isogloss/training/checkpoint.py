"""Where a long training stands: all that is needed to go on as if it had never stopped.

Orders of data, dropout and rates follow from seed and update alone, so the place in the data and the state of every
random generator are one number, `step`.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from isogloss.runtime.console import err
from isogloss.runtime.files import atomic_file
from isogloss.runtime.process_group import current
from isogloss.training.checkpoint_head import KEY
from isogloss.training.train_state import TrainState

VERSION = 5  # of before, only their head is read: their optimiser was another
CHECKSUM = "sha256"
_NAME = re.compile(r"^(run|best|optimizer\.mean|optimizer\.square)\.")  # what stands before a weight's name


class Checkpoints:
    """One file a run, written every so often. Of several processes the first writes and reads, and tells the others.

    Args:
        files: a path for each run; it is that run's alone, so that a run goes on in whatever company. None: nothing is
            kept.
        fingerprints: what each run is; a file of another run is not taken.
        minutes: between two checkpoints.
    """

    def __init__(self, files: Sequence[Path], fingerprints: Sequence[str], *, minutes: float) -> None:
        self.files = list(files)
        self.fingerprints = list(fingerprints) if self.files else []
        self.seconds = minutes * 60
        self.began = self.last = time.monotonic()

    @property
    def overdue(self) -> bool:
        """Whether the training as a whole took longer than may be lost."""
        return time.monotonic() - self.began >= self.seconds

    def load(self, train_states: Sequence[TrainState]) -> None:
        """Put each run where its checkpoint left it, if there is one. One that is damaged is as good as none."""
        processes = current()
        for train_state, file, fingerprint in self._each(train_states):
            facts, tensors = _found(file, fingerprint) if processes.leads else (None, {})
            if processes.several:
                facts = processes.told(facts)
                tensors = processes.tensors(tensors)
            if facts is not None:
                _load(train_state, facts, tensors)

    def _each(self, train_states: Sequence[TrainState]) -> Iterable[tuple[TrainState, Path, str]]:
        return zip(train_states if self.files else (), self.files, self.fingerprints, strict=True)

    def maybe_save(self, train_states: Sequence[TrainState]) -> None:
        """Write all checkpoints if it is time."""
        if agreed(time.monotonic() - self.last >= self.seconds, train_states):
            self.save(train_states)

    def save(self, train_states: Sequence[TrainState]) -> None:
        """Write all checkpoints.

        Where another process has finished a run meanwhile and clears its folder up, nothing need be kept of it here.
        """
        for train_state, file, fingerprint in self._each(train_states):
            train_state.fetch()
            if not current().leads and not train_state.run.spread():
                continue
            tensors, facts = _tensors(train_state), json.dumps(_facts(train_state, fingerprint))
            if not current().leads:  # it has given its parts
                continue
            metadata = {KEY: facts, CHECKSUM: _checksum(tensors, facts)}
            with suppress(FileNotFoundError), atomic_file(file) as temporary:
                save_file(tensors, temporary, metadata=metadata)
        self.last = time.monotonic()


def agreed(due: bool, train_states: Sequence[TrainState]) -> bool:
    """Whether something is due, by all processes' clocks where all have to take part."""
    return current().any(due) if any(state.run.spread() for state in train_states) else due


def updates_done(file: Path, fingerprint: str) -> int:
    """How many updates of a run a checkpoint holds, as it says itself; 0 where there is none, or none of this run."""
    of, step = _head(file)
    return step if of == (VERSION, fingerprint) else 0


def behind(file: Path, other: Path) -> bool:
    """Whether a checkpoint is of the same run as another one, and holds fewer updates, as both say themselves."""
    (of, step), (of_other, most) = _head(file), _head(other)
    return of == of_other and step < most


def _head(file: Path) -> tuple[tuple[Any, Any], int]:
    """Version and fingerprint of a run, and how many of its updates a checkpoint holds; nothing where it says none."""
    if not file.is_file():
        return (None, None), 0
    try:
        with safe_open(file, framework="pt") as stored:
            facts = json.loads((stored.metadata() or {})[KEY])
        return (facts["version"], facts["fingerprint"]), int(facts["step"])
    except (SafetensorError, ValueError, KeyError, TypeError, OSError, RecursionError):
        return (None, None), 0


def _facts(train_state: TrainState, fingerprint: str) -> dict[str, object]:
    return {
        "version": VERSION, "fingerprint": fingerprint, "step": train_state.step, "tokens": train_state.tokens,
        "total": train_state.total, "seconds": train_state.seconds,
        "best": train_state.best, "best_epoch": train_state.best_epoch, "history": train_state.history,
    }  # fmt: skip


def _tensors(train_state: TrainState) -> dict[str, Tensor]:
    """What a run is resumed from; of one that has ended only what it keeps, and what its optimiser has counted."""
    ended = train_state.step >= train_state.total
    now = {} if ended else train_state.run.state()
    tensors = {f"run.{name}": tensor for name, tensor in now.items()}
    tensors |= {f"best.{name}": tensor for name, tensor in train_state.best_state.items()}
    optimizer = train_state.optimizer.items()
    tensors |= {f"optimizer.{name}": tensor for name, tensor in optimizer if not ended or tensor.numel() == 1}
    spread = train_state.run.spread()
    return {
        name: _whole(tensor.detach(), spread.get(_NAME.sub("", name)))
        .cpu()
        .clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def _whole(tensor: Tensor, shape: torch.Size | None) -> Tensor:
    return tensor if shape is None else current().whole(tensor, shape)


def _checksum(tensors: Mapping[str, Tensor], facts: str) -> str:
    """sha256 of all that a checkpoint says: one flipped bit would be trained on to a result that looks right."""
    digest = hashlib.sha256(facts.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _found(file: Path, fingerprint: str) -> tuple[dict[str, Any] | None, dict[str, Tensor]]:
    """What is kept of a run, if anything; of a damaged file a line says so."""
    try:
        facts, tensors = _read(file)
    except FileNotFoundError:
        return None, {}
    except (SafetensorError, ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        why = str(error).split("\n", 1)[0]
        err.print(f"{file} is damaged ({why}); this training begins anew", markup=False, soft_wrap=True)
        return None, {}
    return (facts, tensors) if facts["fingerprint"] == fingerprint else (None, {})


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A checkpoint's facts and tensors.

    Raises:
        FileNotFoundError: there is none.
        SafetensorError: it is cut off, or no such file.
        ValueError: it is not what was written, or of another version.
    """
    if not file.is_file() and file.exists():
        raise ValueError("it is no file")
    with safe_open(file, framework="pt") as stored:
        metadata = stored.metadata() or {}
        facts = json.loads(metadata[KEY])
        if facts["version"] != VERSION:
            raise ValueError(f"it is of version {facts['version']}, and this is {VERSION}")
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - it is no dict
    if metadata[CHECKSUM] != _checksum(tensors, metadata[KEY]):
        raise ValueError("its checksum does not fit")
    return facts, tensors


def _load(train_state: TrainState, facts: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
    spread = train_state.run.spread()
    tensors = {
        name: current().own(tensor) if _NAME.sub("", name) in spread else tensor for name, tensor in tensors.items()
    }
    train_state.best_state = _under("best.", tensors)
    train_state.run.load_state(_under("run.", tensors) or train_state.best_state)
    train_state.step, train_state.tokens = facts["step"], facts["tokens"]
    seconds = facts.get("seconds")  # those of before say nothing of it
    train_state.seconds = float(seconds) if isinstance(seconds, int | float) else None
    train_state.best, train_state.best_epoch = tuple(facts["best"]), facts["best_epoch"]
    train_state.history = facts["history"]
    train_state.optimizer = _under("optimizer.", tensors)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
