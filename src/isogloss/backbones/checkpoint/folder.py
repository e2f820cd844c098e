"""What lies in a model folder, whoever made it: small files read, files of weights found, nothing loaded."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from isogloss.errors import IsoglossError
from isogloss.runtime.files import read_bytes
from isogloss.runtime.visible import one_line

CONFIG = "config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES, PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
LARGEST_JSON = 256 << 20  # bytes; the largest tokenizers take some 30 million
LFS = b"version https://git-lfs"  # how a file begins that Git LFS has not fetched yet
CONVERT = "AutoModel{}.from_pretrained(folder).save_pretrained(folder)"


@dataclass(frozen=True)
class ModelFolder:
    """A transformers checkpoint on disk.

    Args:
        name: as the user says it; errors begin with it.
        path: where it lies.
        commit: the hub's, where it comes from there.
        what: the folder is one of; errors begin with it.
    """

    name: str
    path: Path
    commit: str | None = None
    what: str = "backbone"

    def refuse(self, what: str) -> NoReturn:
        """Say what is wrong with it.

        Raises:
            IsoglossError: always.
        """
        raise self.refusal(what)

    def refusal(self, what: str) -> IsoglossError:
        """The error that says what is wrong with it."""
        return IsoglossError(one_line(f"{self.what} {self.name}: {what}"))

    def has(self, name: str) -> bool:
        """Whether something of that name lies there that is a file.

        Raises:
            IsoglossError: it is a folder, a device, a pipe or a link to nowhere.
        """
        path = self.path / name
        try:
            about = path.stat()
        except OSError as error:
            if path.is_symlink() or not isinstance(error, FileNotFoundError):
                raise self.refusal(f"{name} cannot be read ({error.strerror}); expected a file") from error
            return False
        if not stat.S_ISREG(about.st_mode):
            self.refuse(f"{name} is no file; expected a file")
        return True

    def read(self, name: str) -> bytes:
        """A small file.

        Raises:
            IsoglossError: it is none, or is not the file itself.
        """
        if not self.has(name):
            self.refuse(f"there is no {name} in {self.path}; expected a transformers checkpoint")
        data = read_bytes(self.path / name, LARGEST_JSON)
        if data.startswith(LFS):
            self._refuse_pointer(name)
        return data

    def json(self, name: str) -> dict[str, Any]:
        """A small file of keys and values.

        Raises:
            IsoglossError: it is no such file.
        """
        try:
            value = json.loads(self.read(name).decode(), parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            reason = "nested too deep" if isinstance(error, RecursionError) else str(error).splitlines()[0][:200]
            raise self.refusal(f"{name} is no JSON ({reason}); expected the file as it was published") from error
        if not isinstance(value, dict):
            self.refuse(f"{name} holds {type(value).__name__}; expected keys and values")
        return value

    def weights(self) -> list[Path]:
        """The safetensors files; none where there are but pickles.

        Raises:
            IsoglossError: there are no weights, or not all of them.
        """
        if self.has(WEIGHTS):
            names = [WEIGHTS]
        elif self.has(INDEX):
            names = self.shards(INDEX)
        elif self.has(PICKLES) or self.has(PICKLE_INDEX):
            return []
        else:
            self.refuse(f"there is no {WEIGHTS} in {self.path}; expected weights beside {CONFIG}")
        return [self.part(name) for name in names]

    def pickles(self) -> list[Path]:
        """The files of weights that are pickles, in a folder that has no others."""
        return [self.part(name) for name in ([PICKLES] if self.has(PICKLES) else self.shards(PICKLE_INDEX))]

    def refuse_pickle(self, head: str | None = None) -> NoReturn:
        """Say that its weights are pickles, and how they may be had all the same.

        Args:
            head: how the class of transformers ends that has its head too; None: there is a setting beside.

        Raises:
            IsoglossError: always.
        """
        setting = "run it with `weights: pickle` in a spec of yours, or " if head is None else ""
        self.refuse(
            f"its weights are pickles ({PICKLES}), which can run code; expected {WEIGHTS}. If you trust whoever made "
            f"it, {setting}convert it with transformers: {CONVERT.format(head or '')}"
        )

    def shards(self, index: str) -> list[str]:
        """The names of the files that an index distributes weights to.

        Raises:
            IsoglossError: it is no index, or names what is not in the folder.
        """
        tensors = self.json(index).get("weight_map")
        if not isinstance(tensors, dict) or not tensors:
            self.refuse(f"{index} has no weight_map; expected the file of each weight by name")
        for tensor, name in tensors.items():
            if not isinstance(name, str) or PurePosixPath(name).name != name or "\\" in name or "\0" in name:
                self.refuse(f"{index} says {tensor} is in {name!r:.80}; expected the name of a file beside it")
        return sorted(set(tensors.values()))

    def part(self, name: str) -> Path:
        """A file of weights.

        Raises:
            IsoglossError: it is missing or empty, or is not the file itself.
        """
        if not self.has(name):
            self.refuse(f"{name} is missing in {self.path}; fetch it again")
        path = self.path / name
        try:
            with path.open("rb") as stream:
                first = stream.read(len(LFS))
        except OSError as error:
            raise self.refusal(f"{name} cannot be read ({error.strerror})") from error
        if not first:
            self.refuse(f"{name} is empty; fetch it again")
        if first == LFS:
            self._refuse_pointer(name)
        return path

    def _refuse_pointer(self, name: str) -> NoReturn:
        self.refuse(f"{name} is a Git LFS pointer and not the file itself; fetch it with: git lfs pull")


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")
