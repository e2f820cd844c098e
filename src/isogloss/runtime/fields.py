"""Fields of a spec that are names of folders, devices and backbones, checked at the door."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from isogloss.runtime.folder_names import MOST, check_backbones, check_name


def _folder(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("expected a path")
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"there is no such user's folder ({error})") from error


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", text, re.ASCII):
        raise ValueError("expected auto, cpu, cuda, cuda:1 (a GPU by its number) or mps")
    return text


def _one_or_several(value: object) -> object:
    """A list of one backbone is that backbone."""
    if not isinstance(value, list | tuple):
        return value
    names = [name for name in value if isinstance(name, str)]
    if len(names) < max(1, len(value)):
        raise ValueError("expected a backbone, or a list of several to be compared")
    if len(names) > MOST:
        raise ValueError(f"there are {len(names)} of them; expected at most {MOST}")
    return names[0] if len(names) == 1 else check_backbones(names)


RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=100), AfterValidator(check_name)]
Folder = Annotated[Path, AfterValidator(_folder)]
Device = Annotated[str, AfterValidator(_device)]
Backbones = Annotated[str | list[str], BeforeValidator(_one_or_several)]
