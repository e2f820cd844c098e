"""Where a run's backbone comes from, as others call it, and under which licence it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isogloss.backbones.loading import EMBEDDED
from isogloss.errors import IsoglossError
from isogloss.experiment.restore import COMMIT, HUB_ID, LOCAL
from isogloss.runtime import yaml
from isogloss.runtime.files import read_bytes
from isogloss.store import RunRecord

README = "README.md"
LARGEST = 4 << 20  # bytes of one
FRONT = re.compile(r"^\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(\r?\n|$)", re.DOTALL)


@dataclass(frozen=True)
class BackboneOrigin:
    """A backbone by the names that others know it by.

    Args:
        name: for people; of a folder its last part, since the way to it is this machine's.
        hub: its id on the hub; None: it is not known to lie there.
        revision: the commit there, where one was recorded.
        folder: where it lies, where it is a folder here.
        licence: that this version of isogloss knows of, of embedded ones.
    """

    name: str
    hub: str | None = None
    revision: str | None = None
    folder: Path | None = None
    licence: str | None = None


def origin(backbone: str, record: RunRecord) -> BackboneOrigin:
    """Where a backbone comes from.

    Args:
        backbone: as a spec names it.
        record: of a cell that was trained on it.
    """
    if backbone in EMBEDDED:
        module = EMBEDDED[backbone]
        return BackboneOrigin(backbone, getattr(module, "HUB_NAME", None), licence=module.LICENCE)
    if backbone.startswith(LOCAL):
        return BackboneOrigin(backbone.removeprefix(LOCAL))
    if Path(backbone).is_absolute() or Path(backbone).exists():
        return BackboneOrigin(Path(backbone).name or backbone, folder=Path(backbone))
    repository, _, asked = backbone.partition("@")
    said = record.environment.get("backbone")
    commit = said.get("revision") if isinstance(said, dict) else None
    revision = commit if isinstance(commit, str) and COMMIT.fullmatch(commit) else asked or None
    return BackboneOrigin(repository, repository if HUB_ID.fullmatch(backbone) else None, revision)


def licence(backbone: BackboneOrigin) -> str | None:
    """What the backbone's own page says of its licence; None where there is none, or it says nothing."""
    if backbone.licence is not None:
        return backbone.licence
    if backbone.folder is not None:
        return _said(backbone.folder / README)
    return None if backbone.hub is None else _of_hub(backbone.hub, backbone.revision)


def _of_hub(repository: str, revision: str | None) -> str | None:
    from huggingface_hub import HfApi, try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(repository, README, revision=revision)
        if isinstance(cached, str):
            return _said(Path(cached))
        about: Any = HfApi().model_info(repository, revision=revision)
    # Each version of the client raises another HTTP library's errors; without network nothing is known.
    except Exception:  # noqa: BLE001
        return None
    named = getattr(about.card_data, "license", None) if about.card_data is not None else None
    return _text(named)


def _said(readme: Path) -> str | None:
    """The licence that a page's front matter names."""
    try:
        front = FRONT.match(read_bytes(readme, LARGEST).decode("utf-8-sig", "replace"))
        values = None if front is None else yaml.loads(front[1])
    except (IsoglossError, yaml.YAMLError):
        return None
    if not isinstance(values, dict):
        return None
    named = _text(values.get("license"))
    return _text(values.get("license_name")) or named if named == "other" else named


def _text(value: object) -> str | None:
    if isinstance(value, list):
        value = ", ".join(str(one) for one in value)
    return value.strip() if isinstance(value, str) and value.strip() else None
