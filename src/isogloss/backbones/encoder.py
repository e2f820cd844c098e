"""Encoders with transformers' attention interface and absolute positions: BERT, XLM-R and their kin."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from isogloss.backbones.attention import LayerPrefix, Packing, attention_modules, lay
from isogloss.backbones.backbone import Backbone, Identity, Pooling, Shape
from isogloss.backbones.insert import AttentionPrefix, InputPrompt, Insert

FIRST_POSITION_AFTER_PAD = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert"}
MODEL_TYPES = {"bert"} | FIRST_POSITION_AFTER_PAD


class Encoder:
    """A bidirectional encoder. See `Backbone` for the contract.

    Args:
        model: a transformers model whose attention implementation is `isogloss`.
        tokenizer: its fast tokenizer.
        identity: which weights these are.
        pooling: how this model was trained to stand for a sentence.
        dtype: what its layers compute in, by `compute_in`.
    """

    def __init__(
        self, model: nn.Module, tokenizer: Any, identity: Identity, pooling: Pooling, dtype: torch.dtype
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.dtype = dtype
        self.tokenizer = tokenizer
        self.identity = identity
        self.pooling: Pooling = pooling
        config: Any = model.config
        self.offset = config.pad_token_id + 1 if config.model_type in FIRST_POSITION_AFTER_PAD else 0
        self.shape = Shape(
            width=config.hidden_size,
            layers=config.num_hidden_layers,
            key_heads=config.num_attention_heads,
            head_width=config.hidden_size // config.num_attention_heads,
            positions=config.max_position_embeddings - self.offset,
        )
        one = torch.ones(1, 1, dtype=torch.long, device=self.device)
        self.attention = attention_modules(lambda: self.model(input_ids=one, attention_mask=one))

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.model.parameters()).device

    def word_vectors(self) -> Tensor:
        """The input embedding (V, H)."""
        weight: Tensor = self.model.get_input_embeddings().weight  # type: ignore[operator]
        return weight

    def room(self, insert_length: int) -> int:
        """How many tokens of text fit beside `insert_length` prompt positions."""
        return self.shape.positions - insert_length

    def copy(self) -> Backbone:
        """An encoder with weights of its own, but for the word embedding, which it shares until it is told not to."""
        lay(self.attention, [None] * len(self.attention), None)  # the last batch is none of the copy's business
        words = self.word_vectors()
        model = copy.deepcopy(self.model, memo={id(words): words})
        return Encoder(model, self.tokenizer, self.identity, self.pooling, self.dtype)

    def hidden(
        self,
        tokens: Tensor,
        mask: Tensor,
        *,
        types: Tensor | None = None,
        run: Tensor | None = None,
        insert: Insert | None = None,
    ) -> Tensor:
        """Hidden states (B, T, H) of the text's tokens, in the dtype of the layers. See `Backbone.hidden`."""
        run = torch.zeros(len(tokens), dtype=torch.long, device=tokens.device) if run is None else run
        prefix = insert if isinstance(insert, AttentionPrefix) else None
        words = self.model.get_input_embeddings()(tokens)  # type: ignore[operator]
        if isinstance(insert, InputPrompt):
            words, mask, types, text_at = _join(insert, run, words, mask, types)
        # Counting real positions, not columns, keeps the gaps of ragged prompts and padding out of the positions.
        positions = (mask.cumsum(dim=1) - 1).clamp_(min=0)
        if prefix is not None and prefix.shift:
            positions = positions + prefix.valid.sum(dim=1)[run][:, None]
        packing = Packing.of(mask)
        lay(self.attention, _layers(prefix, run, len(self.attention)), packing)
        output = self.model(
            inputs_embeds=packing.pack(words),
            token_type_ids=None if types is None else packing.pack(types),
            position_ids=packing.pack(positions + self.offset),
        )
        hidden = packing.pad(output.last_hidden_state)
        return hidden[:, text_at] if isinstance(insert, InputPrompt) else hidden


def compute_in(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Let a model's layers compute in `dtype`; the embeddings stay as they are, being only looked up and summed."""
    model.encoder.to(dtype)
    embeddings: nn.Module = model.embeddings  # type: ignore[assignment]
    embeddings.register_forward_hook(lambda _module, _inputs, output: output.to(dtype))
    return model


def _layers(prefix: AttentionPrefix | None, run: Tensor, layers: int) -> list[LayerPrefix | None]:
    if prefix is None:
        return [None] * layers
    # Unbound, not indexed: the gradient of an index fills a tensor of all layers with zeros, each time.
    vectors = [layer.unbind(dim=1) for layer in prefix.vectors.transpose(3, 4).unbind(dim=1)]  # L' x 2 x (K heads P D)
    valid = None if bool(prefix.valid.all()) else prefix.valid
    return [
        None
        if layer < prefix.first_layer
        else LayerPrefix(
            key=vectors[layer - prefix.first_layer][0],
            value=vectors[layer - prefix.first_layer][1],
            valid=valid,
            run=run,
        )
        for layer in range(layers)
    ]


def _join(
    prompt: InputPrompt, run: Tensor, words: Tensor, mask: Tensor, types: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Put each row's prompt among its embeddings; the last value says in which columns the text now stands."""
    rows, length = words.shape[:2]
    size = prompt.vectors.shape[1]
    before = {"before": 0, "after-first": 1, "after": length}[prompt.place]

    def insert(text: Tensor, new: Tensor) -> Tensor:
        return torch.cat([text[:, :before], new, text[:, before:]], dim=1)

    words = insert(words, prompt.vectors[run].to(words.dtype))
    mask = insert(mask, prompt.valid[run])
    types = None if types is None else insert(types, types.new_zeros(rows, size))
    columns = torch.arange(length + size, device=words.device)
    text_at = columns[(columns < before) | (columns >= before + size)]
    return words, mask, types, text_at
