"""A fine-tuned model of transformers' with a head of its own: it is its own backbone, with its own tokenizer."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.checkpoint.adapter_head import HEAD, LABELS, exported_head, names_in_config, said_subword
from isogloss.backbones.checkpoint.folder import CONFIG, WEIGHTS, ModelFolder
from isogloss.backbones.checkpoint.heads import HeadLayout, layout_of, read_head
from isogloss.backbones.checkpoint.kinds import HeadKind
from isogloss.backbones.checkpoint.source import WHAT
from isogloss.backbones.checkpoint.tokenizer import FILES
from isogloss.backbones.checkpoint.trained import TrainedElsewhere
from isogloss.backbones.checkpoint.weights import opened
from isogloss.backbones.loading import load
from isogloss.errors import IsoglossError

KINDS: dict[str, HeadKind] = {
    "ForSequenceClassification": "classification", "ForTokenClassification": "tagging",
    "ForQuestionAnswering": "questions",
}  # fmt: skip
KEPT = (CONFIG, *FILES)  # all of a folder that a model is made of, besides its weights
_MODEL, _FILE = "model.", "file."  # in front of the names of weights, and of the bytes of files


def read_fine_tuned(folder: ModelFolder, like: Backbone, *, kind: HeadKind) -> TrainedElsewhere:
    """What a folder with a fine-tuned model holds: `model.NAME` for each weight, `file.NAME` for each file's bytes.

    Its head is the one of transformers' class, or lies beside it, as isogloss exports a head that no class has.

    Args:
        folder: with `config.json`.
        like: a backbone that says where to compute, and in what.
        kind: of task that it is to do.

    Raises:
        IsoglossError: it has another head or none, is of a family that is not known, or damaged.
    """
    config, exported = folder.json(CONFIG), folder.has(HEAD) and folder.has(LABELS)
    if not exported:
        _check_kind(folder, config, kind)
    if not (files := folder.weights()):
        folder.refuse_pickle(next(suffix for suffix, of_kind in KINDS.items() if of_kind == kind))
    layout = None if exported else layout_of(folder, str(config.get("model_type")), kind)
    backbone = load(folder, device=_device(like), dtype=str(like.dtype).removeprefix("torch."))
    with opened(folder, files) as held:
        tensors = {f"{_MODEL}{name}": part[...] for name, part in held.items()}
    width = backbone.shape.width
    if layout is None:
        head = exported_head(folder, kind, width).head
    else:
        weights = _of_head(tensors, layout, f"{getattr(backbone.model, 'base_model_prefix', '')}.")
        head = read_head(folder, layout, weights, width=width, names=names_in_config(folder, config))
    for file in KEPT:
        if folder.has(file):
            content = bytearray(folder.read(file))
            empty = torch.empty(0, dtype=torch.uint8)
            tensors[f"{_FILE}{file}"] = torch.frombuffer(content, dtype=torch.uint8) if content else empty
    # transformers' own scripts tag the first.
    subword = (said_subword(folder) or "first") if kind == "tagging" else None
    return TrainedElsewhere("model", tensors, head, subword=subword, backbone=backbone)


def _of_head(tensors: Mapping[str, Tensor], layout: HeadLayout, prefix: str) -> dict[str, Tensor]:
    """The weights of a head among a model's, by their names in its layout."""
    names = [f"{layer}.{part}" for layer in layout.layers for part in ("weight", "bias")]
    held = {name: (f"{_MODEL}{name}", f"{_MODEL}{prefix}{name}") for name in names}
    return {name: tensors[at] for name, places in held.items() for at in places if at in tensors}


def rebuilt(tensors: Mapping[str, Tensor], name: str, like: Backbone) -> Backbone:
    """The backbone of what `read_fine_tuned` gave.

    Args:
        tensors: by name; they may be a stranger's.
        name: of the model.
        like: a backbone that says where to compute, and in what.

    Raises:
        IsoglossError: they are no whole model.
    """
    with tempfile.TemporaryDirectory(prefix="isogloss-checkpoint-") as temporary:
        path = Path(temporary)
        for file in KEPT:
            if (content := tensors.get(f"{_FILE}{file}")) is not None:
                (path / file).write_bytes(content.cpu().contiguous().numpy().tobytes())
        weights = {key.removeprefix(_MODEL): tensors[key] for key in tensors if key.startswith(_MODEL)}
        save_file({key: tensor.cpu().contiguous() for key, tensor in weights.items()}, path / WEIGHTS)
        try:
            dtype = str(like.dtype).removeprefix("torch.")
            return load(ModelFolder(name, path, what=WHAT), device=_device(like), dtype=dtype)
        except IsoglossError as error:
            raise IsoglossError(str(error).replace(temporary, name)) from error


def _check_kind(folder: ModelFolder, config: Mapping[str, Any], kind: HeadKind) -> None:
    """Whether its head is for the kind of task."""
    named = config.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else None
    suffix = next((suffix for suffix in KINDS if architecture is not None and architecture.endswith(suffix)), None)
    expected = next(suffix for suffix, of_kind in KINDS.items() if of_kind == kind)
    if suffix is None or KINDS[suffix] != kind:
        is_a = "names no architecture" if architecture is None else f"says it is a {architecture:.80}"
        folder.refuse(f"{CONFIG} {is_a}, but the data are for {kind}; expected a model …{expected}, or a PEFT adapter")
    problem = config.get("problem_type")
    if kind == "classification" and problem not in {None, "single_label_classification"}:
        folder.refuse(f"{CONFIG} says problem_type: {problem!r:.60}; expected one label a text")


def _device(like: Backbone) -> str:
    return str(like.device) if like.device.type == "cuda" else like.device.type
