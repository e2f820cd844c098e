"""What the rest of the house knows of a backbone: hidden states of the real tokens, and nothing of how it computes.

Weights are seen by their names (`weights`). Only methods reach for `model`, and change only that of a copy (`copy`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from isogloss.backbones.layout import Packing, Rows
from isogloss.backbones.lm_head import LMHead
from isogloss.backbones.prompts import Prompt, PromptForm
from isogloss.backbones.tap import Tap

Pooling = Literal["first", "mean", "last"]


@dataclass(frozen=True)
class Shape:
    """The sizes a method needs to know to build a prompt."""

    width: int  # H
    layers: int  # L
    key_heads: int
    head_width: int  # D
    positions: int  # tokens the model has positions for, special tokens and prompt included


@dataclass(frozen=True)
class Identity:
    """Which weights these are. Two backbones are the same where all of this is the same."""

    name: str
    weights: str  # sha256 over names, shapes and values
    revision: str | None  # the hub's commit, where the hub gave one
    tokenizer: str = ""  # sha256 over its pieces and what it makes of texts
    config: Mapping[str, Any] = field(default_factory=dict)  # what the checkpoint's configuration says of the model


@runtime_checkable
class Backbone(Protocol):
    """A pre-trained model that turns tokens into hidden states, with room for a prompt."""

    identity: Identity
    shape: Shape
    pooling: Pooling  # how a sentence is pooled where the spec does not say
    model: nn.Module  # what computes; for methods that change it
    attention: list[nn.Module]  # its self-attentions, in the order of the layers
    tokenizer: Any
    dtype: torch.dtype  # what the layers compute in
    compiled: bool  # its layers are compiled where they learn, once for each shape
    causal: bool  # a token sees only what stands before it
    lm_head: LMHead | None  # its head over the vocabulary, where it was asked for
    kernels: set[str]  # of attention, that have run
    seen: Int[Tensor, "words"] | None  # ids of the words that training shows, where a copy was made for it
    origin: Backbone | None  # what it is a copy of, as it was pre-trained; None: it is no copy

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        ...

    @property
    def word_embedding(self) -> nn.Module:
        """Words to vectors (*any) -> (*any H); its `weight` is the table of all words (V, H)."""
        ...

    def weights(self) -> dict[str, nn.Parameter]:
        """Every weight by its name in the model; one that is shared, once."""
        ...

    def packing(self, rows: Rows, prompt: PromptForm | None, *, rounded: int = 1) -> Packing:
        """How rows lie end to end with a prompt of this form, reckoned on the host and still there.

        Args:
            rows: of a batch.
            prompt: the form of what will be put in.
            rounded: the longest row is rounded up to a multiple of it, where shapes are to come again.
        """
        ...

    def end_to_end(self, prompt: PromptForm | None) -> bool:
        """Whether attention takes rows of variable length here, without padding, beside a prompt of this form."""
        ...

    def states(
        self,
        tokens: Int[Tensor, "N"],
        packing: Packing,
        *,
        types: Int[Tensor, "N"] | None = None,
        prompt: Prompt | None = None,
    ) -> Float[Tensor, "joined H"]:
        """Hidden states of the last layer, of all rows end to end.

        Nothing is read back from the device, and for packings of one shape it is the same calls on the same shapes.

        Args:
            tokens: of the texts.
            packing: how they lie, by `packing`; on the device.
            types: segment ids, for backbones that have them.
            prompt: what a method puts in, of the form that the packing is for.

        Returns:
            States of vectors that were put among the text too; `Packing.text` says where the text's own stand.
        """
        ...

    def tapped(self, layers: int) -> AbstractContextManager[Tap]:
        """What takes the states behind so many layers (1 to L) of the pass that is made meanwhile, with their gradient.

        They are those of all rows end to end, as `states` has them of the last layer, before a last norm.
        """
        ...

    def states_behind(
        self, layers: int, tokens: Int[Tensor, "N"], packing: Packing, *, types: Int[Tensor, "N"] | None = None
    ) -> Float[Tensor, "N H"]:
        """The same states of texts without a prompt and without a gradient; no layer behind them is computed."""
        ...

    def depths(
        self,
        tokens: Int[Tensor, "N"],
        packing: Packing,
        *,
        types: Int[Tensor, "N"] | None = None,
        prompt: Prompt | None = None,
    ) -> list[Float[Tensor, "joined H"]]:
        """What `states` gives at every depth: what enters the first layer, and what each layer makes of it."""
        ...

    def hidden(
        self,
        tokens: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B T"],
        *,
        types: Int[Tensor, "B T"] | None = None,
        run: Int[Tensor, "B"] | None = None,
        prompt: Prompt | None = None,
        front: Int[Tensor, "B"] | None = None,
        ahead: bool = False,
    ) -> Float[Tensor, "B T H"]:
        """`states` of padded rows, at the text's own positions, zeros at padding.

        Args:
            tokens: ids, padded on either side.
            mask: True at real tokens.
            types: segment ids, for backbones that have them.
            run: the run of each row, an index into the prompt's K; all rows are of run 0 if left out.
            prompt: what a method puts in, stacked over the K runs.
            front: how many of a row's tokens stand in front of a prompt whose place is `template`.
            ahead: give each token the state in front of it, from which a causal model predicts it, be it the text's
                or the prompt's; a row's first token has none.
        """
        ...

    def trace(
        self,
        tokens: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B T"],
        *,
        types: Int[Tensor, "B T"] | None = None,
        run: Int[Tensor, "B"] | None = None,
        prompt: Prompt | None = None,
        front: Int[Tensor, "B"] | None = None,
    ) -> Float[Tensor, "depths B T H"]:
        """What `hidden` gives at every depth: what enters the first layer, and what each layer makes of it."""
        ...

    def prepared(self, prompt: Prompt | None) -> Prompt | None:
        """A prompt made ready for many passes: what does not depend on the text is computed once."""
        ...

    def embed(self, tokens: Int[Tensor, "*any"]) -> Float[Tensor, "*any H"]:
        """What the first layer is given for tokens of a text, before positions are added."""
        ...

    def room(self, prompt_positions: int) -> int:
        """How many tokens, special ones included, fit beside a prompt that takes so many of the model's positions."""
        ...

    def copy(self, seen: Int[Tensor, "words"] | None = None) -> Backbone:
        """A backbone with weights of its own, for methods that change them. The word embedding stays shared.

        Args:
            seen: the words that training will show; of a word embedding that learns, no others' rows will.
        """
        ...
