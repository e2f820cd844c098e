"""Checkpoints of long trainings in a place that all workers reach: any path that fsspec knows."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import fsspec

from isogloss.errors import IsoglossError
from isogloss.run_directory.record import fingerprint
from isogloss.runtime.files import given_path

PART = ".part"  # of a file that is on its way
# What a job keeps; a bucket's keys may hold anything, also dots that lead out of a folder.
NAME = re.compile(r"(member-[0-9]{1,9}/)?[A-Za-z0-9_-]{1,100}\.safetensors")


class CheckpointStorage:
    """The checkpoints of a job's cells, each in a folder named for what decides its result.

    Args:
        path: where they all lie, such as `s3://bucket/isogloss` or a folder of a shared disk.
        facts: of each cell.

    Raises:
        IsoglossError: nothing can be reached there.
    """

    def __init__(self, path: str, facts: Sequence[Mapping[str, Any]]) -> None:
        self.path = path
        try:
            self._files, root = fsspec.core.url_to_fs(path)
        except Exception as error:  # whatever a service and its library make of it
            raise self._refusal(error) from error
        self._root = root.rstrip("/")
        self._folders = [f"{self._root}/{fingerprint(dict(one))}" for one in facts]

    def try_out(self) -> None:
        """Write something, read it and remove it.

        Raises:
            IsoglossError: that cannot be.
        """
        path = f"{self._root}/{uuid.uuid4().hex}{PART}"
        try:
            self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(path, b"isogloss")
            read = self._files.cat_file(path)
            self._files.rm(path)
        except Exception as error:  # whatever a service and its library make of it
            raise self._refusal(error) from error
        if read != b"isogloss":
            raise self._refusal(ValueError("what is written there does not come back"))

    def read(self) -> dict[tuple[int, str], bytes]:
        """What is kept of all cells, by number of the cell and name below its folder.

        Raises:
            IsoglossError: it cannot be reached.
        """
        found = {}
        for number, folder in enumerate(self._folders):
            try:
                self._files.invalidate_cache()  # other workers have written since
                for file in self._files.find(folder):
                    if NAME.fullmatch(name := file.rsplit(f"{folder}/", 1)[-1]):
                        found[number, name] = self._files.cat_file(file)
            except FileNotFoundError:
                continue
            except Exception as error:  # whatever a service and its library make of it
                raise self._refusal(error) from error
        return found

    def write(self, files: Mapping[tuple[int, str], bytes]) -> None:
        """Keep checkpoints; each is there whole, or as it was before.

        Raises:
            IsoglossError: it cannot be written to.
        """
        for (number, name), content in files.items():
            path = f"{self._folders[number]}/{name}"
            part = f"{path}.{uuid.uuid4().hex}{PART}"  # a worker that was taken for lost may be writing too
            try:
                self._files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
                self._files.pipe_file(part, content)
                self._files.mv(part, path)
            except Exception as error:  # whatever a service and its library make of it
                with suppress(Exception):
                    self._files.rm(part)
                raise self._refusal(error) from error

    def remove(self, number: int) -> None:
        """A cell's checkpoints, which nobody needs any more."""
        with suppress(Exception):  # a service that is gone keeps them
            self._files.invalidate_cache()
            self._files.rm(self._folders[number], recursive=True)

    def _refusal(self, error: Exception) -> IsoglossError:
        why = " ".join(str(error).split()) or type(error).__name__
        return IsoglossError(
            f"executor.storage: {self.path:.200} cannot be used ({why:.200}); expected a path that fsspec knows, such "
            "as s3://bucket/folder, and that each worker may read and write"
        )


def storage_path(text: str) -> str:
    """A path as somebody wrote it, which means the same in every process.

    Raises:
        ValueError: it is one by which something else is reached through what lies there.
    """
    if "::" in text or text != text.strip() or not text.isprintable():
        raise ValueError("expected one path or URL, such as s3://bucket/folder, and none that leads on to another")
    return text if "://" in text else str(given_path(text).absolute())
