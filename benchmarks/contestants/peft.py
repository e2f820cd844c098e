"""transformers' models with PEFT's prompts and updates, as one would write it with these libraries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import peft
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from benchmarks.contestants.contestant import PROMPT, Match
from benchmarks.contestants.loop import Loop, Way, fastest, ways
from benchmarks.texts import CLASSES

ATTENTION = {  # matrices of the attention, by family
    "bert": ["query", "key", "value", "attention.output.dense"],
    "xlm-roberta": ["query", "key", "value", "attention.output.dense"],
    "bloom": ["query_key_value", "self_attention.dense"],
}
CONFIGS: dict[str, Callable[[str], Any]] = {
    "deep-prompt": lambda _: peft.PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=PROMPT),
    "soft-prompt": lambda _: peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=PROMPT),
    "lora": lambda family: peft.LoraConfig(
        task_type="SEQ_CLS", r=8, lora_alpha=16, lora_dropout=0.0,
        target_modules=ATTENTION.get(family, ["q_proj", "k_proj", "v_proj", "o_proj"]),
    ),
}  # fmt: skip


class Models:
    """Makes the models of one contest; those that are alike share the weights that stay as they are.

    Args:
        match: what is learnt on.
    """

    def __init__(self, match: Match) -> None:
        self.match = match
        self.shared: dict[tuple[str, torch.dtype], Tensor] = {}

    def model(self, way: Way, *, dropout: bool, embeddings: bool = True) -> nn.Module:
        """A model that is ready to learn.

        Args:
            way: how it computes.
            dropout: whether it drops out, as by default.
            embeddings: whether fine-tuning tunes the word embedding too, as by default.
        """
        match = self.match
        config = match.shape.config(dropout=dropout)
        config.num_labels = CLASSES
        model = AutoModelForSequenceClassification.from_pretrained(
            match.checkpoint, config=config, attn_implementation=way.attention, dtype=way.weights
        )
        if match.method in CONFIGS:
            pooler = getattr(model.base_model, "pooler", None)
            model = peft.get_peft_model(model, CONFIGS[match.method](match.shape.family))
            if pooler is not None:  # the checkpoint has none, and a random one that is frozen is no head
                pooler.requires_grad_(True)
        elif not embeddings:
            model.get_input_embeddings().requires_grad_(False)
        made: nn.Module = model.to(match.device)
        for name, weight in made.named_parameters():
            if not weight.requires_grad:
                weight.data = self.shared.setdefault((name, weight.dtype), weight.data)
        return made

    def expert(self, *, dropout: bool) -> Loop:
        """The fastest way of computing, chosen by a trial on this machine, in a loop of its own."""
        match = self.match

        def build(way: Way) -> Loop:
            model = self.model(way, dropout=dropout, embeddings=False)
            return Loop(model, way, match.train, match.test, batch=match.batch, device=match.device)

        return fastest(build, ways(match.method))
