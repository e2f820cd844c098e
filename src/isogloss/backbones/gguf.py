"""Models in GGUF files, by transformers' own loader: dequantised once into a checkpoint in the user's cache."""

from __future__ import annotations

import hashlib
from importlib import util
from pathlib import Path

from isogloss.cache import atomic_folder, cache_folder
from isogloss.errors import IsoglossError

CONVERSION = "1"  # part of the cache's key: raise it when the conversion changes


def is_file(name: str) -> bool:
    """Whether a backbone's name is that of a GGUF file."""
    return name.endswith(".gguf") and Path(name).expanduser().is_file()


def folder(file: Path) -> Path:
    """The checkpoint made of a file, converted first where it is missing.

    Raises:
        IsoglossError: it cannot be read.
    """
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    path = cache_folder() / "backbones" / f"{file.stem}-{digest[:12]}-{CONVERSION}"
    if not path.is_dir():
        with atomic_folder(path) as temporary:
            convert(file, temporary)
    return path


def convert(file: Path, path: Path) -> None:
    """Write a GGUF file's model and tokenizer as a transformers checkpoint, in float32.

    Raises:
        IsoglossError: the package gguf is missing, or transformers does not know the model.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if util.find_spec("gguf") is None:
        raise IsoglossError(f"{file.name} needs the package gguf, which is not installed; pip install 'isogloss[gguf]'")
    where, name = str(file.parent), file.name
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=name)
        model = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32)
    except (OSError, ValueError, KeyError) as error:
        raise IsoglossError(f"{file} could not be read as a model ({str(error).strip().splitlines()[0]})") from error
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
