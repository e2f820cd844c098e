"""Prompts: what a method may put into a backbone.

Vectors between the text's embeddings, or keys and values in its attention. Every tensor carries a leading run axis K,
and each row of a batch knows its run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

PromptPlace = Literal["before", "after", "after-first", "template"]


@dataclass(frozen=True)
class InputPrompt:
    """Vectors put among the input embeddings (Lester et al. 2021, section 2; Philippy et al. 2024)."""

    vectors: Float[Tensor, "K P H"]
    valid: Bool[Tensor, "K P"]  # False where a run's prompt is shorter than the longest of the stack
    place: PromptPlace = "before"


@dataclass(frozen=True)
class AttentionPrefix:
    """Keys and values put before the text's own in the attention of every layer from `first_layer` up.

    Prefix tuning (Li and Liang 2021, section 4); P-tuning v2 (Liu et al. 2022); Tu et al. 2022, section 2.
    """

    vectors: Float[Tensor, "K L 2 P heads D"]
    valid: Bool[Tensor, "K P"]
    first_layer: int = 0
    shift: bool = True  # whether the text's positions begin after the prefix, as by way of the KV cache


Prompt = InputPrompt | AttentionPrefix


def stack_padded(vectors: list[Tensor], *, axis: int) -> tuple[Tensor, Tensor]:
    """Stack prompts of different lengths along a new leading run axis, zero-padded at the end of `axis`.

    Args:
        vectors: one tensor a run, alike but for the length of `axis`.
        axis: the axis of positions in one run's tensor, counted from the front.

    Returns:
        The stack (K, …, P, …) and its mask of real positions (K, P), P the greatest length.
    """
    lengths = [tensor.shape[axis] for tensor in vectors]
    longest = max(lengths)
    padded = []
    for tensor, length in zip(vectors, lengths, strict=True):
        shape = list(tensor.shape)
        shape[axis] = longest - length
        padded.append(torch.cat([tensor, tensor.new_zeros(shape)], dim=axis) if length < longest else tensor)
    device = vectors[0].device
    valid = torch.arange(longest, device=device) < torch.tensor(lengths, device=device)[:, None]
    return torch.stack(padded), valid
