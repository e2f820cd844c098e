"""Weights in safetensors files: what their headers say is held against the model before a number is read."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from isogloss.backbones.checkpoint.config import ModelConfig, reason
from isogloss.backbones.checkpoint.folder import ModelFolder
from isogloss.errors import IsoglossError

FLOATS = {"F64", "F32", "F16", "BF16"}  # as safetensors calls what is read as it is
# Families of which a class for questions or tags calls the model below its head `transformer`, whatever its own name.
CALLED_TRANSFORMER = {"llama", "mistral", "mt5", "qwen2", "qwen3", "t5", "umt5"}
RENAMED = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))  # by TensorFlow


@contextmanager
def opened(folder: ModelFolder, files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """The tensors of safetensors files by name, each read when it is asked for.

    Raises:
        IsoglossError: a file is none, or not whole.
    """
    with ExitStack() as stack:
        tensors: dict[str, Any] = {}
        for file in files:
            try:
                held = stack.enter_context(safe_open(file, framework="pt"))
                parts = {name: held.get_slice(name) for name in held.keys()}  # noqa: SIM118 - it is no dict
            except (SafetensorError, OSError, ValueError, MemoryError) as error:
                raise folder.refusal(
                    f"{file.name} is no whole safetensors file ({reason(error)}); fetch it again"
                ) from error
            if twice := sorted(parts.keys() & tensors.keys()):
                folder.refuse(f"{twice[0]} is in {file.name} and in another file; expected each weight once")
            tensors |= parts
        if not tensors:
            folder.refuse("its safetensors files hold no weights; fetch them again")
        yield tensors


def under_base_prefix(config: ModelConfig, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors by the names that the base model has for them, where a class with a head calls it `transformer`."""
    if config.values.model_type not in CALLED_TRANSFORMER:
        return dict(tensors)
    return {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}


def check_shapes(folder: ModelFolder, config: ModelConfig, tensors: Mapping[str, Any], *, words: bool) -> int:
    """Hold the files' headers against the model that the configuration describes, of which nothing is made.

    Returns:
        The rows of the word embedding.

    Raises:
        IsoglossError: they do not belong together.
    """
    try:
        model, _ = config.family.load(config.values, words=words, weights=None)
    except IsoglossError:
        raise
    except Exception as error:
        raise folder.refusal(f"no model can be made of config.json ({reason(error)})") from error
    prefix = f"{model.base_model_prefix}."
    expected = {_plain(name, prefix): tuple(weight.shape) for name, weight in model.named_parameters()}
    for name, tensor in tensors.items():
        if (shape := expected.get(_plain(name, prefix))) is None:
            continue
        if tuple(tensor.get_shape()) != shape:
            folder.refuse(f"{name} is {_by(tensor.get_shape())} in its weights, but {_by(shape)} by config.json")
        if (kind := tensor.get_dtype()) not in FLOATS:
            folder.refuse(f"{name} is stored as {kind}; expected float32, bfloat16 or float16")
    words_table = model.get_input_embeddings().weight
    held = sum(math.prod(tensor.get_shape()) for tensor in tensors.values())
    # Whether there is a head over the vocabulary, which may be the embedding once more, loading will tell.
    described = sum(weight.numel() for weight in (getattr(model, prefix[:-1]) if words else model).parameters())
    if described > held:
        there = {_plain(name, prefix) for name in tensors}
        names = (name for name, _ in model.named_parameters() if _plain(name, prefix) not in there)
        lacking = next((f"; they have no {name}" for name in names), "")
        folder.refuse(f"config.json describes {described:,} parameters, its weights hold {held:,}{lacking}")
    return int(words_table.shape[0])


def load_weights(folder: ModelFolder, config: ModelConfig, tensors: Mapping[str, Any], *, words: bool) -> Any:
    """The model, with its head over the vocabulary if `words`.

    Raises:
        IsoglossError: a weight is missing, left over in a layer, or no number.
    """
    model, report = config.family.load(config.values, words=words, weights=tensors)
    if missing := sorted(report["missing_keys"]):
        head = "; without its head over the vocabulary it can have no verbalizer" if words else ""
        folder.refuse(f"the checkpoint has no {missing[0]}{head}")
    prefix = f"{model.base_model_prefix}."
    layers = tuple(f"{_plain(part, prefix)}." for part in _layers(model))
    ignored = getattr(model, "_keys_to_ignore_on_load_unexpected", None) or []
    for name in sorted(report["unexpected_keys"]):
        of_layer = name.endswith((".weight", ".bias")) and _plain(name, prefix).startswith(layers)
        if of_layer and not any(re.search(pattern, name) for pattern in ignored):
            folder.refuse(f"its weights hold {name}, which a model by its config.json has not")
    for name, weight in model.named_parameters():
        # A sum costs no memory; where it overflows, each number is looked at.
        if not math.isfinite(float(weight.detach().sum())) and not bool(weight.isfinite().all()):
            folder.refuse(f"{name} holds values that are no numbers (NaN or infinite); fetch its weights again")
    for name, weight in model.named_parameters():
        # What space was set aside for and never came; a single row, such as a type's, may well be nothing.
        if weight.ndim > 1 and min(weight.shape) > 1 and not (bool(weight[:64].any()) or bool(weight.any())):
            folder.refuse(f"{name} holds nothing but zeros; fetch its weights again")
    return model


def fingerprint(model: nn.Module) -> str:
    """sha256 over the names, shapes and float32 values of a model's weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().contiguous().cpu().numpy().data)
    return digest.hexdigest()


def _layers(model: nn.Module) -> set[str]:
    """Where a model's layers lie in it."""
    return {
        name.rpartition(".")[0]
        for name, module in model.named_modules()
        if isinstance(module, GradientCheckpointingLayer)
    }


def _plain(name: str, prefix: str) -> str:
    for old, new in RENAMED:
        name = name.replace(old, new)
    name = name.removeprefix(prefix).removeprefix("encoder.")  # of T5, the encoder alone is a model
    return "embed_tokens.weight" if name == "shared.weight" else name


def _by(shape: Sequence[int]) -> str:
    return " by ".join(map(str, shape)) or "one number"
