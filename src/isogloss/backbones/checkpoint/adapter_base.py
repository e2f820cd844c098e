"""Whether an adapter was trained on the backbone that it is to be laid over."""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from typing import Any

from huggingface_hub import try_to_load_from_cache

from isogloss.backbones.backbone import Identity
from isogloss.backbones.checkpoint.folder import CONFIG, ModelFolder
from isogloss.backbones.loading import weights_hash
from isogloss.errors import IsoglossError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
LONGEST = 200  # letters of a folder's name


def check_base(folder: ModelFolder, config: dict[str, Any], backbone: str, identity: Identity) -> list[str]:
    """Hold the base that an adapter names against the backbone.

    Its name decides where it is the backbone's; else the weights do, where they lie in the adapter's own folder or in
    the hub's cache. A path to elsewhere is compared, and nothing is read from there.

    Args:
        folder: of the adapter.
        config: its configuration.
        backbone: as the user says it.
        identity: of the backbone.

    Returns:
        Lines for the user, where it is not known for certain.

    Raises:
        IsoglossError: it was trained on another one, or it cannot be told.
    """
    base = config.get("base_model_name_or_path")
    own = backbone.partition("@")[0]
    if base is None or base == "":
        return [f"it does not say what it was trained on; taken for {own}"]
    if not isinstance(base, str):
        folder.refuse(f"base_model_name_or_path is {base!r:.60}; expected the name of its backbone")
    if base.partition("@")[0] == own or _same_folder(base, own):
        return []
    beside = _beside(folder, base)
    found = _hash(beside) if beside is not None else _cached_hash(base, config.get("revision"))
    if found == identity.weights:
        return []
    if found is not None:
        named = base if beside is None else beside.path
        folder.refuse(
            f"it was trained on {base:.200}, whose weights are others than those of the spec's backbone {own}; set "
            f"`backbone: {named}`, or `same_base: true` to take them for the same"
        )
    last = [re.split(r"[/\\]", name.rstrip("/\\"))[-1].casefold() for name in (base, own)]
    if last[0] == last[1]:
        return [f"it was trained on {base:.200}, which is not here to be compared; taken for {own}"]
    raise folder.refusal(
        f"it was trained on {base:.200}, but the spec's backbone is {own}; expected the same one, or `same_base: true` "
        "where it is the same under another name"
    )


def _same_folder(base: str, own: str) -> bool:
    """Whether two paths lead to one place; nothing is read there."""
    if not PurePath(base).is_absolute():
        return False
    try:
        return Path(base).resolve() == Path(own).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):  # a path that there cannot be
        return False


def _beside(folder: ModelFolder, base: str) -> ModelFolder | None:
    """A base that lies in the adapter's own folder, as isogloss exports one that is on no hub."""
    if len(base) > LONGEST or len(PurePath(base).parts) != 1 or base in {".", ".."} or {"\\", "\0"} & set(base):
        return None
    path = folder.path / base
    return ModelFolder(str(path), path) if not path.is_symlink() and (path / CONFIG).is_file() else None


def _hash(model: ModelFolder) -> str | None:
    try:
        return weights_hash(model)
    except IsoglossError:  # it is not whole, so it cannot be compared
        return None


def _cached_hash(base: str, revision: object) -> str | None:
    """The hash of the weights of a model of the hub, if they are in the hub's cache; nothing is fetched."""
    if not HUB_ID.fullmatch(base) or not (revision is None or (isinstance(revision, str) and ".." not in revision)):
        return None
    try:
        config = try_to_load_from_cache(base, CONFIG, revision=revision or None)
    except (OSError, ValueError):
        return None
    return _hash(ModelFolder(base, Path(config).parent)) if isinstance(config, str) else None
