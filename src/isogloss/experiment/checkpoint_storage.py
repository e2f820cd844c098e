"""Checkpoints of long trainings in a place that all workers reach: any path that fsspec knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import fsspec

from isogloss.errors import IsoglossError
from isogloss.run_directory.record import fingerprint


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
        except (ImportError, ValueError, OSError) as error:
            raise self._refusal(error) from error
        self._folders = [f"{root.rstrip('/')}/{fingerprint(dict(one))}" for one in facts]

    def read(self) -> dict[tuple[int, str], bytes]:
        """What is kept of all cells, by number of the cell and name below its folder.

        Raises:
            IsoglossError: it cannot be reached.
        """
        found = {}
        for number, folder in enumerate(self._folders):
            try:
                for file in self._files.find(folder):
                    if not (name := file.rsplit(f"{folder}/", 1)[-1]).endswith(PART):
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
            try:
                self._files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
                self._files.pipe_file(f"{path}{PART}", content)
                self._files.mv(f"{path}{PART}", path)
            except Exception as error:  # whatever a service and its library make of it
                raise self._refusal(error) from error

    def remove(self, number: int) -> None:
        """A cell's checkpoints, which nobody needs any more."""
        with suppress(Exception):  # a service that is gone keeps them
            self._files.rm(self._folders[number], recursive=True)

    def _refusal(self, error: Exception) -> IsoglossError:
        why = " ".join(str(error).split()) or type(error).__name__
        return IsoglossError(
            f"executor.storage: {self.path:.200} cannot be used ({why:.200}); expected a path that fsspec knows"
        )


PART = ".part"  # of a file that is on its way
