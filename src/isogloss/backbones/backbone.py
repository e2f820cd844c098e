"""What the rest of the house knows of a backbone: hidden states of the real tokens, and nothing of the inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from isogloss.backbones.lm_head import LMHead
from isogloss.backbones.prompts import Prompt

Pooling = Literal["first", "mean", "last"]


@dataclass(frozen=True)
class Shape:
    """The sizes a method needs to know to build what it inserts."""

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


@runtime_checkable
class Backbone(Protocol):
    """A pre-trained model that turns tokens into hidden states, with room for an insert."""

    identity: Identity
    shape: Shape
    pooling: Pooling  # how a sentence is pooled where the spec does not say
    model: nn.Module
    tokenizer: Any
    dtype: torch.dtype  # what the layers compute in
    causal: bool  # a token sees only what stands before it
    vocabulary: LMHead | None  # its head over the vocabulary, where it was asked for
    seen: Tensor | None  # ids of the words that training shows, where a copy was made for it

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        ...

    def hidden(
        self,
        tokens: Int[Tensor, "B T"],
        mask: Bool[Tensor, "B T"],
        *,
        types: Int[Tensor, "B T"] | None = None,
        run: Int[Tensor, "B"] | None = None,
        insert: Prompt | None = None,
        front: Int[Tensor, "B"] | None = None,
        ahead: bool = False,
    ) -> Float[Tensor, "B T H"]:
        """Hidden states of the last layer at the text's own positions; the insert's never leave the backbone.

        Args:
            tokens: ids, padded on either side.
            mask: True at real tokens.
            types: segment ids, for backbones that have them.
            run: which run of the insert each row belongs to; all rows are run 0 if left out.
            insert: what a method puts in, stacked over runs.
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
        insert: Prompt | None = None,
        front: Int[Tensor, "B"] | None = None,
    ) -> Float[Tensor, "depths B T H"]:
        """What `hidden` gives at every depth: what enters the first layer, and what each layer makes of it."""
        ...

    def prepared(self, insert: Prompt | None) -> Prompt | None:
        """An insert made ready for many passes: what does not depend on the text is computed once."""
        ...

    def embed(self, tokens: Int[Tensor, "*any"]) -> Float[Tensor, "*any H"]:
        """What the first layer is given for tokens of a text, before positions are added."""
        ...

    def room(self, insert_length: int) -> int:
        """How many tokens of text fit when an insert takes `insert_length` positions."""
        ...

    def copy(self, seen: Int[Tensor, "words"] | None = None) -> Backbone:
        """A backbone with weights of its own, for methods that change them. The word embedding stays shared.

        Args:
            seen: the words that training will show; of a word embedding that learns, no others' rows will.
        """
        ...
