"""A backbone as transformers has it, for whoever hands it to another library."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModel, AutoModelForTextEncoding

from isogloss.backbones.backbone import Backbone

LORA = "lora_"  # in the names of its factors, inside a model that PEFT has put them into


def config_of(backbone: Backbone) -> Any:
    """Transformers' configuration of a backbone; nobody else's to change."""
    return backbone.model.config


def is_encoder_half(backbone: Backbone) -> bool:
    """Whether a backbone is the encoder of an encoder-decoder."""
    whole = AutoModel._model_mapping[type(config_of(backbone))]  # noqa: SLF001 - what it loads
    return not isinstance(backbone.model, whole)


def plain_model(backbone: Backbone) -> Any:
    """A model of transformers' own with a backbone's weights in float32, as training has left them, without LoRA's."""
    config = type(config_of(backbone)).from_dict(config_of(backbone).to_dict())
    encoder = is_encoder_half(backbone)
    kind: Any = AutoModelForTextEncoding if encoder else AutoModel
    plain = kind.from_config(config, dtype=torch.float32).eval()
    state = {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in backbone.model.state_dict().items()
        if LORA not in name
    }
    # A table of which some rows alone learn is stored otherwise than transformers has it.
    words: Any = backbone.word_embedding
    place = next(name for name, module in backbone.model.named_modules() if module is words)
    state = {name: tensor for name, tensor in state.items() if not name.startswith(f"{place}.")}
    state[f"{place}.weight"] = words.weight
    inner = plain.encoder if encoder else plain
    report = inner.load_state_dict({name: tensor.float().cpu() for name, tensor in state.items()}, strict=False)
    lacking = [name for name in report.missing_keys if not name.startswith("pooler.")]
    assert not lacking, lacking
    assert not report.unexpected_keys, report.unexpected_keys
    return plain.requires_grad_(False)
