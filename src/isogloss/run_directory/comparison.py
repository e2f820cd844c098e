"""A comparison of backbones: a folder with a run directory of each, and a small file that says which."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isogloss.errors import IsoglossError, unknown
from isogloss.run_directory.damage import refuse_strange
from isogloss.runtime import yaml
from isogloss.runtime.files import atomic_file
from isogloss.runtime.folder_names import MOST, backbone_folder
from isogloss.runtime.json import load
from isogloss.runtime.locks import DirectoryLock

FILE = "comparison.json"
FORMAT = 1  # of the file


@dataclass(frozen=True)
class Comparison:
    """Backbones that one spec compares.

    Args:
        path: where their run directories lie.
        backbones: as the spec names them, in its order.
    """

    path: Path
    backbones: tuple[str, ...]

    @property
    def runs(self) -> dict[str, Path]:
        """The run directory of each backbone, which may not have begun."""
        return {name: self.path / backbone_folder(name) for name in self.backbones}

    def run_of(self, name: str) -> Path:
        """The run directory of a backbone.

        Args:
            name: as the spec names it, or its folder's name.

        Raises:
            IsoglossError: it is none of these.
        """
        for backbone, run in self.runs.items():
            if name in {backbone, run.name} or name.rstrip("/") == str(run):
                return run
        raise unknown("backbone of this comparison", name, [run.name for run in self.runs.values()])

    def begin(self, spec: Mapping[str, Any]) -> Comparison:
        """Write what it is to be, together with what it is: backbones that are there already stay.

        Args:
            spec: as it was written, of these backbones.

        Returns:
            With those that were there before.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise IsoglossError(f"{self.path} cannot be made: {error.strerror}; choose another --out") from error
        refuse_strange(self.path)
        with DirectoryLock(self.path):
            before = comparison_of(self.path)
            names = tuple(dict.fromkeys([*(before.backbones if before else ()), *self.backbones]))
            whole = Comparison(self.path, names)
            whole.refuse_clashes()
            about = {"tool": "isogloss", "format": FORMAT, "backbones": list(names)}
            with atomic_file(self.path / "spec.yaml") as file:
                file.write_text(yaml.dumps({**spec, "backbone": list(names)}), encoding="utf-8")
            with atomic_file(self.path / FILE) as file:
                file.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        return whole

    def refuse_clashes(self) -> None:
        """Refuse two backbones of one folder, of which one was there before.

        Raises:
            IsoglossError: there are such.
        """
        folders: dict[str, str] = {}
        for name in self.backbones:
            other = folders.setdefault(backbone_folder(name).casefold(), name)
            if other != name:
                raise IsoglossError(
                    f"{self.path} compares {other} already, in the folder that {name} would have; choose another --out"
                )


def comparison_of(path: Path) -> Comparison | None:
    """The comparison in a folder; None where it is none.

    Raises:
        IsoglossError: its file is damaged, or of another version.
    """
    file = path / FILE
    if not file.is_file():
        return None
    raw = load(file)
    names = raw.get("backbones") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or raw.get("tool") != "isogloss" or not _are_names(names):
        raise IsoglossError(
            f"{file} is not what isogloss writes there; delete it and run the same spec again with --out {path}: what "
            "is finished is not trained again"
        )
    if raw.get("format") != FORMAT:
        raise IsoglossError(f"{file} has the format {raw.get('format')!r:.20}, expected {FORMAT}; choose another --out")
    return Comparison(path, tuple(names or ()))


def _are_names(names: object) -> bool:
    return (
        isinstance(names, list)
        and 0 < len(names) <= MOST
        and all(isinstance(name, str) and 0 < len(name) < 4096 for name in names)  # noqa: PLR2004 - no path is longer
        and len({backbone_folder(name).casefold() for name in names}) == len(names)
    )


def refuse_comparison(path: Path) -> None:
    """Refuse a comparison where one backbone's run directory has to be.

    Raises:
        IsoglossError: it is one; names what is in it.
    """
    if (comparison := comparison_of(path)) is not None:
        several = ", ".join(str(run) for run in comparison.runs.values())
        raise IsoglossError(f"{path} compares backbones, and is no run directory of one; those are {several}")


def refuse_others(path: Path, backbones: Sequence[str]) -> None:
    """Refuse a folder that holds something else where a comparison has to be.

    Raises:
        IsoglossError: it does.
    """
    if path.exists() and not path.is_dir():
        raise IsoglossError(f"{path} is a file; expected a comparison of backbones or a new name")
    if not path.is_dir() or comparison_of(path) is not None:
        return
    if (path / "environment.json").exists() or (path / "weights").exists():
        raise IsoglossError(
            f"{path} is the run directory of one backbone, and the spec compares {len(backbones)}; choose another --out"
        )
    own = {backbone_folder(name) for name in backbones}
    begun = any((path / name / "environment.json").is_file() for name in own)  # the comparison's own file was lost
    if not begun and any(not entry.name.startswith(".") and entry.name not in own for entry in path.iterdir()):
        raise IsoglossError(
            f"{path} holds files that isogloss did not write; expected a comparison of backbones or a new name"
        )
