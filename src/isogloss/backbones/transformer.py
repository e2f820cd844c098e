"""A transformers model as a backbone: hidden states of the real tokens, with room for a prompt."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from isogloss.backbones.attention import Kept, attention_modules, lay
from isogloss.backbones.backbone import Backbone, Identity, Pooling
from isogloss.backbones.dropout import set_dropout
from isogloss.backbones.families.family import Family
from isogloss.backbones.lm_head import LMHead
from isogloss.backbones.packing import Packing
from isogloss.backbones.prefix import LayerPrefix, pick
from isogloss.backbones.prompts import AttentionPrefix, InputPrompt, Prompt


class Transformer:
    """An encoder or a decoder. See `Backbone` for the contract.

    Args:
        model: a model of the family, prepared by it.
        family: what it is.
        tokenizer: its fast tokenizer.
        identity: which weights these are.
        pooling: how this model was trained to stand for a sentence.
        dtype: what its layers compute in, by `compute_in`.
        lm_head: its head over the vocabulary, where it was asked for.
        checkpointing: whether layers compute again in the backward pass what they would have kept in memory.
    """

    def __init__(
        self,
        model: nn.Module,
        family: Family,
        tokenizer: Any,
        identity: Identity,
        *,
        pooling: Pooling,
        dtype: torch.dtype,
        lm_head: LMHead | None = None,
        checkpointing: bool = False,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.checkpointing = checkpointing
        if checkpointing:
            set_dropout(model, 0.0)
            # Layer by layer: transformers' own switch makes the embeddings require gradients, wanted or not.
            for layer in _layers_of(model):
                switched: Any = layer
                switched.gradient_checkpointing = True
                switched._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)  # noqa: SLF001
                layer.training = True  # without which transformers keeps everything; its parts stay as they are
        self.family = family
        self.causal = family.causal
        self.dtype = dtype
        self.tokenizer = tokenizer
        self.identity = identity
        self.pooling: Pooling = pooling
        self.lm_head = lm_head
        self.seen: Tensor | None = None
        self.shape = family.shape(model.config)
        one = torch.ones(1, 1, dtype=torch.long, device=self.device)
        self.attention = attention_modules(lambda: family.forward(self.model, self.embed(one), one - 1, None))

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.model.parameters()).device

    @property
    def word_embedding(self) -> nn.Module:
        """Words to vectors (*any) -> (*any H); its `weight` is the table of all words (V, H)."""
        words: nn.Module = self.model.get_input_embeddings()  # type: ignore[operator]
        return words

    def weights(self) -> dict[str, nn.Parameter]:
        """Every weight by its name in the model; one that is shared, once."""
        return dict(self.model.named_parameters())

    def embed(self, tokens: Tensor) -> Tensor:
        """What the first layer is given for tokens (*any) of a text, without positions: (*any H)."""
        vectors: Tensor = self.word_embedding(tokens)
        return vectors

    def room(self, prompt_positions: int) -> int:
        """How many tokens fit beside a prompt that takes so many positions."""
        return self.shape.positions - prompt_positions

    def copy(self, seen: Tensor | None = None) -> Backbone:
        """A backbone with weights of its own, but for the word embedding, which it shares until it is told not to."""
        lay(self.attention, [None] * len(self.attention), None)  # the last batch is none of the copy's business
        words = self.word_embedding.weight
        model = copy.deepcopy(self.model, memo={id(words): words})
        lm_head = None if self.lm_head is None else self.lm_head.of(model)
        copied = Transformer(
            model, self.family, self.tokenizer, self.identity, pooling=self.pooling, dtype=self.dtype,
            lm_head=lm_head, checkpointing=self.checkpointing,
        )  # fmt: skip
        copied.seen = seen
        return copied

    def prepared(self, prompt: Prompt | None) -> Prompt | None:
        """On a decoder, a prompt in front of the text as keys and values, which do not depend on the text."""
        if not (self.causal and isinstance(prompt, InputPrompt) and prompt.place == "before"):
            return prompt
        packing, kept = Packing.of(prompt.valid), Kept()
        lay(self.attention, [None] * len(self.attention), packing, kept)
        positions = torch.arange(prompt.valid.shape[1], device=self.device).expand_as(prompt.valid)
        with _without_checkpoints(self.model):  # in the backward pass the text's rows will lie where these do now
            self.family.forward(self.model, packing.pack(prompt.vectors), packing.pack(positions), None)
        vectors = torch.stack(
            [torch.stack([packing.pad(part.transpose(1, 2)) for part in layer], dim=1) for layer in kept], dim=1
        )
        return AttentionPrefix(vectors, prompt.valid)

    def hidden(
        self,
        tokens: Tensor,
        mask: Tensor,
        *,
        types: Tensor | None = None,
        run: Tensor | None = None,
        prompt: Prompt | None = None,
        front: Tensor | None = None,
        ahead: bool = False,
    ) -> Tensor:
        """Hidden states (B, T, H) of the text's tokens, in the dtype of the layers. See `Backbone.hidden`."""
        states, at_text = self._pass(tokens, mask, types, run, prompt, front)
        return at_text(states.roll(1, dims=1) if ahead else states)

    def trace(
        self,
        tokens: Tensor,
        mask: Tensor,
        *,
        types: Tensor | None = None,
        run: Tensor | None = None,
        prompt: Prompt | None = None,
        front: Tensor | None = None,
    ) -> Tensor:
        """Hidden states (L + 1, B, T, H) of the text's tokens at every layer. See `Backbone.trace`."""
        kept: list[Tensor] = []
        layers = _layers_of(self.model)
        hooks = [layers[0].register_forward_pre_hook(lambda _, given: kept.append(given[0]))]
        hooks += [
            layer.register_forward_hook(
                lambda _module, _given, made: kept.append(made[0] if isinstance(made, tuple) else made)
            )
            for layer in layers[:-1]
        ]
        try:
            states, at_text = self._pass(tokens, mask, types, run, prompt, front)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack([at_text(layer.to(states.dtype)) for layer in [*kept, states]])

    def _pass(
        self,
        tokens: Tensor,
        mask: Tensor,
        types: Tensor | None,
        run: Tensor | None,
        prompt: Prompt | None,
        front: Tensor | None,
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """The packed states of the last layer, and how such states become those of the text's tokens (B, T, H)."""
        prompt = self.prepared(prompt)
        order = None
        if bool((mask[:, 1:] & ~mask[:, :-1]).any()):  # padding in front or between: bring the real tokens together
            order = mask.long().argsort(dim=1, descending=True, stable=True)
            tokens, mask = tokens.gather(1, order), mask.gather(1, order)
            types = None if types is None else types.gather(1, order)
        run = torch.zeros(len(tokens), dtype=torch.long, device=tokens.device) if run is None else run
        prefix = prompt if isinstance(prompt, AttentionPrefix) else None
        embedded, text_at = self.embed(tokens), None
        if isinstance(prompt, InputPrompt):
            front = _front(prompt, mask) if front is None or prompt.place != "template" else front
            embedded, mask, types, text_at = _join(prompt, run, front, embedded, mask, types)
        # Counting real positions, not columns, keeps the gaps of ragged prompts and padding out of the positions.
        positions = (mask.cumsum(dim=1) - 1).clamp_(min=0)
        if prefix is not None and prefix.shift:
            positions = positions + prefix.valid.sum(dim=1)[run][:, None]
        packing = Packing.of(mask)
        lay(self.attention, _layers(prefix, run, len(self.attention)), packing)
        states = self.family.forward(
            self.model, packing.pack(embedded), packing.pack(positions), None if types is None else packing.pack(types)
        )

        def at_text(packed: Tensor) -> Tensor:
            hidden = packing.pad(packed)
            if text_at is not None:
                hidden = hidden.gather(1, text_at[..., None].expand(-1, -1, hidden.shape[-1]))
            if order is not None:
                hidden = torch.zeros_like(hidden).scatter(1, order[..., None].expand_as(hidden), hidden)
            return hidden

        return states, at_text


def compute_in(model: nn.Module, family: Family, dtype: torch.dtype) -> None:
    """Let a model's layers compute in `dtype`; the embeddings stay as they are, being only looked up and summed."""
    inside = family.inside(model)
    for module in inside:
        module.to(dtype)
    layers = next(module for module in inside[0].modules() if isinstance(module, nn.ModuleList))
    layers[0].register_forward_pre_hook(lambda _, inputs: (inputs[0].to(dtype), *inputs[1:]))


def _layers_of(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


@contextmanager
def _without_checkpoints(model: nn.Module) -> Iterator[None]:
    layers = [layer for layer in _layers_of(model) if layer.gradient_checkpointing]
    for layer in layers:
        layer.gradient_checkpointing = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for layer in layers:
            layer.gradient_checkpointing = True  # type: ignore[assignment]


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
            shift=prefix.shift,
        )
        for layer in range(layers)
    ]


def _front(prompt: InputPrompt, mask: Tensor) -> Tensor:
    """How many of each row's tokens stand in front of the prompt (B)."""
    counts = mask.sum(dim=1)
    return {"before": counts * 0, "after-first": counts * 0 + 1, "after": counts}[prompt.place]


def _join(
    prompt: InputPrompt, run: Tensor, front: Tensor, embedded: Tensor, mask: Tensor, types: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Put each row's prompt among its embeddings, behind so many tokens.

    Returns:
        What `hidden` needs of the longer rows; the last value (B, T) says in which columns the text now stands.
    """
    rows, length = mask.shape
    size = prompt.vectors.shape[1]
    columns = torch.arange(length + size, device=mask.device)
    behind = columns - front[:, None]  # of the joined rows: negative in front of the prompt, from `size` on after it
    source = torch.where(behind < 0, columns, torch.where(behind < size, length + behind, columns - size))

    def joined(text: Tensor, new: Tensor) -> Tensor:
        both = torch.cat([text, new], dim=1)
        at = source + torch.arange(rows, device=mask.device)[:, None] * both.shape[1]
        return both.flatten(0, 1).index_select(0, at.flatten()).view(rows, -1, *both.shape[2:])

    text = torch.arange(length, device=mask.device)
    return (
        joined(embedded, pick(prompt.vectors, run, embedded.dtype)),
        joined(mask, prompt.valid[run]),
        None if types is None else joined(types, types.new_zeros(rows, size)),
        text + size * (text >= front[:, None]),
    )
