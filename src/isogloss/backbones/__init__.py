"""Backbones by name: the embedded default, a folder on disk, or a model on the hub."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils import logging

from isogloss.backbones import embedded
from isogloss.backbones.attention import NAME as ATTENTION
from isogloss.backbones.backbone import Backbone, Identity, Pooling, Shape
from isogloss.backbones.encoder import MODEL_TYPES, Encoder, compute_in
from isogloss.backbones.insert import AttentionPrefix, InputPrompt, Insert
from isogloss.errors import IsoglossError, unknown

__all__ = ["EMBEDDED", "AttentionPrefix", "Backbone", "Identity", "InputPrompt", "Insert", "Shape", "load"]

EMBEDDED = {embedded.NAME: embedded.folder}
# Models trained with the mean of the tokens as the sentence; all others are pooled at their first token.
MEAN_POOLED = ("e5", "mpnet", "minilm")


def load(name: str, *, device: str = "auto", dtype: str = "auto") -> Backbone:
    """Load a frozen backbone.

    Args:
        name: `embedded/…`, a folder with a transformers checkpoint, or a hub id (`org/model` or `org/model@revision`).
        device: `auto` (a GPU where there is one), `cpu`, `cuda`, `mps`.
        dtype: `auto` (bf16 where the machine computes in it, else float32), `float32`, `bfloat16`.

    Raises:
        IsoglossError: nothing by that name can be had, or it is of a family isogloss does not know.
    """
    logging.disable_progress_bar()  # transformers' own, in the middle of ours
    where, revision = _resolve(name)
    target = torch.device(_device(device))
    kind = {"float32": torch.float32, "bfloat16": torch.bfloat16, "auto": native_dtype(target)}[dtype]
    model, tokenizer, commit = _from_transformers(name, where, revision)
    identity = Identity(name=name.split("@", maxsplit=1)[0], weights=fingerprint(model), revision=commit)
    return Encoder(compute_in(model, kind).to(target), tokenizer, identity, _pooling(name), kind)


def where(name: str) -> str:
    """In words, where a backbone would come from; nothing is fetched.

    Raises:
        IsoglossError: there can be no such backbone.
    """
    if name in EMBEDDED:
        return "from a package, converted once into the cache"
    folder, revision = _resolve(name)
    if Path(folder).is_dir():
        return "a local folder"
    return f"from the hub, {f'revision {revision}' if revision else 'its newest revision'}, unless it is cached"


def _resolve(name: str) -> tuple[str, str | None]:
    """Where transformers finds the model, and the revision asked for."""
    if name in EMBEDDED:
        return str(EMBEDDED[name]()), None
    if name.startswith("embedded/"):
        raise unknown("embedded backbone", name, EMBEDDED)
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise IsoglossError(f"backbone folder {name} has no config.json; expected a transformers checkpoint")
        return str(path), None
    if path.is_absolute() or name.startswith((".", "~")):
        raise IsoglossError(f"backbone folder {name} does not exist; expected a folder, a hub id, or {embedded.NAME}")
    model, _, revision = name.partition("@")
    return model, revision or None


def _from_transformers(name: str, where: str, revision: str | None) -> tuple[nn.Module, Any, str | None]:
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(where, revision=revision)
        if config.model_type not in MODEL_TYPES:
            raise IsoglossError(
                f"backbone {name} is of the family {config.model_type!r}; known: {', '.join(sorted(MODEL_TYPES))}"
            )
        tokenizer = AutoTokenizer.from_pretrained(where, revision=revision, use_fast=True)
        model = AutoModel.from_pretrained(
            where, revision=revision, dtype=torch.float32, attn_implementation=ATTENTION, add_pooling_layer=False
        )
    except (OSError, ValueError) as error:
        # Only the first line: what follows are transformers' hints, which do not know of ours.
        reason = str(error).strip().splitlines()[0]
        raise IsoglossError(
            f"backbone {name} could not be loaded ({reason}); without network use a local folder or {embedded.NAME}"
        ) from error
    if not tokenizer.is_fast:
        raise IsoglossError(f"backbone {name} has no fast tokenizer, which isogloss needs to know where words lie")
    commit: str | None = getattr(config, "_commit_hash", None)
    return model, tokenizer, commit


def fingerprint(model: nn.Module) -> str:
    """sha256 over the names, shapes and float32 values of a model's weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().contiguous().cpu().numpy().data)
    return digest.hexdigest()


def _device(name: str) -> str:
    if name != "auto":
        return name
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def native_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the hardware multiplies in it; emulated bf16 is slower than float32."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        # The public capability string stops at AVX-512, which multiplies no bf16 yet.
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001
    else:
        native = False
    return torch.bfloat16 if native else torch.float32


def _pooling(name: str) -> Pooling:
    lower = name.split("@", maxsplit=1)[0].rstrip("/").rsplit("/", 1)[-1].lower()
    return "mean" if any(mark in lower for mark in MEAN_POOLED) else "first"
