"""Milliseconds of each attention kernel on this machine: what `choose` in `backbones/kernels.py` rests on.

    python benchmarks/attention.py

Every kernel computes the same attention over a padded batch of the embedded encoder's shape (12 heads of width 32, a
prompt of 16 positions in front of the text), forward alone as in evaluation and forward with backward as in training.
The kernels take turns, and the median of the rounds is shown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from isogloss.backbones.kernels import KERNELS, Kernel, choose
from isogloss.backbones.loading import native_dtype

HEADS, WIDTH, PROMPT = 12, 32, 16
SHAPES = ((64, 12), (32, 36), (32, 112), (8, 256), (8, 496), (4, 1008), (2, 2032))  # rows and tokens of the text


def milliseconds(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - began) * 1e3


def work(
    kernel: Kernel, rows: int, tokens: int, dtype: torch.dtype, device: torch.device
) -> list[Callable[[], object]]:
    """Evaluation and training of one attention layer."""
    parts = [
        torch.randn(rows, HEADS, length, WIDTH, dtype=dtype, device=device, requires_grad=True)
        for length in (tokens, PROMPT + tokens, PROMPT + tokens)
    ]
    bias = torch.zeros(rows, 1, 1, PROMPT + tokens, dtype=dtype, device=device)
    bias[::2, ..., -tokens // 4 :] = torch.finfo(dtype).min  # every second row is a quarter shorter
    gradient = torch.randn(rows, HEADS, tokens, WIDTH, dtype=dtype, device=device)

    def attended() -> Tensor:
        return kernel(*parts, bias, WIDTH**-0.5, 0.0)

    def evaluate() -> None:
        with torch.no_grad():
            attended()

    return [evaluate, lambda: torch.autograd.grad(attended(), parts, gradient)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = native_dtype(device)
    table = Table("rows", "tokens", *(f"{what}, {name}" for what in ("forward", "and backward") for name in KERNELS))
    table.add_column("chosen: forward, and backward")
    for rows, tokens in SHAPES:
        works = {
            (what, name): one
            for name, kernel in KERNELS.items()
            for what, one in enumerate(work(kernel, rows, tokens, dtype, device))
        }
        times: dict[tuple[int, str], list[float]] = {key: [] for key in works}
        for _ in range(given.rounds + 1):  # the first warms up
            for key, one in works.items():
                times[key].append(milliseconds(one, device))
        shown = [f"{median(times[what, name][1:]):.2f}" for what in (0, 1) for name in KERNELS]
        chosen = [choose(device=device.type, keys=PROMPT + tokens, learning=learning) for learning in (False, True)]
        table.add_row(str(rows), str(tokens), *shown, ", ".join(chosen))
    console = Console(width=120, highlight=False)
    console.print(f"{device}, {torch.get_num_threads()} threads, {dtype}; milliseconds of one layer", table)


if __name__ == "__main__":
    main()
