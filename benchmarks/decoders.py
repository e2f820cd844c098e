"""Ratios of time on decoders, of layers as wide as the published models' but few, with random weights.

    python benchmarks/decoders.py

*attention*: transformers' own forward pass with the prompt in a cache, every row padded to the longest, against ours,
for XGLM and BLOOM, whose attention in transformers has no fused kernel; training adds the backward pass to the prompt.
*prompt*: evaluation with a soft prompt before the text encoded anew with each row, against once for all.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import AutoConfig, AutoModel, DynamicCache, PreTrainedTokenizerFast

from isogloss.backbones.backbone import Backbone
from isogloss.backbones.loading import load, native_dtype
from isogloss.backbones.prompts import AttentionPrefix, InputPrompt

LAYERS, VOCABULARY, ROWS, PROMPT, ROUNDS = 4, 1000, 32, 16, 5
LENGTHS = (8, 90)  # tokens of the shortest text and the longest
WIDE: dict[str, dict[str, object]] = {  # XGLM-564M, BLOOM-560M, Gemma 3 270M
    "xglm": {"d_model": 1024, "num_layers": LAYERS, "attention_heads": 16, "ffn_dim": 4096},
    "bloom": {"hidden_size": 1024, "n_layer": LAYERS, "n_head": 16},
    "gemma3_text": {
        "hidden_size": 640, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 1,
        "head_dim": 256, "intermediate_size": 2048,
    },
}  # fmt: skip


def checkpoint(family: str, folder: Path) -> Path:
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family, **WIDE[family], vocab_size=VOCABULARY, pad_token_id=1, bos_token_id=0, eos_token_id=2
    )
    AutoModel.from_config(config).save_pretrained(folder)
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "a", "b"]
    made = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, unk_token="<unk>"))
    PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    return folder


def texts() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(*LENGTHS, (ROWS,), generator=generator).sort(descending=True).values
    mask = torch.arange(int(lengths[0])) < lengths[:, None]
    return torch.randint(4, VOCABULARY, mask.shape, generator=generator), mask


def milliseconds(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Medians of interleaved rounds."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS + 1):
        for work, times in zip((one, other), taken, strict=True):
            start = time.perf_counter()
            work()
            times.append((time.perf_counter() - start) * 1e3)
    first, second = (statistics.median(times[1:]) for times in taken)  # the first round warms up
    return first, second


def prefix(backbone: Backbone) -> Tensor:
    shape = backbone.shape
    generator = torch.Generator().manual_seed(1)
    size = (1, shape.layers, 2, PROMPT, shape.key_heads, shape.head_width)
    return (torch.randn(size, generator=generator) * 0.1).requires_grad_()


def attention(backbone: Backbone, folder: Path, *, training: bool) -> tuple[float, float]:
    reference = AutoModel.from_pretrained(folder, dtype=backbone.dtype, attn_implementation="eager").eval()
    reference.requires_grad_(requires_grad=False)
    tokens, mask = texts()
    vectors = prefix(backbone)

    def usual() -> None:
        cache = DynamicCache(config=reference.config)
        for layer, (key, value) in enumerate(vectors[0].to(backbone.dtype)):
            cache.update(*(part.transpose(0, 1).expand(ROWS, -1, -1, -1) for part in (key, value)), layer)
        seen = torch.cat([torch.ones(ROWS, PROMPT, dtype=torch.long), mask.long()], dim=1)
        states = reference(tokens, attention_mask=seen, past_key_values=cache, use_cache=True).last_hidden_state
        if training:
            torch.autograd.grad(states[mask].float().square().mean(), vectors)

    def ours() -> None:
        valid = torch.ones(1, PROMPT, dtype=torch.bool)
        states = backbone.hidden(tokens, mask, prompt=AttentionPrefix(vectors, valid))
        if training:
            torch.autograd.grad(states[mask].float().square().mean(), vectors)

    with torch.set_grad_enabled(training):
        return milliseconds(usual, ours)


def prompt(backbone: Backbone) -> tuple[float, float]:
    tokens, mask = texts()
    vectors = torch.randn(1, PROMPT, backbone.shape.width, generator=torch.Generator().manual_seed(1))
    valid = torch.ones(1, PROMPT, dtype=torch.bool)
    ready = backbone.prepared(InputPrompt(vectors, valid, "before"))
    anew, front = InputPrompt(vectors, valid, "template"), torch.zeros(ROWS, dtype=torch.long)
    return milliseconds(
        lambda: backbone.hidden(tokens, mask, prompt=anew, front=front),
        lambda: backbone.hidden(tokens, mask, prompt=ready),
    )


def main() -> None:
    table = Table("model", "what", "slower, ms", "faster, ms", "ratio", title=str(native_dtype(torch.device("cpu"))))

    def add(family: str, what: str, times: tuple[float, float]) -> None:
        table.add_row(family, what, f"{times[0]:.0f}", f"{times[1]:.0f}", f"{times[0] / times[1]:.2f}")

    for family in WIDE:
        with tempfile.TemporaryDirectory() as name:
            folder = checkpoint(family, Path(name))
            backbone = load(str(folder), device="cpu")
            if family != "gemma3_text":
                for training in (False, True):
                    what = f"attention, {'training' if training else 'evaluation'}"
                    add(family, what, attention(backbone, folder, training=training))
            with torch.no_grad():
                add(family, "prompt", prompt(backbone))
    Console().print(table)


if __name__ == "__main__":
    main()
