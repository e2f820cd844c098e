"""Which device computes, what of it there is, and in what numbers it multiplies fastest."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from isogloss.errors import IsoglossError

SETS = ("plain", "avx2", "avx512", "avx512-bf16", "amx")  # of instructions of an x86 processor, each with those before
# Sets in which matrix products are faster in bf16 than in float32, and whose: None for every vendor's. With AMX 709
# against 168 GFLOP/s on two cores. AMD's Zen 4 and 5 do twice as many products of bf16 at a time; Intel's have the same
# instructions, and without AMX (Cooper Lake; or newer, where a hypervisor hides AMX) 160 against 300.
FASTER_IN_BF16 = {("amx", None), ("avx512-bf16", "AuthenticAMD")}
# What torch (`ATEN_CPU_CAPABILITY`) and oneDNN (`ONEDNN_MAX_CPU_ISA`) are told to use at most.
ATEN_LIMITS = {"DEFAULT": "plain", "NO AVX": "plain", "AVX2": "avx2"}
ONEDNN_LIMITS = {
    "SSE41": "plain", "AVX": "plain", "AVX2": "avx2", "AVX2_VNNI": "avx2", "AVX2_VNNI_2": "avx2",
    "AVX512_CORE": "avx512", "AVX512_CORE_VNNI": "avx512", "AVX512_CORE_BF16": "avx512-bf16",
    "AVX512_CORE_FP16": "avx512-bf16", "AVX10_1_512": "avx512-bf16", "AVX10_2_512": "avx512-bf16",
}  # fmt: skip


def device_of(name: str) -> torch.device:
    """The device of that name, `auto` being a GPU where there is one.

    Raises:
        IsoglossError: this machine has none such.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, is_there in there.items() if is_there))
    kind, _, number = name.partition(":")
    if not there.get(kind):
        raise IsoglossError(f"device: {name} is not on this machine, or this torch has not been built for it; set auto")
    if number and int(number) >= (count := torch.cuda.device_count()):
        known = ", ".join(f"cuda:{index}" for index in range(count))
        raise IsoglossError(f"device: {name} is not on this machine, which has {known}; set one of these, or auto")
    return torch.device(name)


def native_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the hardware multiplies faster in it; elsewhere, as where it is emulated, float32."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        instructions = capability(device)
        native = not FASTER_IN_BF16.isdisjoint({(instructions, None), (instructions, _vendor())})
    else:
        native = False
    return torch.bfloat16 if native else torch.float32


def capability(device: torch.device) -> str:
    """The instructions that a device computes with: `amx`, `avx512-bf16`, `avx2`, `neon`, `cuda-9.0`, `mps`.

    Of a processor, those that torch and oneDNN may use: `ATEN_CPU_CAPABILITY` and `ONEDNN_MAX_CPU_ISA` forbid higher
    ones. Variables that name none are taken as these two take them: as not set.
    """
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"cuda-{major}.{minor}"
    if device.type != "cpu":
        return device.type
    used = torch.backends.cpu.get_cpu_capability()
    if platform.machine().lower() in {"arm64", "aarch64"}:
        return "neon" if used == "DEFAULT" else used.lower()
    onednn = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")).upper()
    return min(
        _highest(), ATEN_LIMITS.get(used, SETS[-1]), ONEDNN_LIMITS.get(onednn, SETS[-1]), key=SETS.index
    )  # fmt: skip


def _highest() -> str:
    """The highest set that the processor has. torch's public name of it stops at AVX-512."""
    has = {
        "amx": torch.cpu._is_amx_tile_supported,  # noqa: SLF001
        "avx512-bf16": torch.cpu._is_avx512_bf16_supported,  # noqa: SLF001
        "avx512": torch.cpu._is_avx512_supported,  # noqa: SLF001
        "avx2": torch.cpu._is_avx2_supported,  # noqa: SLF001
    }
    return next((name for name, is_there in has.items() if is_there()), "plain")


def _vendor() -> str:
    """Who made the processor, as it says itself; empty where that is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("vendor_id")), "")
