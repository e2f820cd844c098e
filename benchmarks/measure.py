"""What is measured: seconds, the rate of matrix products, and what real tokens need of it.

Nothing here needs isogloss, so that environments of other libraries can use it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from benchmarks.shapes import Shape, attention_width, matrices
from benchmarks.texts import Texts


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """How long a piece of work takes, to its end on the device."""
    synchronise(device)
    began = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - began


def matmul_rate(dtype: torch.dtype, device: torch.device, *, quick: bool = False) -> float:
    """FLOP/s of matrix products, the best of several sizes.

    Args:
        dtype: of both factors.
        device: that multiplies.
        quick: whether one small product will do.
    """
    sizes = [(4096, 4096, 4096), (8192, 8192, 8192)] if device.type == "cuda" else [
        (1536, 384, 1536), (1536, 1536, 384), (1024, 1024, 4096), (2048, 2048, 2048)
    ]  # fmt: skip
    repeats = 10 if device.type == "cuda" else 2
    rates = []
    for rows, inner, columns in [(256, 256, 256)] if quick else sizes:
        left, right = (torch.randn(size, dtype=dtype, device=device) for size in ((rows, inner), (inner, columns)))

        def work(left: torch.Tensor = left, right: torch.Tensor = right) -> None:
            for _ in range(repeats):
                left @ right

        work()
        taken = median(seconds(work, device) for _ in range(3))
        rates.append(repeats * 2.0 * rows * inner * columns / taken)
    return max(rates)


def flops(shape: Shape, method: str, texts: Texts, *, prompt: int, training: bool) -> float:
    """What a text's real tokens need on average; padding is not counted.

    Each weight is used once forward and, in training, once for the gradient of what goes in; once more where it
    learns itself. In attention both factors have a gradient. A prompt among the inputs is computed as any token is, but
    in front of a decoder's text, where it has to be computed once for all.

    Args:
        shape: of the model.
        method: what learns.
        texts: what is read.
        prompt: positions of the prompt.
        training: whether the backward pass is counted.
    """
    front = prompt if "prompt" in method else 0
    computed = front if method == "soft-prompt" and (training or not shape.causal) else 0
    own = texts.lengths + computed
    keys = front - computed + (own + 1) / 2 if shape.causal else texts.lengths + front
    layers, width = attention_width(shape)
    linear, attention = 2.0 * matrices(shape) * own, 4.0 * layers * width * own * keys
    passes = (3 if method == "fine-tuning" else 2) if training else 1
    return float((linear * passes + attention * (3 if training else 1)).mean())
