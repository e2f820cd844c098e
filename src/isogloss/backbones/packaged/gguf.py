"""Models in GGUF files, by transformers' own loader: dequantised once into a checkpoint in the user's cache."""

from __future__ import annotations

import hashlib
import struct
from importlib.util import find_spec
from pathlib import Path

from isogloss.backbones.checkpoint.config import reason
from isogloss.backbones.checkpoint.weights import fingerprint
from isogloss.backbones.families.registry import families
from isogloss.backbones.packaged.conversion import converted
from isogloss.errors import IsoglossError, install

HEAD = struct.Struct("<4sIQQ")  # magic, version, how many tensors, how many settings
SMALLEST = 12  # bytes that an entry takes at least
CONVERSION = "1"  # part of the cache's key: raise it when the conversion changes


def is_file(name: str) -> bool:
    """Whether a backbone's name is that of a GGUF file."""
    try:
        return name.endswith(".gguf") and Path(name).expanduser().is_file()
    except (OSError, RuntimeError):  # what stands in the way is said where the name is looked up
        return False


def folder(file: Path) -> Path:
    """The checkpoint made of a file, converted first where it is missing.

    Raises:
        IsoglossError: it cannot be read.
    """
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return converted(f"{file.stem}-{digest[:12]}-{CONVERSION}", lambda: file, convert)


def check_header(file: Path) -> None:
    """Refuse what is no GGUF file, or cannot hold what it says it does.

    Raises:
        IsoglossError: it is none.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(HEAD.size)
    if len(head) < HEAD.size or not head.startswith(b"GGUF"):
        raise IsoglossError(
            f"{file} could not be read as a model (it is no GGUF file); expected one, or a model's folder"
        )
    _, _version, tensors, values = HEAD.unpack(head)
    if max(tensors, values) > size // SMALLEST:
        raise IsoglossError(
            f"{file} could not be read as a model (it says that it holds {max(tensors, values):,} entries, which "
            f"{size:,} bytes cannot); fetch it again"
        )


def convert(file: Path, path: Path) -> str:
    """Write a GGUF file's model and tokenizer as a transformers checkpoint, in float32.

    Returns:
        The hash of the weights, as a backbone's.

    Raises:
        IsoglossError: the package gguf is missing, or the file holds no decoder that isogloss knows.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    if find_spec("gguf") is None:
        raise IsoglossError(f"{file.name} needs the package gguf, which is not installed; {install('gguf')}")
    check_header(file)
    where, name = str(file.parent), file.name
    try:
        config = AutoConfig.from_pretrained(where, gguf_file=name, trust_remote_code=False)
    except Exception as error:  # a broken file can make a reader stumble over anything
        raise _unreadable(file, error) from error
    known = [kind for kind, family in families().items() if family.causal]
    if config.model_type not in known:  # before anything large is made of it
        raise IsoglossError(
            f"{file} holds a model of the family {config.model_type!r}; from GGUF files: {', '.join(known)}"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=name, trust_remote_code=False)
        read = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32, trust_remote_code=False)
    except Exception as error:
        raise _unreadable(file, error) from error
    # What was read counts as quantised to transformers and cannot be saved, though its weights are plain by now.
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(read.state_dict(), assign=True)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return fingerprint(getattr(model, model.base_model_prefix))


def _unreadable(file: Path, error: Exception) -> IsoglossError:
    return IsoglossError(f"{file} could not be read as a model ({reason(error)}); expected a whole GGUF file")
