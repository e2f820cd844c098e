"""Where a checkpoint that was trained elsewhere lies: a folder, or a model of the hub."""

from __future__ import annotations

import re
from pathlib import Path

from isogloss.backbones.checkpoint.adapter_head import HEAD, LABELS
from isogloss.backbones.checkpoint.adapter_tensors import ADAPTER, TENSORS
from isogloss.backbones.checkpoint.adapters import PICKLE
from isogloss.backbones.checkpoint.config import reason
from isogloss.backbones.checkpoint.folder import CONFIG, ModelFolder
from isogloss.backbones.checkpoint.hub import fetched, fetched_files
from isogloss.errors import IsoglossError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[A-Za-z0-9][\w./-]*)?")
WHAT = "checkpoint"


def checkpoint_folder(path: str) -> ModelFolder:
    """A checkpoint by its path or its hub id; what the hub's cache has not is downloaded.

    Raises:
        IsoglossError: there is none.
    """
    expected = f"expected a folder with {ADAPTER} or {CONFIG}, or a hub id (org/name or org/name@revision)"
    try:
        local = Path(path).expanduser()
        is_folder, is_there = local.is_dir(), local.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise IsoglossError(
            f"{WHAT} {path!r:.200} cannot be looked at ({reason(error, most=100)}); {expected}"
        ) from error
    if is_folder:
        folder = ModelFolder(path, local, what=WHAT)
        if not folder.has(ADAPTER) and not folder.has(CONFIG):
            folder.refuse(f"there is neither {ADAPTER} nor {CONFIG} in it; {expected}")
        return folder
    if is_there:
        raise IsoglossError(f"{WHAT} {path!r:.200} is a file; {expected}")
    if not HUB_ID.fullmatch(path) or ".." in path:
        raise IsoglossError(f"{WHAT} {path!r:.200} does not exist; {expected}")
    adapter = fetched_files(path, ADAPTER, (TENSORS, HEAD, LABELS, CONFIG), what=WHAT)
    if adapter is not None:
        return adapter
    model = fetched(path, instead="an adapter's folder", pickle=False)
    return ModelFolder(path, model.path, model.commit, WHAT)


def is_adapter(folder: ModelFolder) -> bool:
    """Whether it is a PEFT directory, rather than a whole model."""
    return folder.has(ADAPTER) or folder.has(PICKLE) or folder.has(TENSORS)
