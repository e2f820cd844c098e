"""Which device computes, and in what."""

from __future__ import annotations

import torch

from isogloss.errors import IsoglossError


def device_of(name: str) -> torch.device:
    """The device of that name, `auto` being a GPU where there is one.

    Raises:
        IsoglossError: this machine has none such.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, is_there in there.items() if is_there))
    if not there.get(name.partition(":")[0]):
        raise IsoglossError(f"device: {name} is not on this machine, or this torch has not been built for it; set auto")
    return torch.device(name)


def native_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the hardware multiplies in it; emulated bf16 is slower than float32."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        # The public capability string stops at AVX-512, which multiplies no bf16 yet.
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001
    else:
        native = False
    return torch.bfloat16 if native else torch.float32
