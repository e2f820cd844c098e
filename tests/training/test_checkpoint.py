"""What a checkpoint holds on the disk: those of before must be gone on from."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from isogloss.methods.registry import find
from isogloss.preprocessing.tokenize import tokenise
from isogloss.training import checkpoint
from isogloss.training.checkpoint import Checkpoints
from isogloss.training.clock import TrainingClock
from isogloss.training.engine import Engine
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import WORDS, backbone, train_state


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return backbone(tmp_path_factory.mktemp("model"))


def state(model, seed):
    method = find("soft-prompt")
    run = new_run(method, model, method.settings.model_validate({"length": 2}), seed=seed, classes=7)
    return train_state(run, tokenise((WORDS[:7],), list(range(7)), model.tokenizer))


def test_names_in_a_checkpoint_stay(model, tmp_path):
    file = tmp_path / "lane.safetensors"
    Checkpoints([file], ["a"], minutes=0.0).save([state(model, 0)])
    with safe_open(file, framework="pt") as stored:
        facts = json.loads(stored.metadata()["lane"])
        assert {name.split(".")[0] for name in stored.keys()} == {"run"}  # noqa: SIM118 - it is no dict
    assert set(facts) == {
        "version", "fingerprint", "step", "tokens", "total", "seconds", "best", "best_epoch", "history",
    }  # fmt: skip


def test_a_checkpoint_is_taken_by_the_run_that_wrote_it_and_no_other(model, tmp_path):
    written = state(model, 0)
    written.step = 5
    Checkpoints([tmp_path / "file"], ["a"], minutes=0.0).save([written])
    for fingerprint, step in (("a", 5), ("b", 0)):
        read = state(model, 0)
        Checkpoints([tmp_path / "file"], [fingerprint], minutes=0.0).load([read])
        assert read.step == step


@pytest.mark.parametrize(("kept", "known"), [(2.5, 2.5), (None, None), ("long", None), (..., None)])
def test_the_time_of_a_training_goes_on_and_of_one_of_before_it_is_not_known(model, tmp_path, kept, known):
    written = state(model, 0)
    Checkpoints([tmp_path / "file"], ["a"], minutes=0.0).save([written])
    facts, tensors = checkpoint._read(tmp_path / "file")
    facts |= {} if kept is ... else {"seconds": kept}
    if kept is ...:
        facts.pop("seconds")
    read = state(model, 0)
    checkpoint._load(read, facts, tensors)
    assert read.seconds == known
    clock = TrainingClock([read, other := state(model, 1)])
    read.step += 1
    clock.count()
    assert (read.seconds is None) == (known is None)
    assert read.seconds is None or read.seconds > known
    assert other.seconds == 0.0  # it has not learnt


def test_a_damaged_checkpoint_is_as_good_as_none_and_said(model, tmp_path, capsys):
    file = tmp_path / "file"
    written = state(model, 0)
    written.step = 5
    Checkpoints([file], ["a"], minutes=0.0).save([written])
    whole = file.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 97)]
    for place in range(0, len(whole), 7):
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        damaged.append(bytes(content))
    anew = 0
    for content in damaged:
        file.write_bytes(content)
        read = state(model, 0)
        before = {name: tensor.clone() for name, tensor in read.run.state().items()}
        Checkpoints([file], ["a"], minutes=0.0).load([read])
        said = capsys.readouterr().err
        if read.step == 5:  # of the bytes between the facts, some say nothing
            assert all(torch.equal(tensor, written.run.state()[name]) for name, tensor in read.run.state().items())
            continue
        anew += 1
        assert all(torch.equal(tensor, before[name]) for name, tensor in read.run.state().items())
        assert "this training begins anew" in said.replace("\n", " ")
    assert anew > 0.9 * len(damaged)
    file.write_bytes(whole)
    read = state(model, 0)
    Checkpoints([file], ["a"], minutes=0.0).load([read])
    assert read.step == 5


def test_a_checkpoint_holds_the_state_of_the_optimiser(model, tmp_path):
    file = tmp_path / "file"
    written, read = state(model, 0), state(model, 0)
    stack = Stack(model, find("soft-prompt"), [written.run])
    engine = Engine(stack, [written], budget=100)
    engine.update()
    Checkpoints([file], ["a"], minutes=0.0).save([written])
    with safe_open(file, framework="pt") as stored:
        names = {name for name in stored.keys() if name.startswith("optimizer")}  # noqa: SIM118 - it is no dict
    own = {f"{what}.{name}" for what in ("mean", "square") for name in written.run.named()}
    assert names == {f"optimizer.{name}" for name in own | {"steps", "skipped"}}
    Checkpoints([file], ["a"], minutes=0.0).load([read])
    assert [row["loss"] for row in read.history] == [row["loss"] for row in written.history]
    assert len(read.history) == 1  # what was still to be fetched is there
    Engine(Stack(model, find("soft-prompt"), [read.run]), [read], budget=100)
    for name, tensor in written.optimizer.items():
        assert read.optimizer[name].equal(tensor), name
    assert written.optimizer["mean.part.start"].any()


@pytest.mark.parametrize("version", [3, 4, 6])
def test_a_checkpoint_of_another_version_begins_anew_and_says_so(model, tmp_path, capsys, version):
    file = tmp_path / "file"
    written = state(model, 0)
    written.step = 5
    Checkpoints([file], ["a"], minutes=0.0).save([written])
    with safe_open(file, framework="pt") as stored:
        facts = json.loads(stored.metadata()["lane"])
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - it is no dict
    save_file(tensors, file, metadata={"lane": json.dumps({**facts, "version": version})})
    read = state(model, 0)
    Checkpoints([file], ["a"], minutes=0.0).load([read])
    assert read.step == 0
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0
    assert said == f"{file} is damaged (it is of version {version}, and this is 5); this training begins anew"
