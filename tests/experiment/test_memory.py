"""A job that does not fit is made to: smaller passes, narrower stacks; or it is refused in one line."""

import re
from pathlib import Path

import pytest
import torch

from isogloss.api import run
from isogloss.errors import IsoglossError
from isogloss.experiment import memory, memory_outline
from isogloss.experiment.cells import cells
from isogloss.experiment.memory_outline import outlined
from isogloss.experiment.workspace import Workspace
from isogloss.runtime import device_memory
from isogloss.spec import Spec
from isogloss.store import Store
from models import LABELS, checkpoint, sib200

METHODS = {"deep-prompt": {"epochs": 1, "length": 4, "batch_size": 8}}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data")
    return folder


def spec(home, **more):
    given = {
        "name": "small", "backbone": str(home / "model"), "task": "sib200", "data": {"path": str(home / "data")},
        "methods": METHODS, "seeds": [0, 1, 2, 3, 4], "dtype": "float32", "device": "cpu",
    }  # fmt: skip
    return Spec(**{**given, **more})


def test_a_stack_that_does_not_fit_is_narrower_and_gives_the_same(home, tmp_path, capsys):
    whole = run(spec(home), tmp_path / "whole")
    assert "stacks" not in capsys.readouterr().err
    bound = 0.0012
    narrow = run(spec(home, memory=bound), tmp_path / "narrow")
    said = capsys.readouterr().err
    assert re.search(
        r"deep-prompt: [2-5] stacks of at most [1-3]: 5 runs together would take [2-9] MB, `memory` allows 1 MB", said
    )
    assert "of memory beside the backbone" in said
    columns = ["method", "seed", "language", "example"]
    first, second = (made.predictions.sort(columns) for made in (whole, narrow))
    assert first.drop("score").equals(second.drop("score"))
    assert (first["score"] - second["score"]).abs().max() < 1e-4
    (cell, *_) = Store(tmp_path / "narrow").finished()
    taken = cell.record.environment["memory"]
    assert 0 < taken["expected"] <= bound * 1e9 < taken["process_peak"]


def test_what_fits_not_even_row_by_row_is_refused(home, tmp_path):
    with pytest.raises(IsoglossError, match="row by row, and `memory` allows 10 kB; expected .*`dtype: bfloat16`"):
        run(spec(home, memory=1e-5, seeds=[0]), tmp_path / "run")
    fine = {"fine-tuning": {"epochs": 1, "batch_size": 8}}
    with pytest.raises(IsoglossError, match="fine-tuning · seed 0 would take .*a method that trains less"):
        run(spec(home, memory=2e-4, seeds=[0], methods=fine), tmp_path / "other")


def test_passes_are_smaller_only_where_they_would_not_fit(home, monkeypatch):
    workspace = Workspace.open(spec(home, seeds=[0]))
    usual = memory.budgets(torch.device("cpu"))

    def plan(free, **more):
        monkeypatch.setattr(memory, "free_memory", lambda _: free)
        changed = Workspace(
            workspace.spec.model_copy(update=more), workspace.cells, workspace.data, workspace.backbone,
            workspace.facts, workspace.verbalizer,
        )  # fmt: skip
        return memory.plan(changed, changed.cells, "a job")

    for free in (None, 10**12, 10**8):
        assert (plan(free).budget, plan(free).eval_budget) == usual
    small = plan(800_000)
    assert small.budget < usual[0]
    assert 0 < small.peak <= 640_000
    same = plan(10**5, deterministic=True)  # what happens to be free decides nothing
    assert (same.budget, same.eval_budget, same.peak) == (*usual, None)
    assert plan(10**5, deterministic=True, memory=6e-4).budget == plan(10**12, memory=6e-4).budget < usual[0]


def test_a_training_that_cannot_be_estimated_goes_on_as_it_was_and_says_so_once(home, monkeypatch, capsys):
    def broken(*_, **__):
        raise NotImplementedError("no such operator without memory")

    monkeypatch.setattr(memory, "MemoryEstimate", broken)
    workspace = Workspace.open(spec(home, memory=1e-5))
    assert memory.plan(workspace, workspace.cells, "a job").peak is None
    assert memory.narrower(workspace, workspace.cells) == ([list(workspace.cells)], "")
    assert capsys.readouterr().err.count("cannot be estimated (no such operator without memory)") == 1
    monkeypatch.setattr(memory_outline, "MemoryEstimate", broken)
    wanted = spec(home, seeds=[0])
    assert all("no such operator" in line for line in list(outlined(wanted, cells(wanted), len(LABELS)))[1:])


def test_a_dry_run_says_what_jobs_take(home):
    wanted = spec(home, methods={**METHODS, "fine-tuning": {"epochs": 1}}, seeds=[0, 1])
    lines = list(outlined(wanted, cells(wanted), len(LABELS)))
    assert lines[0].startswith("the backbone ")
    assert re.fullmatch(
        r"deep-prompt \(2 runs together\) at most about \d+ [kM]B besides, with texts of 36 tokens", lines[1]
    )
    assert sum("fine-tuning at most about" in line for line in lines) == 1  # jobs that differ in the seed alone


@pytest.mark.parametrize("version", [1, 2])
def test_a_control_group_limits_what_is_free(tmp_path, monkeypatch, version):
    monkeypatch.setattr(device_memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(device_memory, "CGROUPS", tmp_path / "groups")
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    cpu = torch.device("cpu")
    assert device_memory.free_memory(cpu) == 8000 * 1024
    line = {1: "4:cpu,memory:/jobs/mine\n", 2: "0::/jobs/mine\n"}[version]
    (tmp_path / "proc" / "self" / "cgroup").write_text(line)
    root = tmp_path / "groups" / ("memory" if version == 1 else "")
    names = {1: ("memory.limit_in_bytes", "memory.usage_in_bytes"), 2: ("memory.max", "memory.current")}[version]
    (root / "jobs" / "mine").mkdir(parents=True)

    def group(folder, limit, used):
        for name, value in zip(names, (limit, used), strict=True):
            (folder / name).write_text(f"{value}\n")

    group(root / "jobs" / "mine", "max" if version == 2 else 2**63 - 4096, 5000)
    assert device_memory.free_memory(cpu) == 8000 * 1024
    group(root / "jobs", 100_000, 40_000)  # its parent's limit counts as well
    assert device_memory.free_memory(cpu) == 60_000
    stat = {1: "total_cache 20000\ntotal_shmem 5000\n", 2: "anon 10000\nfile 20000\nshmem 5000\n"}[version]
    (root / "jobs" / "memory.stat").write_text(stat)  # files that were read make room
    assert device_memory.free_memory(cpu) == 75_000


def test_free_and_taken_memory_of_this_machine():
    cpu = torch.device("cpu")
    free, taken = device_memory.free_memory(cpu), device_memory.peak_memory(cpu)
    assert free is None or 0 <= free < 1 << 50
    assert taken is None or 10**7 < taken < 1 << 50
    words = {30 * 10**9: "30 GB", 1_260_000_000: "1.3 GB", 42_000_000: "42 MB", 5_000: "5 kB"}
    assert {count: device_memory.in_words(count) for count in words} == words


@pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="processes have no names to be set here")
def test_a_process_may_be_called_anything():
    """Ray calls its workers by their jobs, and Linux cuts a name off after 15 bytes, in the middle of a character."""
    comm, cpu = Path("/proc/self/comm"), torch.device("cpu")
    before = comm.read_bytes()
    comm.write_bytes("ray::averaged ·".encode()[:15])
    try:
        with pytest.raises(UnicodeDecodeError):
            Path("/proc/self/status").read_text(encoding="utf-8")
        assert device_memory.peak_memory(cpu) > 10**7
    finally:
        comm.write_bytes(before.strip())
