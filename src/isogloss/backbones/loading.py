"""From a backbone's name to a backbone."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from tokenizers import processors
from torch import nn
from transformers.utils import logging

from isogloss.backbones.attention import NAME as ATTENTION
from isogloss.backbones.backbone import Backbone, Identity, Pooling
from isogloss.backbones.families.family import Family
from isogloss.backbones.families.registry import families
from isogloss.backbones.lm_head import lm_head_of
from isogloss.backbones.packaged import e5, gemma, gguf
from isogloss.backbones.transformer import Transformer, compute_in
from isogloss.errors import IsoglossError, unknown

EMBEDDED = {module.NAME: module for module in (e5, gemma)}
HEADED = ("ForMaskedLM", "ForCausalLM", "LMHeadModel")  # architectures with a head over the vocabulary
# Encoders trained with the mean of the tokens as the sentence; all others are pooled at their first token.
MEAN_POOLED = ("e5", "mpnet", "minilm")


def load(
    name: str, *, device: str = "auto", dtype: str = "auto", words: bool | None = False, checkpointing: bool = False
) -> Backbone:
    """Load a frozen backbone.

    Args:
        name: `embedded/…`, a folder with a transformers checkpoint, a GGUF file, or a hub id (`org/model` or
            `org/model@revision`).
        device: `auto` (a GPU where there is one), `cpu`, `cuda`, `mps`.
        dtype: `auto` (bf16 where the machine computes in it, else float32), `float32`, `bfloat16`.
        words: whether its head over the vocabulary is wanted; None: where the checkpoint has one.
        checkpointing: whether layers compute again in the backward pass what they would have kept in memory.

    Raises:
        IsoglossError: nothing by that name can be had, it is of a family isogloss does not know, or it lacks the head.
    """
    logging.disable_progress_bar()  # transformers' own, in the middle of ours
    logging.set_verbosity_error()  # that a checkpoint holds more than is wanted of it is no news
    where, revision = _resolve(name)
    target = torch.device(_device(device))
    kind = {"float32": torch.float32, "bfloat16": torch.bfloat16, "auto": native_dtype(target)}[dtype]
    whole, family, tokenizer, commit, headed = _from_transformers(name, where, revision, words=words)
    model = getattr(whole, whole.base_model_prefix) if headed else whole
    lm_head = lm_head_of(whole, model) if headed else None
    family.prepare(model)
    identity = Identity(name=name.split("@", maxsplit=1)[0], weights=fingerprint(model), revision=commit)
    compute_in(model, family, kind)
    return Transformer(
        model.to(target), family, tokenizer, identity, pooling=_pooling(name, family), dtype=kind,
        lm_head=None if lm_head is None else lm_head.to(target), checkpointing=checkpointing,
    )  # fmt: skip


def where(name: str) -> str:
    """In words, where a backbone would come from; nothing is fetched.

    Raises:
        IsoglossError: there can be no such backbone.
    """
    if name in EMBEDDED:
        return "from a package, converted once into the cache"
    if gguf.is_file(name):
        return "a local file, converted once into the cache"
    folder, revision = _resolve(name)
    if Path(folder).is_dir():
        return "a local folder"
    return f"from the hub, {f'revision {revision}' if revision else 'its newest revision'}, unless it is cached"


def _resolve(name: str) -> tuple[str, str | None]:
    """Where transformers finds the model, and the revision asked for."""
    if name in EMBEDDED:
        return str(EMBEDDED[name].folder()), None
    if name.startswith("embedded/"):
        raise unknown("embedded backbone", name, EMBEDDED)
    if gguf.is_file(name):
        return str(gguf.folder(Path(name).expanduser())), None
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise IsoglossError(f"backbone folder {name} has no config.json; expected a transformers checkpoint")
        return str(path), None
    if path.is_absolute() or name.startswith((".", "~")) or name.endswith(".gguf"):
        raise IsoglossError(f"backbone {name} does not exist; expected a folder, a GGUF file, a hub id, or {e5.NAME}")
    model, _, revision = name.partition("@")
    return model, revision or None


def _from_transformers(
    name: str, where: str, revision: str | None, *, words: bool | None
) -> tuple[Any, Family, Any, str | None, bool]:
    """The model, its family, tokenizer and commit, and whether it is loaded with its head over the vocabulary."""
    from transformers import AutoConfig, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(where, revision=revision)
        family = families().get(config.model_type)
        if family is None:
            raise IsoglossError(
                f"backbone {name} is of the family {config.model_type!r}; known: {', '.join(families())}"
            )
        if words is None:
            words = any(name.endswith(HEADED) for name in config.architectures or [])
        tokenizer = AutoTokenizer.from_pretrained(where, revision=revision, use_fast=True)
        model, report = family.load(
            where, words=words, revision=revision, dtype=torch.float32, attn_implementation=ATTENTION,
            output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        # Only the first line: what follows are transformers' hints, which do not know of ours.
        reason = str(error).strip().splitlines()[0]
        raise IsoglossError(
            f"backbone {name} could not be loaded ({reason}); without network use a local folder or {e5.NAME}"
        ) from error
    if missing := sorted(report["missing_keys"]):
        raise IsoglossError(
            f"backbone {name}: the checkpoint has no {missing[0]}"
            + ("; without its head over the vocabulary it can have no verbalizer" if words else "")
        )
    if not tokenizer.is_fast:
        raise IsoglossError(f"backbone {name} has no fast tokenizer, which isogloss needs to know where words lie")
    _separate_pairs(tokenizer)
    commit: str | None = getattr(config, "_commit_hash", None)
    return model, family, tokenizer, commit, words


def _separate_pairs(tokenizer: Any) -> None:
    """Tokenizers of decoders often join the two texts of a pair seamlessly: put their end token between them."""
    encoded = tokenizer("a", "b")
    kinds = [*encoded.sequence_ids(0)]
    if not {0, 1} <= set(kinds) or tokenizer.eos_token is None:  # it knows no such letters, or nothing to put between
        return
    if None in kinds[kinds.index(0) : kinds.index(1)]:
        return
    before = kinds.index(0)
    start = " ".join(tokenizer.convert_ids_to_tokens(encoded["input_ids"][:before]))
    end = tokenizer.eos_token
    special = {piece: tokenizer.convert_tokens_to_ids(piece) for piece in [*start.split(), end]}
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A".strip(), pair=f"{start} $A {end} $B:1".strip(), special_tokens=list(special.items())
    )


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


def _pooling(name: str, family: Family) -> Pooling:
    lower = name.split("@", maxsplit=1)[0].rstrip("/").rsplit("/", 1)[-1].lower()
    return "mean" if not family.causal and any(mark in lower for mark in MEAN_POOLED) else family.pooling
