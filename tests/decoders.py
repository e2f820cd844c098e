"""Small random models of every family besides the encoders of `models`, as published checkpoints lie on disk."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    PreTrainedTokenizerFast,
)

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.loading import load
from models import WORDS, tokenizer

SIZES = {"vocab_size": 400, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
COMMON = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
ROTARY = {**COMMON, "max_position_embeddings": 64, "initializer_range": 0.3}
GROUPED = {**ROTARY, "num_key_value_heads": 2}
T5 = {
    "d_model": 24, "d_kv": 5, "d_ff": 48, "num_layers": 3, "num_heads": 4, "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12, "decoder_start_token_id": 1, "initializer_factor": 1.0,
}  # fmt: skip
CONFIGS = {
    "xglm": {
        "d_model": 24, "num_layers": 3, "attention_heads": 4, "ffn_dim": 48, "max_position_embeddings": 64,
        "init_std": 0.3,
    },
    "bloom": {"hidden_size": 24, "n_layer": 3, "n_head": 6, "initializer_range": 0.3},
    "llama": GROUPED, "mistral": {**GROUPED, "sliding_window": 3}, "gpt_neox": ROTARY,
    "qwen2": GROUPED, "qwen3": {**GROUPED, "head_dim": 10}, "gemma": {**GROUPED, "head_dim": 6},
    "gemma3_text": {
        **GROUPED, "head_dim": 10, "query_pre_attn_scalar": 10, "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
    "mt5": T5, "t5": T5, "umt5": T5,
}  # fmt: skip
ENCODERS = {"mt5", "t5", "umt5"}
MASKED = {"bert", "camembert", "distilbert", "roberta", "xlm-roberta", "xlm-roberta-xl"}


def whole(folder: Path, family: str) -> Path:
    """A checkpoint with the head over the vocabulary."""
    torch.manual_seed(7)
    if family in MASKED:
        sizes = {**COMMON, **SIZES, "max_position_embeddings": 40, "initializer_range": 0.3}
        sizes["type_vocab_size"] = 2 if family == "bert" else 1
        if family == "distilbert":
            sizes["hidden_dim"] = sizes.pop("intermediate_size")
        model = AutoModelForMaskedLM.from_config(AutoConfig.for_model(family, **sizes))
        torch.nn.init.normal_(model.get_output_embeddings().bias)
    else:
        config = AutoConfig.for_model(family, **SIZES, **CONFIGS[family])
        model = (AutoModelForSeq2SeqLM if family in ENCODERS else AutoModelForCausalLM).from_config(config)
    for name, weight in model.named_parameters():
        if weight.ndim == 1 and "norm" in name.lower():  # else a wrong norm would not be seen
            torch.nn.init.normal_(weight, mean=0.0 if "gemma" in family else 1.0, std=0.2)
    model.save_pretrained(folder)
    made = byte_tokenizer() if family == "qwen2" else tokenizer()
    made.add_special_tokens({"mask_token": "<mask>"})
    made.save_pretrained(folder)
    return folder


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One like Qwen's: bytes, no token in front or between, spaces belong to the words behind them."""
    pieces = [
        "<s>",
        "<pad>",
        "</s>",
        *sorted(pre_tokenizers.ByteLevel.alphabet()),
        *(f"\u0120{word}" for word in WORDS),
    ]
    merges = [(f"\u0120{word[:i]}", word[i]) for word in WORDS for i in range(len(word))]
    merges = list(dict.fromkeys(merges))
    pieces += [left + right for left, right in merges]
    made = Tokenizer(
        models.BPE({piece: i for i, piece in enumerate(dict.fromkeys(pieces))}, list(dict.fromkeys(merges)))
    )
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def backbone(folder: Path, family: str, **options: object) -> Backbone:
    """That checkpoint, loaded as users load it, in float32 on the CPU."""
    return load(str(whole(folder, family)), **({"dtype": "float32", "device": "cpu"} | options))
