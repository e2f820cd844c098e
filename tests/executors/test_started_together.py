"""What is refused of several processes before they come together, each in a line."""

import pytest

from isogloss.errors import IsoglossError
from isogloss.executors.distributed import Distributed
from isogloss.executors.registry import executor, leading
from isogloss.runtime.launch import launch, speaks

PLACE = {
    "RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "a",
    "MASTER_PORT": "1",
}


@pytest.fixture
def place(monkeypatch):
    for name, value in PLACE.items():
        monkeypatch.setenv(name, value)


def test_one_process_is_one(monkeypatch):
    for name in PLACE:
        monkeypatch.delenv(name, raising=False)
    assert launch() is None
    assert speaks()
    assert executor({}).name == "serial"
    with pytest.raises(IsoglossError, match="torchrun --nproc-per-node 4 -m isogloss run SPEC"):
        executor({"name": "distributed", "shard": True})
    with leading(executor({}), "cpu") as leads:
        assert leads


@pytest.mark.usefixtures("place")
def test_several_train_together_unless_another_way_is_asked_for():
    chosen = executor({})
    assert isinstance(chosen, Distributed)
    assert (chosen.launch.rank, chosen.launch.count, chosen.launch.local_count) == (1, 4, 2)
    assert executor({"name": "distributed", "shard": True}).settings.shard
    for given, name in (({"name": "serial"}, None), ({}, "serial")):
        with pytest.raises(
            IsoglossError, match=r"serial is for one process, and this is one of 4 .* leave the executor out"
        ):
            executor(given, name)
    assert not speaks()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RANK", "4"), ("RANK", "x"), ("LOCAL_RANK", "2"), ("WORLD_SIZE", "-1"), ("MASTER_PORT", "x"),
        ("MASTER_PORT", "0"), ("MASTER_PORT", "65536"),
    ],
)  # fmt: skip
def test_a_place_that_is_none(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(IsoglossError, match=name):
        launch()


@pytest.mark.usefixtures("unmet")
@pytest.mark.parametrize(
    ("device", "why"), [("cuda:1", "one GPU, and 2 processes"), ("mps", "computes in one process only")]
)
def test_a_device_that_cannot_be_shared(device, why):
    with pytest.raises(IsoglossError, match=why), leading(executor({}), device):
        pass


@pytest.mark.usefixtures("unmet")
def test_too_few_gpus_are_refused_by_all_processes_of_a_machine(monkeypatch):
    """As one of them speaks for all."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    for rank in ("0", "1"):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert speaks() == (rank == "0")
        with pytest.raises(IsoglossError, match="2 processes .* 1 GPUs"), leading(executor({}), "auto"):
            pass
    monkeypatch.delenv("LOCAL_RANK")  # its number among all is then its number on the machine
    assert not speaks()


@pytest.fixture
def unmet(place, monkeypatch):  # noqa: ARG001
    """They do not come together."""
    monkeypatch.setattr("isogloss.executors.distributed.meeting_place", lambda _: None)
    monkeypatch.setattr("isogloss.executors.distributed.part_of", lambda *_: None)
    monkeypatch.setattr("isogloss.executors.distributed._meeting", [])
    monkeypatch.setattr("isogloss.runtime.console.out.quiet", False)
    monkeypatch.setattr("isogloss.runtime.console.err.quiet", False)
