"""What a processor has decides what `dtype: auto` computes in; probes are faked, so that every processor is tried."""

import platform

import pytest
import torch

from isogloss.backbones import device
from isogloss.backbones.device import SETS, capability, device_of, native_dtype
from isogloss.errors import IsoglossError

CPU = torch.device("cpu")
INTEL, AMD = "GenuineIntel", "AuthenticAMD"
PROBES = dict(zip(SETS[1:], ("_is_avx2", "_is_avx512", "_is_avx512_bf16", "_is_amx_tile"), strict=True))


@pytest.fixture
def processor(monkeypatch):
    """A machine with a processor of that kind, and torch as it finds itself there."""

    def make(highest, vendor=INTEL, machine="x86_64", aten="AVX512", **variables):
        for name, probe in PROBES.items():
            has = SETS.index(name) <= SETS.index(highest)
            monkeypatch.setattr(torch.cpu, f"{probe}_supported", lambda has=has: has)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: aten)
        monkeypatch.setattr(platform, "machine", lambda: machine)
        monkeypatch.setattr(device, "_vendor", lambda: vendor)
        for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return make


@pytest.mark.parametrize(
    ("highest", "vendor", "dtype"),
    [
        ("amx", INTEL, torch.bfloat16),
        ("amx", "", torch.bfloat16),
        ("avx512-bf16", AMD, torch.bfloat16),
        ("avx512-bf16", INTEL, torch.float32),
        ("avx512-bf16", "", torch.float32),
        ("avx512", AMD, torch.float32),
        ("avx512", INTEL, torch.float32),
        ("avx2", AMD, torch.float32),
        ("plain", INTEL, torch.float32),
    ],
)
def test_bf16_where_it_is_faster(highest, vendor, dtype, processor):
    processor(highest, vendor)
    assert capability(CPU) == highest
    assert native_dtype(CPU) == dtype


@pytest.mark.parametrize(
    ("aten", "onednn", "used"),
    [
        ("AVX512", "", "amx"),
        ("AVX512", "ALL", "amx"),
        ("AVX512", "DEFAULT", "amx"),
        ("AVX512", "AVX512_CORE_AMX", "amx"),
        ("AVX512", "AVX512_CORE_AMX_FP16", "amx"),
        ("AVX512", "AVX10_1_512_AMX", "amx"),
        ("AVX512", "AVX10_1_512", "avx512-bf16"),
        ("AVX512", "AVX512_CORE_BF16", "avx512-bf16"),
        ("AVX512", "AVX512_CORE_VNNI", "avx512"),
        ("AVX512", "avx2", "avx2"),
        ("AVX512", "SSE41", "plain"),
        ("AVX2", "", "avx2"),
        ("DEFAULT", "", "plain"),
        ("DEFAULT", "AVX2", "plain"),
        ("AVX2", "SSE41", "plain"),
        ("AVX512", "rubbish", "amx"),
    ],
)
@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_what_is_forbidden_is_not_counted_on(aten, onednn, used, name, processor):
    processor("amx", aten=aten, **{name: onednn})
    assert capability(CPU) == used
    assert native_dtype(CPU) == (torch.bfloat16 if used == "amx" else torch.float32)


def test_nothing_is_allowed_that_is_not_there(processor):
    processor("avx2", ONEDNN_MAX_CPU_ISA="AVX512_CORE_AMX")
    assert capability(CPU) == "avx2"


@pytest.mark.parametrize(("machine", "aten", "named"), [("arm64", "DEFAULT", "neon"), ("aarch64", "SVE256", "sve256")])
def test_arm(machine, aten, named, processor):
    processor("plain", "", machine, aten, ONEDNN_MAX_CPU_ISA="AVX2")
    assert capability(CPU) == named
    assert native_dtype(CPU) == torch.float32


def test_a_gpu_of_several(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda which: (9, which.index))
    assert capability(device_of("cuda:1")) == "cuda-9.1"
    assert device_of("auto") == torch.device("cuda")
    with pytest.raises(IsoglossError, match=r"device: cuda:2 is not on this machine, which has cuda:0, cuda:1; set "):
        device_of("cuda:2")


def test_this_machine_has_one_of_them():
    assert capability(CPU) in {*SETS, "neon"} or platform.machine() not in {"x86_64", "AMD64"}
    assert capability(torch.device("mps")) == "mps"
    assert native_dtype(torch.device("mps")) == torch.float32


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1"])
def test_a_gpu_that_is_not_there(name):
    with pytest.raises(IsoglossError, match=f"device: {name} is not on this machine"):
        device_of(name)
