"""A transformers model as a backbone: hidden states of the real tokens, with room for a prompt."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from isogloss.backbones.attention import Kept, LayerBatch, attention_calls, lay
from isogloss.backbones.backbone import Backbone, Identity, Pooling
from isogloss.backbones.compiled_layers import CompiledLayers
from isogloss.backbones.dropout import attention_dropout, drops, set_dropout
from isogloss.backbones.families.family import Family
from isogloss.backbones.join import joined
from isogloss.backbones.kernels import WIDEST, variable_length, windows
from isogloss.backbones.layout import Packing, Rows
from isogloss.backbones.lm_head import LMHead
from isogloss.backbones.packing import pack
from isogloss.backbones.padded import PaddedBatch
from isogloss.backbones.prompts import AttentionPrefix, InputPrompt, Prompt, PromptForm
from isogloss.backbones.tap import ReachedError, Tap

STEPS = {torch.bfloat16: 32}  # a softmax on a CPU is several times slower where keys are no multiple of it


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
        compiled: whether layers are compiled, where they learn.
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
        compiled: bool = False,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.checkpointing = checkpointing
        if checkpointing:
            set_dropout(model, 0.0)
            # Layer by layer: transformers' own switch makes the embeddings require gradients, wanted or not.
            for layer in _layers_of(model):
                switched: Any = layer
                switched.gradient_checkpointing = True
                switched._gradient_checkpointing_func = partial(_checkpointed, layer)  # noqa: SLF001
                layer.training = True  # without which transformers keeps everything; its parts stay as they are
        self.family = family
        self.causal = family.causal
        self.dtype = dtype
        self.tokenizer = tokenizer
        self.identity = identity
        self.pooling: Pooling = pooling
        self.lm_head = lm_head
        self.seen: Tensor | None = None
        self.origin: Backbone | None = None
        self.shape = family.shape(model.config)
        one = torch.ones(1, 1, dtype=torch.long, device=self.device)
        self.attention_calls = attention_calls(lambda: family.forward(self.model, self.embed(one), one - 1, None))
        self.attention = [call.module for call in self.attention_calls]
        self.kernels: set[str] = set()  # of attention, that have run
        self.compiled = compiled
        if compiled:
            CompiledLayers(_layers_of(model))
        self._taps: dict[int, Tap] = {}
        self._preparations: dict[tuple[tuple[int, ...], bool], tuple[Packing, Tensor, Tensor]] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As it comes in another process, or as a copy: what is compiled is so anew."""
        self.__dict__.update(state)
        if self.compiled:
            CompiledLayers(_layers_of(self.model))

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
        lay(self.attention, None)  # the last batch is none of the copy's business
        words = self.word_embedding.weight
        model = copy.deepcopy(self.model, memo={id(words): words})
        lm_head = None if self.lm_head is None else self.lm_head.of(model)
        copied = Transformer(
            model, self.family, self.tokenizer, self.identity, pooling=self.pooling, dtype=self.dtype,
            lm_head=lm_head, checkpointing=self.checkpointing, compiled=self.compiled,
        )  # fmt: skip
        copied.seen, copied.origin = seen, self.origin or self
        return copied

    def packing(self, rows: Rows, prompt: PromptForm | None, *, rounded: int = 1) -> Packing:
        """How rows lie, on the host. See `Backbone.packing`."""
        call = self.attention_calls[0]
        return pack(
            rows, self._prepared_form(prompt), heads=call.heads, key_heads=call.key_heads,
            end_to_end=self.end_to_end(prompt), rounded=rounded, step=STEPS.get(self.dtype, 8),
        )  # fmt: skip

    def _prepared_form(self, prompt: PromptForm | None) -> PromptForm | None:
        if self.causal and prompt is not None and prompt.kind == "input" and prompt.place == "before":
            return PromptForm("prefix", prompt.lengths)
        return prompt

    def end_to_end(self, prompt: PromptForm | None) -> bool:
        """Whether attention takes rows of variable length here: nothing may be asked that such a kernel has not."""
        prompt = self._prepared_form(prompt)
        if self.device.type != "cuda" or self.dtype not in {torch.bfloat16, torch.float16} or variable_length() is None:
            return False
        prefix_everywhere = prompt is not None and prompt.kind == "prefix" and not prompt.shift
        for call in self.attention_calls:
            if call.biased or call.width > WIDEST or call.width % 8 or attention_dropout(call.module):
                return False
            if call.window is not None and (prefix_everywhere or not windows()):
                return False
        return True

    def prepared(self, prompt: Prompt | None) -> Prompt | None:
        """On a decoder, a prompt in front of the text as keys and values, which do not depend on the text."""
        if not (self.causal and isinstance(prompt, InputPrompt) and prompt.place == "before"):
            return prompt
        packing, real, padded = self._preparation(prompt.lengths)
        kept = Kept()
        lay(self.attention, [LayerBatch(packing.attention, kept=kept)] * len(self.attention))
        with _without_checkpoints(self.model):  # in the backward pass the text's rows will lie where these do now
            vectors = prompt.vectors.flatten(0, 1).index_select(0, real)
            self.family.forward(self.model, vectors[None], packing.positions[None], None)
        shape = prompt.vectors.shape[:2]
        layers = [
            torch.stack([part.index_select(0, padded).view(*shape, *part.shape[1:]) for part in layer], dim=1)
            for layer in kept
        ]
        return AttentionPrefix(torch.stack(layers, dim=1), prompt.lengths)

    def _preparation(self, lengths: tuple[int, ...]) -> tuple[Packing, Tensor, Tensor]:
        """How prompts of these lengths lie as rows of their own, which vectors those are, and back; made once."""
        key = lengths, self.end_to_end(None)
        if key not in self._preparations:
            rows, number = np.asarray(lengths), np.arange(max(lengths))
            real = np.flatnonzero((number < rows[:, None]).ravel())
            filled = (np.cumsum(rows) - rows)[:, None] + np.minimum(number, rows[:, None] - 1)  # nothing reads the rest
            real_index, padded = (torch.from_numpy(part).to(self.device) for part in (real, filled.ravel()))
            packing = self.packing(Rows(rows, np.arange(len(rows))), None).to(self.device)
            self._preparations[key] = packing, real_index, padded
        return self._preparations[key]

    def hidden(
        self, tokens: Tensor, mask: Tensor, *, types: Tensor | None = None, run: Tensor | None = None,
        prompt: Prompt | None = None, front: Tensor | None = None, ahead: bool = False,
    ) -> Tensor:  # fmt: skip
        """Hidden states (B, T, H) of padded rows. See `Backbone.hidden`."""
        batch = PaddedBatch.of(self, tokens, mask, types=types, run=run, prompt=prompt, front=front)
        return batch.padded(self.states(batch.tokens, batch.packing, types=batch.types, prompt=prompt), ahead=ahead)

    def trace(
        self, tokens: Tensor, mask: Tensor, *, types: Tensor | None = None, run: Tensor | None = None,
        prompt: Prompt | None = None, front: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Hidden states (L + 1, B, T, H) of padded rows at every layer. See `Backbone.trace`."""
        batch = PaddedBatch.of(self, tokens, mask, types=types, run=run, prompt=prompt, front=front)
        depths = self.depths(batch.tokens, batch.packing, types=batch.types, prompt=prompt)
        return torch.stack([batch.padded(states) for states in depths])

    def states(
        self, tokens: Tensor, packing: Packing, *, types: Tensor | None = None, prompt: Prompt | None = None
    ) -> Tensor:
        """Hidden states of the last layer, prompts' included, end to end. See `Backbone.states`."""
        prompt = self.prepared(prompt)
        embedded = self.embed(tokens)
        if isinstance(prompt, InputPrompt):
            assert packing.join is not None
            embedded = joined(prompt.vectors.flatten(0, 1), embedded, packing.join)
            if types is not None:
                types = joined(types.new_zeros(prompt.vectors.shape[:2]).flatten(), types, packing.join)
        prefix = prompt if isinstance(prompt, AttentionPrefix) else None
        layers = _layer_batches(packing, prefix, len(self.attention))
        lay(self.attention, layers)
        states = self.family.forward(
            self.model, embedded[None], packing.positions[None], None if types is None else types[None]
        )[0]
        self.kernels.add(layers[0].memo["kernel"])
        return states

    @contextmanager
    def tapped(self, layers: int) -> Iterator[Tap]:
        """The states behind so many layers, of a pass that is made meanwhile. See `Backbone.tapped`."""
        if (tap := self._taps.get(layers)) is None:
            tap = self._taps[layers] = Tap()
            hook: Any = torch.compiler.disable(tap) if self.compiled else tap  # type: ignore[no-untyped-call]
            _layers_of(self.model)[layers - 1].register_forward_hook(hook)
        tap.open = True
        try:
            yield tap
        finally:
            tap.open = tap.last = False

    @torch.no_grad()
    def states_behind(self, layers: int, tokens: Tensor, packing: Packing, *, types: Tensor | None = None) -> Tensor:
        """The states behind so many layers, and nothing computed after them. See `Backbone.states_behind`."""
        with self.tapped(layers) as tap, suppress(ReachedError):
            tap.last = True
            self.states(tokens, packing, types=types)
        return tap.states()

    def depths(
        self, tokens: Tensor, packing: Packing, *, types: Tensor | None = None, prompt: Prompt | None = None
    ) -> list[Tensor]:
        """What `states` gives at every depth. See `Backbone.depths`."""
        prompt = self.prepared(prompt)  # before anything is kept: its own pass is none of those
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
            states = self.states(tokens, packing, types=types, prompt=prompt)
        finally:
            for hook in hooks:
                hook.remove()
        return [*(layer[0].to(states.dtype) for layer in kept), states]


def compute_in(model: nn.Module, family: Family, dtype: torch.dtype) -> None:
    """Let a model's layers compute in `dtype`; the embeddings stay as they are, being only looked up and summed."""
    inside = family.inside(model)
    for module in inside:
        module.to(dtype)
    layers = next(module for module in inside[0].modules() if isinstance(module, nn.ModuleList))
    layers[0].register_forward_pre_hook(lambda _, inputs: (inputs[0].to(dtype), *inputs[1:]))


def _checkpointed(layer: nn.Module, *arguments: Any) -> Any:
    """A layer that computes again in the backward pass. Where it draws nothing, no generator is asked for its state.

    While a CUDA graph is captured, none may be.
    """
    return checkpoint(*arguments, use_reentrant=False, preserve_rng_state=drops(layer))


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


def _layer_batches(packing: Packing, prefix: AttentionPrefix | None, layers: int) -> list[LayerBatch]:
    memo: dict[Any, Any] = {}  # of this pass alone: in a captured graph it is made anew each time
    if prefix is None:
        return [LayerBatch(packing.attention, memo=memo)] * layers
    # Unbound, not indexed: the gradient of an index fills a tensor of all layers with zeros, each time.
    laid = prefix.vectors.permute(1, 2, 0, 3, 4, 5).flatten(2, 3).unbind(dim=0)  # L' x (2, K P, heads, D)
    below = [LayerBatch(packing.bare, memo=memo)] * prefix.first_layer if packing.bare is not None else []
    return [*below, *(LayerBatch(packing.attention, own, prefix.shift, memo) for own in laid)]
