"""Prompts: what a method may put into a backbone.

Vectors between the text's embeddings, or keys and values in its attention. Every tensor carries a leading run axis K,
and each row of a batch knows its run. Where runs of a stack have prompts of different lengths, the shorter ones are
filled up to P, and nothing reads what fills them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

PromptPlace = Literal["before", "after", "after-first", "template"]


@dataclass(frozen=True)
class PromptForm:
    """What of a prompt decides where everything stands: all of it known without its vectors.

    Args:
        kind: vectors among the embeddings, or keys and values in front of the text's.
        lengths: positions of each run's prompt.
        place: where vectors stand.
        first_layer: the lowest with keys and values.
        shift: whether the text's positions begin after keys and values.
    """

    kind: Literal["input", "prefix"]
    lengths: tuple[int, ...]
    place: PromptPlace = "before"
    first_layer: int = 0
    shift: bool = True

    @property
    def axis(self) -> int:
        """That of the positions, in one run's vectors."""
        return 0 if self.kind == "input" else 2

    def of(self, vectors: Tensor) -> Prompt:
        """The prompt of this form with these vectors (K, …), filled up to the longest."""
        if self.kind == "input":
            return InputPrompt(vectors, self.lengths, self.place)
        return AttentionPrefix(vectors, self.lengths, self.first_layer, self.shift)


@dataclass(frozen=True)
class InputPrompt:
    """Vectors put among the input embeddings (Lester et al. 2021, section 2; Philippy et al. 2024)."""

    vectors: Float[Tensor, "K P H"]
    lengths: tuple[int, ...]  # of each run's prompt
    place: PromptPlace = "before"

    @property
    def form(self) -> PromptForm:
        """Where everything stands."""
        return PromptForm("input", self.lengths, place=self.place)


@dataclass(frozen=True)
class AttentionPrefix:
    """Keys and values put before the text's own in the attention of every layer from `first_layer` up.

    Prefix tuning (Li and Liang 2021, section 4); P-tuning v2 (Liu et al. 2022); Tu et al. 2022, section 2.
    """

    vectors: Float[Tensor, "K L 2 P heads D"]
    lengths: tuple[int, ...]  # of each run's prompt
    first_layer: int = 0
    shift: bool = True  # whether the text's positions begin after the prefix, as by way of the KV cache

    @property
    def form(self) -> PromptForm:
        """Where everything stands."""
        return PromptForm("prefix", self.lengths, first_layer=self.first_layer, shift=self.shift)


Prompt = InputPrompt | AttentionPrefix


def stack_padded(vectors: list[Tensor], *, axis: int) -> tuple[Tensor, tuple[int, ...]]:
    """Stack prompts of different lengths along a new leading run axis, zero-padded at the end of `axis`.

    Args:
        vectors: one tensor a run, alike but for the length of `axis`.
        axis: the axis of positions in one run's tensor, counted from the front.

    Returns:
        The stack (K, …, P, …), P the greatest length, and the length of each.
    """
    lengths = tuple(tensor.shape[axis] for tensor in vectors)
    longest = max(lengths)
    padded = []
    for tensor, length in zip(vectors, lengths, strict=True):
        shape = list(tensor.shape)
        shape[axis] = longest - length
        padded.append(torch.cat([tensor, tensor.new_zeros(shape)], dim=axis) if length < longest else tensor)
    return torch.stack(padded), lengths
