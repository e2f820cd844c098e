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
@pytest.mark.parametrize(("name", "value"), [("RANK", "4"), ("RANK", "x"), ("LOCAL_RANK", "2"), ("WORLD_SIZE", "-1")])
def test_a_place_that_is_none(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(IsoglossError, match=name):
        launch()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("device", "why"), [("cuda:1", "one GPU, and 2 processes"), ("mps", "computes in one process only")]
)
def test_a_device_that_cannot_be_shared(device, why, monkeypatch):
    monkeypatch.setattr("isogloss.executors.distributed.meeting_place", lambda _: None)
    monkeypatch.setattr("isogloss.executors.distributed.part_of", lambda *_: None)
    monkeypatch.setattr("isogloss.executors.distributed._meeting", [])
    monkeypatch.setattr("isogloss.runtime.console.out.quiet", False)
    monkeypatch.setattr("isogloss.runtime.console.err.quiet", False)
    with pytest.raises(IsoglossError, match=why), leading(executor({}), device):
        pass
