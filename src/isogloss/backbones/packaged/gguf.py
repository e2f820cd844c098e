"""Models in GGUF files, by transformers' own loader: dequantised once into a checkpoint in the user's cache."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from isogloss.backbones.families.registry import families
from isogloss.errors import IsoglossError
from isogloss.runtime.cache import cache_folder
from isogloss.runtime.files import atomic_folder

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
        IsoglossError: the package gguf is missing, or the file holds no decoder that isogloss knows.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    if find_spec("gguf") is None:
        raise IsoglossError(f"{file.name} needs the package gguf, which is not installed; pip install 'isogloss[gguf]'")
    where, name = str(file.parent), file.name
    try:
        config = AutoConfig.from_pretrained(where, gguf_file=name)
    except Exception as error:  # a broken file can make a reader stumble over anything
        raise _unreadable(file, error) from error
    known = [kind for kind, family in families().items() if family.causal]
    if config.model_type not in known:  # before anything large is made of it
        raise IsoglossError(
            f"{file} holds a model of the family {config.model_type!r}; from GGUF files: {', '.join(known)}"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=name)
        read = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32)
    except Exception as error:
        raise _unreadable(file, error) from error
    # What was read counts as quantised to transformers and cannot be saved, though its weights are plain by now.
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(read.state_dict(), assign=True)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def _unreadable(file: Path, error: Exception) -> IsoglossError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return IsoglossError(f"{file} could not be read as a model ({reason})")
