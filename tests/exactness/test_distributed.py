"""Two processes of torch.distributed equal one: losses, weights, predictions; whatever happens to one of them."""

import json
import os
import signal
from threading import Timer

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from safetensors import safe_open

from isogloss import api
from isogloss.backbones import sharding
from isogloss.errors import IsoglossError
from isogloss.experiment.workspace import Workspace
from isogloss.spec import Spec
from isogloss.store import Store
from isogloss.training.checkpoint import KEY
from isogloss.training.engine import Engine
from models import checkpoint, sib200
from processes import together

TOLERANCE = 1e-5
KEYS = {
    "scores": ["method", "seed", "language", "split", "metric"],
    "predictions": ["method", "seed", "language", "example"],
    "history": ["method", "seed", "step", "metric", "language", "loss"],
}
ALIKE = {"backbone_dropout": 0.0, "batch_size": 5, "epochs": 2}
MEAN = {**ALIKE, "average": 2, "select": "mean"}
METHODS = {
    "deep-prompt": {"length": [2, 4], "batch_size": 5, "epochs": 3},  # a stack, dropout of the heads included
    "linear-probe": {"epochs": 3},
    "fine-tuning": {**ALIKE, "embeddings": True, "clip": 0.1, "l2_sp": 0.1},
    "lora": {**ALIKE, "batch_size": 22},  # of 23 examples: the last update has one
    "slow-fast": {**ALIKE, "drift": 1.0, "average": 2, "embeddings": True},
}


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    data = sib200(folder / "data", rows=23)
    return Spec(
        name="small", backbone=str(checkpoint(folder / "model")), task="sib200", data={"path": data}, seeds=[0],
        dtype="float32", device="cpu", methods=METHODS,
        dynamics={"examples": 5, "every": 4, "parallel": {"path": data, "sentences": 6}},
    )  # fmt: skip


@pytest.fixture(scope="module")
def alone(spec, tmp_path_factory):
    return api.run(spec, tmp_path_factory.mktemp("alone") / "run").path


def run(spec, out):
    """What a process of several does."""
    api.run(spec, out)
    return "done"


def same(one, other, methods=tuple(METHODS)):
    """Whether what several processes made of some cells is what one process has made of them."""
    wanted = pl.col("method").str.split("[").list.first().is_in(methods)
    for name, key in KEYS.items():
        tables = [pl.read_parquet(folder / f"{name}.parquet").sort(key) for folder in (one, other)]
        assert_frame_equal(tables[0].filter(wanted), tables[1], rel_tol=1e-4, abs_tol=TOLERANCE)
    cells = [{cell.key: cell for cell in Store(folder).finished()} for folder in (one, other)]
    assert cells[1].keys() == {key for key in cells[0] if key[0].split("[")[0] in methods}
    for key in cells[1]:
        cell = cells[0][key]
        own, theirs = cell.weights(), cells[1][key].weights()
        assert own.keys() == theirs.keys()
        for tensor in own:
            if tensor.endswith("key.bias"):  # has no gradient but rounding, of which AdamW makes steps
                continue
            torch.testing.assert_close(theirs[tensor], own[tensor], rtol=1e-4, atol=TOLERANCE, msg=f"{key} {tensor}")
        records = cell.record, cells[1][key].record
        assert records[0].facts == records[1].facts
        assert records[0].selected_epoch == records[1].selected_epoch


def befalls(updates, what, spec, out, rank=1):
    """A run in one of several processes, to one of which something happens in that update of its."""
    done, update = [], Engine.update

    def counted(engine):
        done.append(1)
        if len(done) == updates and int(os.environ.get("RANK", "0")) == rank:
            if isinstance(what, Exception):
                raise what
            os.kill(os.getpid(), what)
        return update(engine)

    Engine.update = counted
    try:
        return run(spec, out)
    finally:
        Engine.update = update


def befalls_alone(updates, spec, out):
    """The same in this process alone, which is asked to stop."""
    try:
        return befalls(updates, signal.SIGINT, spec, out, rank=0)
    except KeyboardInterrupt as stopped:
        return stopped


def steps(out):
    """Updates of each training that has left a checkpoint."""
    found = []
    for file in out.rglob("*.safetensors"):
        with safe_open(file, framework="pt") as stored:
            if KEY in (stored.metadata() or {}):
                found.append(json.loads(stored.metadata()[KEY])["step"])
    return found


def test_two_equal_one(spec, alone, tmp_path):
    assert together(run, spec, tmp_path / "run") == ["done", "done"]
    same(alone, tmp_path / "run")
    assert {cell.record.environment["engine"]["processes"] for cell in Store(tmp_path / "run").finished()} == {2}


@pytest.fixture
def short(spec):
    """A spec of one cell, which keeps its checkpoint after each update."""
    return spec.model_copy(update={"methods": {"fine-tuning": METHODS["fine-tuning"]}, "checkpoint_minutes": 0.0})


@pytest.mark.parametrize("method", ["fine-tuning", "deep-prompt"])
def test_stopped_by_a_signal_to_one_and_resumed_by_another_number(method, short, alone, tmp_path):
    spec = short.model_copy(update={"methods": {method: METHODS[method]}})
    runs = 2 if method == "deep-prompt" else 1
    stopped = together(befalls, 3, signal.SIGTERM, spec, tmp_path / "two")
    assert all(isinstance(one, KeyboardInterrupt) for one in stopped), stopped
    assert steps(tmp_path / "two") == [3] * runs
    assert run(spec, tmp_path / "two") == "done"
    same(alone, tmp_path / "two", [method])
    assert isinstance(befalls_alone(4, spec, tmp_path / "one"), KeyboardInterrupt)
    assert steps(tmp_path / "one") == [4] * runs
    assert together(run, spec, tmp_path / "one", count=3) == ["done"] * 3
    same(alone, tmp_path / "one", [method])


@pytest.mark.parametrize("rank", [0, 1])
def test_one_is_killed_while_weights_are_put_together(rank, short, tmp_path):
    """By FSDP2, which raises errors of torch's own."""
    sharded = short.model_copy(update={"executor": {"name": "distributed", "shard": True}})
    left = together(befalls, 3, signal.SIGKILL, sharded, tmp_path / "run", rank)
    assert left[rank] is None
    assert isinstance(left[1 - rank], IsoglossError), left
    assert str(left[1 - rank]).startswith("one of the 2 processes is gone ("), left
    assert "gloo" not in str(left[1 - rank])


@pytest.mark.parametrize("rank", [0, 1])
def test_one_is_killed(rank, short, alone, tmp_path):
    left = together(befalls, 7, signal.SIGKILL, short, tmp_path / "run", rank)
    assert left[rank] is None
    assert isinstance(left[1 - rank], IsoglossError), left
    assert "one of the 2 processes is gone" in str(left[1 - rank])
    assert together(run, short, tmp_path / "run") == ["done", "done"]
    same(alone, tmp_path / "run", ["fine-tuning"])


def test_one_fails_alone(short, tmp_path):
    left = together(befalls, 2, RuntimeError("no room\nhere"), short, tmp_path / "run")
    assert str(left[0]).startswith("process 1 of 2 has failed: no room here; what was finished is stored"), left
    assert "no room" in str(left[1])


def broken(spec, out):
    """A run in one of several processes, in which one method is broken in all."""
    update = Engine.update

    def breaks(engine):
        if "lora" in type(engine.runs[0].settings).__name__.lower():
            raise RuntimeError("broken")
        return update(engine)

    Engine.update = breaks
    return run(spec, out)


def test_all_fail_alike_and_go_on(short, tmp_path):
    spec = short.model_copy(update={"methods": {name: METHODS[name] for name in ("lora", "linear-probe")}})
    left = together(broken, spec, tmp_path / "run")
    assert "broken" in str(left[0]), left
    assert [cell.key for cell in Store(tmp_path / "run").finished()] == [("linear-probe", 0)]


def elsewhere(spec, folders, out):
    """A run in one of several processes, each of which finds other files where the spec says."""
    here, read = folders[int(os.environ["RANK"])], Workspace.open

    def opened(spec):
        return read(spec.model_copy(update={"data": spec.data.model_copy(update={"path": here})}))

    Workspace.open = opened
    return run(spec, out)


@pytest.mark.parametrize("split", ["train", "test"])
def test_other_data_on_another_machine_is_refused(split, spec, tmp_path):
    folders = [sib200(tmp_path / name, rows=16) for name in ("one", "other")]
    file = folders[1] / "eng_Latn" / f"{split}.tsv"
    file.write_text(file.read_text().replace(" sun", " moon"))
    away = spec.model_copy(update={"methods": {"linear-probe": {"epochs": 1}}})
    left = together(elsewhere, away, folders, tmp_path / "run")
    assert isinstance(left[0], IsoglossError), left
    assert str(left[0]).startswith("process 1 of 2, on "), left
    assert {"train": "would be made differently here", "test": "other test data lie here"}[split] in str(left[0])
    assert "\n" not in str(left[0])
    assert not Store(tmp_path / "run").finished()


def unlike(spec, out):
    """A run of which the processes were not started alike."""
    shard = os.environ["RANK"] == "1"
    return run(spec.model_copy(update={"executor": {"name": "distributed", "shard": shard}}), out)


def test_processes_that_were_started_unlike_are_refused(short, tmp_path):
    left = together(unlike, short, tmp_path / "run", count=3)
    assert all(isinstance(one, IsoglossError) for one in left), left
    assert len({str(one) for one in left}) == 1
    assert "process 1 of 3, on " in str(left[0])
    assert "executor.shard is true and not false; start the same command" in str(left[0])


def test_a_mistake_is_told_by_the_first_alone(short, tmp_path):
    """Though what the others hear it by ends with it."""
    wrong = short.model_copy(update={"data": short.data.model_copy(update={"path": tmp_path / "none"})})
    first, *others = together(run, wrong, tmp_path / "run", count=3)
    assert "none" in str(first), first
    assert {str(one) for one in others} == {"the first of the processes has ended; what it said last tells why"}


def waits(spec, out):
    """A run of which one process does not come, and the other is asked to stop while it waits for it."""
    if os.environ["RANK"] == "1":
        return "elsewhere"
    Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    return run(spec, out)


def test_stopped_while_it_waits_for_the_others(short, tmp_path):
    stopped, _ = together(waits, short, tmp_path / "run")
    assert isinstance(stopped, KeyboardInterrupt), stopped


def infinite(spec, out):
    """A run in one of several processes, to one of which an infinite gradient comes in the second update."""
    learn, done = Engine.learn, []

    def learns(engine, *given):
        learn(engine, *given)
        done.append(1)
        if len(done) == 2 and os.environ["RANK"] == "1":
            engine.flat.gradients[0, 0] = torch.inf

    Engine.learn = learns
    return run(spec, out)


def test_what_is_not_finite_in_one_is_left_out_by_all(short, tmp_path):
    spec = short.model_copy(update={"methods": {"lora": METHODS["lora"]}})
    assert together(infinite, spec, tmp_path / "run") == ["done", "done"]
    (cell,) = Store(tmp_path / "run").finished()
    assert cell.record.skipped_updates == 1
    assert all(bool(tensor.isfinite().all()) for tensor in cell.weights().values())


def measured(spec, out):
    """A run in one of several processes: numbers of the backbone's weights that each training kept in it."""
    kept, spread = [], sharding.shard

    def counted(backbone, device, whole):
        before = sum(weight.numel() for weight in backbone.model.parameters())
        spread(backbone, device, whole)
        here = [getattr(weight, "to_local", lambda w=weight: w)().numel() for weight in backbone.model.parameters()]
        kept.append(sum(here) / before)

    sharding.shard = counted
    run(spec, out)
    return kept


@pytest.mark.parametrize("checkpointing", [False, True])
def test_spread_weights_equal_whole_ones(checkpointing, spec, alone, tmp_path):
    changes = {"executor": {"name": "distributed", "shard": True}}
    methods = {name: METHODS[name] for name in ("deep-prompt", "fine-tuning", "lora")}
    if checkpointing:
        changes |= {"gradient_checkpointing": True, "memory": 1.0}
        methods = {"soft-prompt": {"length": 3, "batch_size": 5, "epochs": 2}, "fine-tuning": MEAN}
        spec = spec.model_copy(update={"methods": methods, "gradient_checkpointing": True})
        alone = api.run(spec, tmp_path / "alone").path
    kept = together(measured, spec.model_copy(update={**changes, "methods": methods}), tmp_path / "run")
    assert all(share < 0.65 for of_process in kept for share in of_process), kept
    same(alone, tmp_path / "run", list(methods))


def test_spread_weights_are_kept_whole(short, alone, tmp_path):
    """So that a training goes on with another number of processes, or in one."""
    sharded = short.model_copy(update={"executor": {"name": "distributed", "shard": True}})
    stopped = together(befalls, 3, signal.SIGTERM, sharded, tmp_path / "run")
    assert all(isinstance(one, KeyboardInterrupt) for one in stopped), stopped
    stopped = befalls_alone(4, short, tmp_path / "run")
    assert isinstance(stopped, KeyboardInterrupt)
    assert steps(tmp_path / "run") == [3 + 4]
    assert together(run, sharded, tmp_path / "run", count=3) == ["done"] * 3
    same(alone, tmp_path / "run", ["fine-tuning"])
