"""Weights in pickles, which are unpickled only where the user says so, and once: as safetensors they stay in the cache.

Numbers and containers alone are unpickled (`weights_only`). Even so, a run directory never asks for it: what it names
is opened where a run of the user's has converted it before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from isogloss.backbones.checkpoint.config import reason
from isogloss.backbones.checkpoint.folder import WEIGHTS, ModelFolder
from isogloss.backbones.packaged.conversion import converted
from isogloss.runtime.cache import cache_folder
from isogloss.runtime.console import err

CONVERSION = "1"  # part of the cache's key: raise it when the conversion changes


def weights(folder: ModelFolder, *, allowed: bool) -> Path:
    """The weights of a folder that holds them in pickles, as a safetensors file.

    Args:
        folder: the checkpoint.
        allowed: whether the user has said that they may be unpickled.

    Raises:
        IsoglossError: they may not, or are no weights.
    """
    files = folder.pickles()
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    name = f"unpickled-{digest.hexdigest()[:16]}-{CONVERSION}"
    if not allowed and not (cache_folder() / "backbones" / name).is_dir():
        folder.refuse_pickle()

    def write(files: Sequence[Path], path: Path) -> None:
        err.print(f"{folder.name}: its weights are unpickled, once", markup=False, soft_wrap=True)
        save_file(_unpickled(folder, files), path / WEIGHTS, metadata={"format": "pt"})

    return converted(name, lambda: files, write) / WEIGHTS


def _unpickled(folder: ModelFolder, files: Sequence[Path]) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    try:
        for file in files:
            held = torch.load(file, map_location="cpu", weights_only=True)
            # Weights that share their memory would be refused, and views would be stored with all that they are of.
            tensors |= {str(name): tensor.detach().clone().contiguous() for name, tensor in held.items()}
    except Exception as error:
        raise folder.refusal(f"{file.name} is no pickle of weights by name ({reason(error)})") from error
    return tensors
