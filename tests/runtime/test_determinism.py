"""The same bits twice: torch's switches, on while something is computed and back as they were afterwards."""

import os
from contextlib import suppress

import pytest

from isogloss.errors import IsoglossError

torch = pytest.importorskip("torch")  # .ci/next-python tries this room without it
from isogloss.runtime.determinism import CUBLAS, deterministic  # noqa: E402


def switches():
    return (
        torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory, torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
    )  # fmt: skip


@pytest.fixture
def restored():
    before = switches()
    yield
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    torch.utils.deterministic.fill_uninitialized_memory = before[2]
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = before[3:]


@pytest.mark.parametrize(
    "of_others", [(False, False, True, False), (False, False, False, True), (True, True, True, True)]
)
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.usefixtures("restored")
def test_what_others_have_set_is_so_again(of_others, fails):
    enabled, warn_only, fill, benchmark = of_others
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    torch.utils.deterministic.fill_uninitialized_memory = fill
    torch.backends.cudnn.benchmark = benchmark
    before = switches()
    with suppress(KeyboardInterrupt), deterministic(True, "cpu"):
        assert switches() == (True, False, False, False, True)
        with deterministic(True, "cpu"):
            assert switches() == (True, False, False, False, True)
        with deterministic(False):
            assert switches() == (True, False, False, False, True)
        if fails:
            raise KeyboardInterrupt
    assert switches() == before
    with deterministic(False):
        assert switches() == before


def test_an_operator_without_such_a_way_is_told_in_a_line():
    said = "frobnicate_cuda does not have a deterministic implementation, but you set 'torch.use_deterministic…'"
    message = "deterministic: frobnicate_cuda has no way on this device .*; set `deterministic: false`$"
    with pytest.raises(IsoglossError, match=message), deterministic(True, "cpu"):
        raise RuntimeError(said)
    with pytest.raises(RuntimeError, match="else"), deterministic(True, "cpu"):
        raise RuntimeError("something else")


@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:1"])
def test_cublas_is_told_before_cuda_starts(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setenv(CUBLAS, "")  # so that it is taken back
    monkeypatch.delenv(CUBLAS)
    with deterministic(False, device):
        assert CUBLAS not in os.environ
    with deterministic(True, device):
        assert os.environ[CUBLAS] == ":4096:8"
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with deterministic(True, device):  # by ourselves, before
        pass
    monkeypatch.delenv(CUBLAS)
    with pytest.raises(IsoglossError, match=f"{CUBLAS} was not set when CUDA was started"), deterministic(True, device):
        pass
    with deterministic(True, "cpu"):
        pass
    monkeypatch.setenv(CUBLAS, ":0:0")
    with (
        pytest.raises(IsoglossError, match=f"{CUBLAS} is ':0:0'; expected :4096:8 or :16:8"),
        deterministic(True, device),
    ):
        pass
    monkeypatch.setenv(CUBLAS, ":16:8")
    with deterministic(True, device):
        assert os.environ[CUBLAS] == ":16:8"
