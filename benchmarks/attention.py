"""Milliseconds of each attention kernel on this machine: what `choose` in `backbones/kernels.py` rests on.

    python -m benchmarks.attention [--dtype float32] [--rounds 15]

Every kernel computes the same attention over packed rows of the embedded encoder's shape (12 heads of width 32, a
prompt of 16 positions in front of the text, every second row a quarter shorter), forward alone as in evaluation and
forward with backward as in training, gathering and all. The kernels take turns, and the median of the rounds is shown.
`ATEN_CPU_CAPABILITY=avx2` and `ONEDNN_MAX_CPU_ISA=AVX2` in front of the command show a processor without newer
instructions.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import isogloss  # noqa: F401 - before torch, so that threads wait as in a run

import torch  # isort: skip
import numpy as np  # isort: skip
from rich.console import Console
from rich.table import Table
from torch import Tensor

from isogloss.backbones.attention_bias import AttentionBias
from isogloss.backbones.device import capability, native_dtype
from isogloss.backbones.kernels import KERNELS, Kernel, choose
from isogloss.backbones.layout import PaddedRows, Rows
from isogloss.backbones.packing import pack
from isogloss.backbones.prompts import PromptForm

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
    lengths = np.where(np.arange(rows) % 2, tokens, tokens - tokens // 4)
    step = 32 if dtype == torch.bfloat16 else 8
    form = PromptForm("prefix", (PROMPT,))
    packing = pack(
        Rows(lengths, np.zeros(rows, dtype=np.int64)), form, heads=HEADS, key_heads=HEADS, end_to_end=False, step=step
    ).to(device)
    how = packing.attention
    assert isinstance(how, PaddedRows)
    count = int(lengths.sum())
    parts = [torch.randn(count, HEADS, WIDTH, dtype=dtype, device=device, requires_grad=True) for _ in range(3)]
    prefix = torch.randn(2, PROMPT, HEADS, WIDTH, device=device, requires_grad=True)
    biases = [AttentionBias().of(group, parts[0]) for group in how.groups]
    gradient = torch.randn(count, HEADS, WIDTH, dtype=dtype, device=device)

    def attended() -> Tensor:
        return kernel(*parts, prefix, how, biases, WIDTH**-0.5, 0.0)

    def evaluate() -> None:
        with torch.no_grad():
            attended()

    return [evaluate, lambda: torch.autograd.grad(attended(), [*parts, prefix], gradient)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"])
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = getattr(torch, given.dtype) if given.dtype else native_dtype(device)
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
        keys = PROMPT + tokens
        chosen = [choose(device=device.type, dtype=dtype, keys=keys, learning=learning) for learning in (False, True)]
        table.add_row(str(rows), str(tokens), *shown, ", ".join(chosen))
    console = Console(width=120, highlight=False)
    threads = torch.get_num_threads()
    console.print(f"{device} ({capability(device)}), {threads} threads, {dtype}; milliseconds of one layer", table)


if __name__ == "__main__":
    main()
