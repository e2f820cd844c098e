"""A real Ray cluster of three nodes on this machine gives what one process gives, whatever of it is lost."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from isogloss import api
from isogloss.errors import IsoglossError
from isogloss.executors import gpu_shares
from isogloss.executors.registry import executor
from isogloss.experiment.job import Job, JobQueue
from isogloss.experiment.memory import Room, reckoned
from isogloss.experiment.run import run
from isogloss.experiment.workspace import Workspace
from isogloss.runtime import yaml
from isogloss.spec import Spec
from models import checkpoint, sib200

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("cluster")]
METHODS = {
    "linear-probe": {"epochs": 2}, "deep-prompt": {"length": [2, 4], "epochs": 2}, "lora": {"epochs": 2},
    "fine-tuning": {"epochs": 2, "embeddings": True}, "slow-fast": {"epochs": 2, "drift": 1.0, "average": 2},
}  # fmt: skip
LONG = {"fine-tuning": {"epochs": 240, "embeddings": True}, "deep-prompt": {"epochs": 240}}
ROUNDS = range(int(os.environ.get("ISOGLOSS_ROUNDS", "1")))
TABLES = ("scores", "predictions", "history")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data")
    return folder


class ThreeNodes:
    """A cluster: a head that carries nothing out, and nodes that may be killed."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **SMALL}
        )
        self.nodes = [self.cluster.add_node(num_cpus=1, **SMALL) for _ in range(2)]

    def kill(self):
        """One node is gone at once; another one takes its place later."""
        self.cluster.remove_node(self.nodes.pop(0), allow_graceful=False)
        self.nodes.append(self.cluster.add_node(num_cpus=1, **SMALL))


SMALL = {"object_store_memory": 150 << 20}


@pytest.fixture(scope="module")
def cluster():
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        nodes = ThreeNodes()
        patch.setenv("RAY_ADDRESS", nodes.cluster.address)
        yield nodes
        ray.shutdown()
        nodes.cluster.shutdown()


def spec(home, **changes):
    return Spec.model_validate({
        "name": "jobs", "backbone": str(home / "model"), "task": "sib200", "data": {"path": home / "data"},
        "methods": METHODS, "seeds": [0, 1], "targets": ["de", "zh"], "dtype": "float32", "device": "cpu", **changes,
    })  # fmt: skip


def same(one, other):
    for name in TABLES:
        assert_frame_equal(one.table(name), other.table(name))
    for here, there in zip(one.finished(), other.finished(), strict=True):
        assert here.record.facts == there.record.facts
        assert here.record.weights_sha256 == there.record.weights_sha256


@pytest.fixture(scope="module")
def undisturbed(home):
    return api.run(spec(home, methods=LONG, seeds=[0]), home / "undisturbed").store


def test_a_cluster_gives_what_one_process_gives(home, tmp_path):
    here = api.run(spec(home), tmp_path / "here")
    there = api.run(spec(home, executor="ray"), tmp_path / "there")
    same(here.store, there.store)
    assert "executor" not in (tmp_path / "there" / "spec.yaml").read_text() or there.spec.executor == {}


def test_a_search_goes_through_the_cluster(home, tmp_path):
    methods = {"deep-prompt": {"epochs": 3, "search": {"lr": [1e-3, 1e-2, 1e-1], "budget": 3}}}
    for name in ("serial", "ray"):
        api.run(spec(home, methods=methods, seeds=[0]), tmp_path / name, executor=name)
    one, other = ((tmp_path / name / "search/deep-prompt/search.json").read_text() for name in ("serial", "ray"))
    assert one == other


def when_in_training(folder, act, round_, seconds=60.0):
    """Do something, in another thread, at some moment after there is a checkpoint."""

    def watch():
        end = time.monotonic() + seconds
        while time.monotonic() < end and not list(folder.rglob("lane.safetensors")):
            time.sleep(0.05)
        time.sleep(np.random.default_rng(round_).uniform(0, 0.5))
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_lost_node_costs_nothing(home, cluster, undisturbed, tmp_path, capsys, round_):
    kept = {"name": "ray", "storage": str(tmp_path / "storage")}
    killing = when_in_training(tmp_path / "storage", cluster.kill, round_)
    disturbed = api.run(spec(home, methods=LONG, seeds=[0], checkpoint_minutes=0, executor=kept), tmp_path / "run")
    killing.join()
    assert not list((tmp_path / "storage").rglob("*.safetensors*"))  # of what is finished nothing is left
    assert "its worker was lost" in capsys.readouterr().err
    same(undisturbed, disturbed.store)


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_lost_driver_goes_on(home, undisturbed, tmp_path, round_):
    written = tmp_path / "spec.yaml"
    asked = spec(home, methods=LONG, seeds=[0], checkpoint_minutes=0, executor="ray")
    written.write_text(yaml.dumps(asked.model_dump(mode="json", exclude_defaults=True)))
    command = [sys.executable, "-m", "isogloss", "run", str(written), "--out", str(tmp_path / "run")]
    driver = subprocess.Popen(command, env=os.environ, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    killed = when_in_training(tmp_path / "run" / "checkpoints", lambda: driver.send_signal(signal.SIGKILL), round_)
    killed.join()
    assert driver.wait(60) == -signal.SIGKILL
    assert list((tmp_path / "run" / "checkpoints").rglob("lane.safetensors"))
    subprocess.run(command, env=os.environ, check=True, capture_output=True, timeout=120)
    same(undisturbed, api.open_run(tmp_path / "run").store)


@contextmanager
def workers_killed(title):
    """While the block runs, each process that is at a job of that title is killed; gives those that were."""
    killed, over = set(), threading.Event()

    def kill():
        while not over.wait(0.1):
            for process in set(Path("/proc").glob("[0-9]*")) - killed:
                with suppress(OSError):  # it has ended by itself
                    if (process / "cmdline").read_text().startswith(f"ray::{title}"):
                        os.kill(int(process.name), signal.SIGKILL)
                        killed.add(process)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def test_jobs_that_always_fail_leave_the_others_finished(home, tmp_path, capsys):
    kind = type(executor({"name": "ray"}))

    class Other(kind):
        """Of one method the job says something else than what it would become."""

        def carry_out(self, jobs, workspace):
            def made():
                for job in jobs:
                    lora = job.cells[0].name == "lora"
                    yield replace(job, facts=({**job.facts[0], "labels": ["x"]},)) if lora else job

            yield from super().carry_out(JobQueue(made(), jobs.cost), workspace)

    methods = {**{name: METHODS[name] for name in ("linear-probe", "lora")}, "fine-tuning": LONG["fine-tuning"]}
    refused = r"^lora · seed 0 would be made differently here.*\(2 of 5 jobs failed"
    with workers_killed("fine-tuning") as killed, pytest.raises(IsoglossError, match=refused):
        run(spec(home, methods=methods, seeds=[0]), tmp_path / "run", Other(kind.Settings(retries=1)))
    assert len(killed) == 2  # the first time, and once more
    told = capsys.readouterr().err
    assert "fine-tuning · seed 0 failed: its worker was lost 2 times" in told
    assert "try 2 of 2" in told
    left = api.open_run(tmp_path / "run")
    assert set(left.scores["method"]) == {"linear-probe"}
    assert "would be made differently" in (tmp_path / "run" / "logs" / "lora-0.log").read_text()
    languages = {"eng-Latn", "deu-Latn", "zho-Hans"}  # two of which are scored after the other job has failed
    assert set(left.predictions.filter(pl.col("split") == "test")["language"]) == languages


def test_small_jobs_share_a_gpu_by_the_memory_that_they_take(home, monkeypatch):
    from isogloss.executors.gpu_shares import GPUShares

    workspace = Workspace.open(spec(home))
    taken = {"deep-prompt": 10**9, "fine-tuning": 30 * 10**9}
    monkeypatch.setattr(gpu_shares, "reckoned", lambda _, cells, *__, **___: taken.get(cells[0].name))
    shares = GPUShares(workspace, Room(torch.device("cuda"), 80 * 10**9), 1)
    jobs = {cell.name: Job(workspace.spec, (cell,), ({},), 1.0) for cell in workspace.cells}
    assert [shares.of(jobs[name]) for name in ("deep-prompt", "fine-tuning", "lora")] == [0.05, 0.45, 1]
    assert GPUShares(workspace, None, 0).of(jobs["lora"]) == 0
    assert GPUShares(workspace, shares.room, 2).of(jobs["deep-prompt"]) == 2


def test_what_jobs_would_take_of_a_gpu_is_known_without_one(home):
    workspace = Workspace.open(spec(home))
    frozen, tuned = (
        next(cell for cell in workspace.cells if cell.name == name) for name in ("deep-prompt", "fine-tuning")
    )
    cuda = torch.device("cuda")
    one, several, all_weights = (
        reckoned(workspace, cells, cuda) for cells in ([frozen], [frozen] * 4, [tuned])
    )  # fmt: skip
    assert 0 < one < several
    assert one < all_weights


def test_what_the_cluster_has_not_is_said_at_once(home, tmp_path):
    with pytest.raises(IsoglossError, match=r"^executor: the cluster has not GPU 1, which a job is to take"):
        api.run(spec(home, executor={"name": "ray", "gpus": 1}), tmp_path / "run")
    with pytest.raises(IsoglossError, match=r"^executor: the cluster has not CPU 2, which a job is to take, but on a"):
        api.run(spec(home, executor={"name": "ray", "cpus": 2}), tmp_path / "run")  # two nodes have one each
    with pytest.raises(IsoglossError, match=r"^executor.storage: /dev/null/x cannot be used"):
        api.run(spec(home, executor={"name": "ray", "storage": "/dev/null/x"}), tmp_path / "run")
    with pytest.raises(IsoglossError, match=r"^executor: unknown key 'gpu'; did you mean 'gpus'"):
        api.run(spec(home, executor={"name": "ray", "gpu": 1}), tmp_path / "run")
    with pytest.raises(IsoglossError, match=r"address"):  # a spec does not say whom code is taken from
        api.run(spec(home, executor={"name": "ray", "address": "ray://elsewhere:10001"}), tmp_path / "run")
