"""PEFT: soft prompts as prompt tuning, deep prompts as prefix tuning, LoRA as it is; the head lies beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isogloss.backbones.plain import LORA
from isogloss.interop import bundle, label_words
from isogloss.interop.trained import Trained

TASK = "FEATURE_EXTRACTION"  # PEFT's name for a model without a head of its own
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class Peft:
    """See `Format`."""

    name = "peft"
    extra = "peft"
    libraries: tuple[str, ...] = ("peft",)
    title = "a PEFT adapter, a head beside it, and classify.py"
    library = "peft"

    def refusal(self, trained: Trained) -> str | None:
        """PEFT puts prompts in front of texts, and prefixes in every layer, with positions that begin behind them."""
        form = trained.form
        place = form.place if form is not None and form.kind == "input" else None
        prefix = form if form is not None and form.kind == "prefix" else None
        reasons = [
            (trained.method not in {"soft-prompt", "deep-prompt", "lora"}, "it trains no adapter that PEFT knows"),
            ((unread := label_words.refusal(trained)) is not None, unread or ""),
            (trained.questions, "PEFT has no windows over long passages"),
            (
                place not in {None, "before"},
                f"its prompt stands elsewhere (place: {place}), and PEFT's in front of the text (place: before)",
            ),
            (
                prefix is not None and trained.encoder_half,
                "transformers' encoders of this kind take no keys and values from outside",
            ),
            (
                prefix is not None and prefix.first_layer > 0,
                "its prompt begins above the lowest layer, and PEFT's there (first_layer: 0)",
            ),
            (
                prefix is not None and not prefix.shift,
                "its texts keep their positions, and PEFT's begin behind the prefix (shift_positions: true)",
            ),
            (
                form is not None and trained.typed and trained.pairs and not trained.verbalized,
                "PEFT's prompts take no segment ids, by which this backbone tells the texts of a pair apart",
            ),
        ]
        return next((reason for applies, reason in reasons if applies), None)

    def write(self, trained: Trained, out: Path) -> None:
        """The adapter by PEFT's own `save_pretrained`, which is what it loads."""
        from peft import get_peft_model

        plain = trained.plain()
        name, revision = _named(trained)
        if name is None:
            plain.save_pretrained(out / bundle.BACKBONE)
            trained.tokenizer.save_pretrained(out / bundle.BACKBONE)
        model: Any = get_peft_model(plain, _config(trained))
        _fill(model, trained)
        config = model.peft_config["default"]
        config.base_model_name_or_path, config.revision = name or bundle.BACKBONE, revision
        model.save_pretrained(out)
        bundle.write_labels(trained, out, backbone=name or bundle.BACKBONE, revision=revision)
        bundle.write_head(trained, out)
        bundle.write_tokenizer(trained, out)
        bundle.write_script(bundle.script_of(trained), out)

    def scores(self, out: Path, inputs: Sequence[Sequence[str]]) -> list[Tensor]:
        """By `classify.py`."""
        return bundle.scored(out, inputs)

    def usage(self, trained: Trained) -> str:
        """By `classify.py` as a module."""
        return bundle.script_usage(trained)


def merged(trained: Trained) -> Any:
    """Transformers' model with the updates of LoRA added to its matrices."""
    from peft import get_peft_model

    model: Any = get_peft_model(trained.plain(), _config(trained))
    _fill(model, trained)
    return model.merge_and_unload().eval()


def _named(trained: Trained) -> tuple[str | None, str | None]:
    """The backbone's hub id and commit; None where it is not on the hub, and has to be copied."""
    name, revision = trained.source, trained.model.stack.backbone.identity.revision
    on_hub = revision is not None and HUB_ID.fullmatch(name) is not None
    return (name, revision) if on_hub else (None, None)


def _config(trained: Trained) -> Any:
    from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig

    backbone = trained.model.stack.backbone
    shape = backbone.shape
    if trained.method == "lora":
        inside = {name.split(f".{LORA}")[0] for name in backbone.weights() if LORA in name}
        return LoraConfig(
            task_type=TASK, r=trained.settings.rank, lora_alpha=trained.settings.alpha, target_modules=sorted(inside)
        )
    if trained.method == "soft-prompt":
        return PromptTuningConfig(
            task_type=TASK, num_virtual_tokens=len(trained.prompt), token_dim=shape.width, num_layers=shape.layers,
            num_attention_heads=shape.key_heads, num_transformer_submodules=1,
        )  # fmt: skip
    return PrefixTuningConfig(
        task_type=TASK, num_virtual_tokens=trained.prompt.shape[2], token_dim=shape.key_heads * shape.head_width,
        num_layers=shape.layers, num_attention_heads=shape.key_heads, num_transformer_submodules=1,
    )  # fmt: skip


@torch.no_grad()
def _fill(model: Any, trained: Trained) -> None:
    """Lay what was trained into PEFT's parameters."""
    if trained.method == "lora":
        own = trained.model.stack.backbone.weights()
        for name, weight in model.named_parameters():
            if LORA in name:
                weight.copy_(own[next(mine for mine in own if name.endswith(f".{mine}"))])
        return
    prompt = trained.prompt
    if trained.method == "deep-prompt":  # (L, 2, P, heads, D): PEFT has a row a position, all layers in it
        prompt = prompt.permute(2, 0, 1, 3, 4).reshape(prompt.shape[2], -1)
    model.prompt_encoder["default"].embedding.weight.copy_(prompt)


FORMAT = Peft()
