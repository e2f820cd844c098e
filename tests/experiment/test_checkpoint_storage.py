"""Checkpoints in a place that all workers reach: whatever happens to it, and whatever else lies there."""

import errno
import shutil
from dataclasses import replace

import fsspec
import pytest

from isogloss.errors import IsoglossError
from isogloss.experiment import remote_job
from isogloss.experiment.checkpoint_storage import CheckpointStorage, storage_path
from isogloss.experiment.job import Job, PausedCell
from isogloss.experiment.remote_job import Failure, RemoteJob, Said, Saved, further
from isogloss.experiment.workspace import Workspace
from isogloss.spec import Spec
from isogloss.store import FinishedCell
from models import checkpoint, sib200

FACTS = [{"seed": 0}]
NAME = "lane.safetensors"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    return Workspace.open(Spec.model_validate({
        "name": "jobs", "backbone": str(checkpoint(folder / "model")), "task": "sib200", "targets": ["de"],
        "data": {"path": sib200(folder / "data")}, "methods": {"lora": {"epochs": 12}}, "dtype": "float32",
        "device": "cpu", "checkpoint_minutes": 0,
    }))  # fmt: skip


@pytest.fixture
def job(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(remote_job, "TELL_EVERY", 0.0)
    (cell,) = workspace.cells
    file = tmp_path / "run" / "checkpoints" / NAME
    return Job(workspace.spec, (cell,), (cell.facts(workspace.facts),), 1.0, checkpoints=(file,))


def test_a_path_means_the_same_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert storage_path("kept") == str(tmp_path / "kept")
    assert storage_path("s3://bucket/kept") == "s3://bucket/kept"
    for other in ("reference::/x.json", "simplecache::s3://bucket", " x", "x\n"):
        with pytest.raises(ValueError, match="none that leads on to another"):
            storage_path(other)


@pytest.mark.parametrize("path", ["nosuch://bucket/x", "reference://x", "/dev/null/kept"])
def test_what_cannot_be_reached_is_said_in_a_line(path):
    with pytest.raises(IsoglossError, match=r"^executor.storage: .* cannot be used \(.*\); expected a path") as told:
        CheckpointStorage(path, FACTS).try_out()
    assert "\n" not in str(told.value)


def test_nothing_but_checkpoints_is_read():
    storage = CheckpointStorage("memory://kept", FACTS)
    storage.try_out()
    storage.write({(0, NAME): b"one", (0, f"member-1/{NAME}"): b"two"})
    files = fsspec.filesystem("memory")
    (folder,) = files.ls("/kept", detail=False)
    for name in (f"../../{NAME}", f"..\\{NAME}", "evil.py", f"{NAME}.part", f"member-x/{NAME}", f"a/../../b/{NAME}"):
        files.pipe_file(f"{folder}/{name}", b"theirs")
    assert storage.read() == {(0, NAME): b"one", (0, f"member-1/{NAME}"): b"two"}
    storage.remove(0)
    assert storage.read() == {}


def test_a_storage_that_is_lost_costs_no_training(job, workspace, tmp_path):
    place = tmp_path / "storage"
    CheckpointStorage(str(place), []).try_out()
    events = []
    for event in RemoteJob.of(job, str(place)).events(workspace):
        if not events:
            shutil.rmtree(place)
            place.write_text("in its way")
        events.append(event)
    said = [event.line for event in events if isinstance(event, Said) and "are not kept" in event.line]
    assert len(said) == 1
    assert "executor.storage" in said[0]
    assert isinstance(events[-1], FinishedCell)
    assert not [event for event in events if isinstance(event, Failure)]


def test_whoever_is_further_wins(job, workspace, tmp_path):
    half, more = (
        [event.files for event in RemoteJob.of(replace(job, until=share)).events(workspace) if isinstance(event, Saved)]
        for share in (0.5, 0.75)
    )
    half, more = half[-1], more[-1]
    remote_job.write_files(job, more)
    assert further(job, half) == {}
    assert further(job, {(0, NAME): b"damaged"}) == {(0, NAME): b"damaged"}  # whoever reads it says so
    remote_job.write_files(job, half)
    assert further(job, more) == more
    CheckpointStorage(str(tmp_path / "storage"), job.facts).write(more)
    events = list(RemoteJob.of(replace(job, until=1.0), str(tmp_path / "storage")).events(workspace))
    tokens = sum(event.tokens for event in events if isinstance(event, remote_job.Progress))
    paused = events[-1]
    assert isinstance(paused, PausedCell)
    assert tokens < paused.tokens / 3  # it went on from three quarters


def test_what_a_machine_lacks_is_no_fault():
    for error in (OSError(errno.ENOSPC, "x", "a"), MemoryError(), RuntimeError("CUDA out of memory. Tried")):
        assert Failure.of(error).mendable
    assert not Failure.of(KeyError("x")).mendable
