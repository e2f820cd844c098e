"""From a backbone's name to a backbone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import processors
from torch import Tensor
from transformers.utils import logging

from isogloss.backbones.backbone import Backbone, Identity, Pooling
from isogloss.backbones.checkpoint.config import ModelConfig, read_config, reason
from isogloss.backbones.checkpoint.folder import ModelFolder
from isogloss.backbones.checkpoint.tokenizer import PROBES, FolderTokenizer, load_tokenizer
from isogloss.backbones.checkpoint.weights import check_shapes, fingerprint, load_weights, opened, under_base_prefix
from isogloss.backbones.device import device_of, native_dtype
from isogloss.backbones.families.family import Family
from isogloss.backbones.lm_head import lm_head_of
from isogloss.backbones.names import EMBEDDED, at_hand, folder_of, is_converted, is_folder, local_folder, where
from isogloss.backbones.packaged import conversion, gguf, pickled
from isogloss.backbones.transformer import Transformer, compute_in
from isogloss.errors import IsoglossError
from isogloss.runtime.threads import say_if_spinning

__all__ = [
    "EMBEDDED",
    "at_hand",
    "fingerprint",
    "inspect",
    "is_folder",
    "load",
    "native_dtype",
    "outline",
    "unused_weight",
    "weights_hash",
    "where",
]

# Encoders trained with the mean of the tokens as the sentence; all others are pooled at their first token.
MEAN_POOLED = ("e5", "mpnet", "minilm")
TRIED = 8  # tokens that a loaded model is tried with


@dataclass(frozen=True)
class _Opened:
    """A checkpoint whose parts belong together, by all that can be seen before its weights are read."""

    config: ModelConfig
    tokenizer: FolderTokenizer
    tensors: dict[str, Any]
    words: bool  # whether it is to be loaded with its head over the vocabulary


def load(
    name: str | ModelFolder,
    *,
    device: str = "auto",
    dtype: str = "auto",
    words: bool | None = False,
    checkpointing: bool = False,
    compiled: bool = False,
    pickle: bool = False,
    on_host: bool = False,
) -> Backbone:
    """Load a frozen backbone.

    Args:
        name: `embedded/…`, a folder with a transformers checkpoint, a GGUF file, or a hub id (`org/model` or
            `org/model@revision`); or a folder that goes by another name.
        device: `auto` (a GPU where there is one), `cpu`, `cuda`, `mps`.
        dtype: `auto` (bf16 where the machine computes in it, else float32), `float32`, `bfloat16`.
        words: whether its head over the vocabulary is wanted; None: where the checkpoint has one.
        checkpointing: whether layers compute again in the backward pass what they would have kept in memory.
        compiled: whether layers are compiled, where they learn.
        pickle: whether weights may be unpickled where there are no others.
        on_host: whether weights stay in the host's memory, to be spread over several devices.

    Raises:
        IsoglossError: nothing by that name can be had, it is of a family isogloss does not know, its parts do not
            belong together, it lacks the head, or there is no such device.
    """
    logging.disable_progress_bar()  # transformers' own, in the middle of ours
    logging.set_verbosity_error()  # that a checkpoint holds more than is wanted of it is no news
    target = device_of(device)
    if target.index is not None:
        torch.cuda.set_device(target)  # streams, graphs and generators are the current device's where none is named
    if target.type == "cpu":
        say_if_spinning(torch.get_num_threads())
    computing = _computing(dtype, target)
    folder = name if isinstance(name, ModelFolder) else folder_of(name, pickle=pickle)
    converted = isinstance(name, str) and is_converted(name)
    name = folder.name
    try:
        loaded, opened_, weights = _loaded(folder, words=words, pickle=pickle)
        damaged = conversion.expected(folder.path) not in {None, weights} if converted else False
    except IsoglossError:
        # Conversions of before there was a record of what they hold show damages only here.
        if words or not converted or conversion.recorded(folder.path):
            raise
        damaged = True
    if damaged:
        conversion.discard(folder.path)
        loaded, opened_, weights = _loaded(folder := folder_of(name, pickle=pickle), words=words, pickle=pickle)
    family, tokenizer = opened_.config.family, opened_.tokenizer
    model = getattr(loaded, loaded.base_model_prefix) if opened_.words else loaded
    identity = Identity(
        name=name.split("@", maxsplit=1)[0], weights=weights, revision=folder.commit,
        tokenizer=tokenizer.fingerprint, config=opened_.config.written,
    )  # fmt: skip
    with _refusals(folder):
        lm_head = lm_head_of(loaded, model) if opened_.words else None
        compute_in(model, family, computing)
        place = torch.device("cpu") if on_host else target
        backbone = Transformer(
            model.to(place), family, tokenizer.tokens, identity, pooling=_pooling(name, family), dtype=computing,
            lm_head=None if lm_head is None else lm_head.to(place), checkpointing=checkpointing, compiled=compiled,
        )  # fmt: skip
        _try(folder, backbone)
    return backbone


def inspect(name: str, *, device: str = "auto", words: bool | None = False, pickle: bool = False) -> int | None:
    """Refuse of a backbone what can be refused before it is fetched, converted or loaded.

    Args:
        name: as in `load`.
        device: as in `load`.
        words: as in `load`.
        pickle: as in `load`.

    Returns:
        How many positions it has for a prompt and its text; None where only loading it tells.

    Raises:
        IsoglossError: as `load` would.
    """
    logging.set_verbosity_error()
    device_of(device)
    if gguf.is_file(name):
        gguf.check_header(Path(name).expanduser())
    elif name not in EMBEDDED and (path := local_folder(name)) is not None:
        folder = ModelFolder(name, path)
        if folder.weights() or not pickle:
            with _opened(folder, words=words, pickle=pickle) as it:
                return it.config.shape.positions
        config = read_config(folder, tensors=1 << 16)  # a pickle does not say what it holds before it is unpickled
        load_tokenizer(folder, config, config.values.vocab_size)
        return config.shape.positions
    return None


def weights_hash(folder: ModelFolder) -> str:
    """The hash of the weights of a checkpoint, as `Identity` has it.

    Raises:
        IsoglossError: it is none, or not whole.
    """
    return _loaded(folder, words=False, pickle=False)[2]


def unused_weight(name: str, weight: str) -> Tensor | None:
    """A weight of a checkpoint that a backbone has no use for, such as a pooler's; None where there is none.

    Args:
        name: of the backbone, as in `load`.
        weight: its name, without that of the base model in front.
    """
    folder = folder_of(name, pickle=False)
    if not (files := folder.weights()):
        return None
    with opened(folder, files) as tensors:
        found = [held for held in tensors if held == weight or (held.partition(".")[2] == weight)]
        tensor: Tensor | None = tensors[found[0]][...].float() if found else None
    return tensor


def outline(
    name: str, *, device: str, dtype: str, words: bool | None = False, checkpointing: bool = False
) -> Backbone | None:
    """A backbone without its weights, to reckon with; None where it is not at hand, see `at_hand`.

    Args:
        name: as in `load`.
        device: as in `load`; it lies on none.
        dtype: as in `load`.
        words: as in `load`.
        checkpointing: as in `load`.

    Raises:
        IsoglossError: as `load` would.
    """
    if (folder := at_hand(name)) is None:
        return None
    logging.set_verbosity_error()
    with _opened(folder, words=words, pickle=False) as it, _refusals(folder):
        whole, _ = it.config.family.load(it.config.values, words=it.words, weights=None)
        model = getattr(whole, whole.base_model_prefix) if it.words else whole
        it.config.family.prepare(model)
        lm_head = lm_head_of(whole, model) if it.words else None
        computing = _computing(dtype, device_of(device))
        compute_in(model, it.config.family, computing)
        return Transformer(
            model, it.config.family, it.tokenizer.tokens, Identity(name, "", None), dtype=computing,
            pooling=_pooling(name, it.config.family), lm_head=lm_head, checkpointing=checkpointing,
        )  # fmt: skip


def _computing(dtype: str, device: torch.device) -> torch.dtype:
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}.get(dtype) or native_dtype(device)


@contextmanager
def _opened(folder: ModelFolder, *, words: bool | None, pickle: bool) -> Iterator[_Opened]:
    with opened(folder, folder.weights() or [pickled.weights(folder, allowed=pickle)]) as tensors:
        config = read_config(folder, len(tensors))
        words = config.headed if words is None else words
        by_name = under_base_prefix(config, tensors)
        rows = check_shapes(folder, config, by_name, words=words)
        yield _Opened(config, load_tokenizer(folder, config, rows), by_name, words)


def _loaded(folder: ModelFolder, *, words: bool | None, pickle: bool) -> tuple[Any, _Opened, str]:
    """The model as transformers has it, what it was made of, and the hash of its weights."""
    with _opened(folder, words=words, pickle=pickle) as it, _refusals(folder):
        loaded = load_weights(folder, it.config, it.tensors, words=it.words)
        model = getattr(loaded, loaded.base_model_prefix) if it.words else loaded
        it.config.family.prepare(model)
        _separate_pairs(it.tokenizer.tokens)
        return loaded, it, fingerprint(model)


@contextmanager
def _refusals(folder: ModelFolder) -> Iterator[None]:
    """What fails of a model while it is loaded, in one line."""
    try:
        yield
    except IsoglossError:
        raise
    # What a stranger's files say can make a model stumble over anything.
    except Exception as error:
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(error):
            raise folder.refusal(
                f"it does not fit into memory ({reason(error)}); free some, or take a smaller one"
            ) from error
        raise folder.refusal(f"it cannot be loaded ({reason(error)}); expected a whole checkpoint") from error


@torch.no_grad()
def _try(folder: ModelFolder, backbone: Transformer) -> None:
    """Numbers in a configuration can be such that nothing comes out."""
    ids = backbone.tokenizer(PROBES[0])["input_ids"][: min(TRIED, backbone.shape.positions)]
    tokens = torch.tensor([ids or [0]], device=backbone.device)
    if not bool(backbone.hidden(tokens, torch.ones_like(tokens, dtype=torch.bool)).isfinite().all()):
        folder.refuse("its states are no numbers (NaN or infinite); expected the config.json of these weights")


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


def _pooling(name: str, family: Family) -> Pooling:
    lower = name.split("@", maxsplit=1)[0].rstrip("/").rsplit("/", 1)[-1].lower()
    return "mean" if not family.causal and any(mark in lower for mark in MEAN_POOLED) else family.pooling
