"""Models to measure on: the sizes of published ones, random weights, and a reduced vocabulary.

Only sizes decide how long a step takes. Nothing here needs isogloss: environments of other libraries use it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

VOCABULARY = 8192
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
FIRST = len(SPECIAL)  # ids from here on are words


@dataclass(frozen=True)
class Shape:
    """The sizes of a model.

    Args:
        family: what transformers calls it.
        sizes: of its configuration.
        dropout: names of what a configuration of this family says of dropout, where it has any by default.
    """

    family: str
    sizes: Mapping[str, Any]
    dropout: tuple[str, ...] = ()

    @property
    def causal(self) -> bool:
        """Whether a token sees only what stands before it."""
        return self.family not in {"bert", "xlm-roberta"}

    def config(self, *, dropout: bool = True) -> Any:
        """transformers' configuration.

        Args:
            dropout: whether the model drops out as it does by default, or nothing.
        """
        none = {} if dropout else dict.fromkeys(self.dropout, 0.0)
        special = {"vocab_size": VOCABULARY, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
        return AutoConfig.for_model(self.family, **self.sizes, **special, **none)


def _encoder(family: str, width: int, layers: int, heads: int, inner: int) -> Shape:
    sizes = {
        "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": inner,
        "max_position_embeddings": 514, "type_vocab_size": 1 if family == "xlm-roberta" else 2,
    }  # fmt: skip
    return Shape(family, sizes, ("hidden_dropout_prob", "attention_probs_dropout_prob"))


_DECODER = {"hidden_size": 512, "num_hidden_layers": 8, "num_attention_heads": 8, "max_position_embeddings": 2048}
SHAPES = {
    "small": _encoder("bert", 384, 12, 12, 1536),  # the embedded encoder's
    "large": _encoder("xlm-roberta", 1024, 24, 16, 4096),  # XLM-R large's
    # Decoders: heads that share keys, as Llama's; ALiBi, as BLOOM's; windows in most layers, as Gemma's.
    "grouped": Shape("llama", {**_DECODER, "num_key_value_heads": 2, "intermediate_size": 1408}),
    "alibi": Shape("bloom", {"hidden_size": 512, "n_layer": 8, "n_head": 8}),
    "windowed": Shape(
        "gemma3_text",
        {
            **_DECODER, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 128, "intermediate_size": 1408,
            "query_pre_attn_scalar": 128, "sliding_window": 24,
            "layer_types": ["full_attention" if i % 6 == 5 else "sliding_attention" for i in range(8)],
        },
    ),
}  # fmt: skip


def tiny(name: str) -> Shape:
    """A shape of the same kind that takes no time, to try the suite itself."""
    shape = SHAPES[name]
    small = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "n_layer": 2,
        "n_head": 4, "head_dim": 8, "layer_types": ["sliding_attention", "full_attention"],
    }  # fmt: skip
    return Shape(shape.family, {**shape.sizes, **{k: v for k, v in small.items() if k in shape.sizes}}, shape.dropout)


def tokenizer() -> PreTrainedTokenizerFast:
    """A word for each id; the checkpoints need one, the measured texts do not."""
    pieces = [*SPECIAL, *(f"w{i}" for i in range(VOCABULARY - FIRST))]
    made = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>",
        pad_token="<pad>", unk_token="<unk>", model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def checkpoint(shape: Shape, folder: Path) -> Path:
    """Random weights and a tokenizer, as published checkpoints lie on a disk; made once."""
    if not (folder / "tokenizer.json").exists():
        torch.manual_seed(0)
        pooler = {} if shape.causal else {"add_pooling_layer": False}
        AutoModel.from_config(shape.config(), **pooler).save_pretrained(folder)
        tokenizer().save_pretrained(folder)
    return folder


def matrices(shape: Shape) -> int:
    """Weights in the matrices of all layers, which is what a token is multiplied with."""
    with torch.device("meta"):
        model = AutoModel.from_config(shape.config())
    inside = (w for name, w in model.named_parameters() if "embed" not in name and "pooler" not in name)
    return sum(weight.numel() for weight in inside if weight.ndim == 2)


def attention_width(shape: Shape) -> tuple[int, int]:
    """How many layers attend, and how wide all heads of one are together."""
    config = shape.config()
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return config.num_hidden_layers, config.num_attention_heads * head
