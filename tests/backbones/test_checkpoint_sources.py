"""Where weights may come from: pickles, conversions in the cache, the hub."""

import os
import pickle
import shutil
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import ModelInfo
from safetensors.torch import load_file

from isogloss.backbones.checkpoint import hub
from isogloss.backbones.loading import inspect, load
from isogloss.backbones.packaged import conversion, e5
from isogloss.errors import IsoglossError
from models import checkpoint


def loaded(folder, **options):
    return load(str(folder), **({"device": "cpu", "dtype": "float32"} | options))


def pickled(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def test_pickles_are_read_where_that_is_said_and_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "cache"))
    weights = loaded(checkpoint(tmp_path / "m")).identity.weights
    pickled(tmp_path / "m")
    with pytest.raises(IsoglossError, match=r"pickles \(pytorch_model.bin\).*weights: pickle"):
        loaded(tmp_path / "m")
    inspect(str(tmp_path / "m"), pickle=True)
    assert not (tmp_path / "cache").exists()
    assert loaded(tmp_path / "m", pickle=True).identity.weights == weights
    assert "unpickled, once" in capsys.readouterr().err
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it is unpickled again"))
    assert loaded(tmp_path / "m").identity.weights == weights


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_that_would_run_something_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "cache"))
    pickled(checkpoint(tmp_path / "m"))
    for write in (torch.save, lambda harm, file: file.write_bytes(pickle.dumps(harm))):
        write({"a": Harm(str(tmp_path / "harm"))}, tmp_path / "m" / "pytorch_model.bin")
        with pytest.raises(IsoglossError, match="no pickle of weights by name"):
            loaded(tmp_path / "m", pickle=True)
    assert not (tmp_path / "harm").exists()


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """The embedded backbone, if it were as small as the one of the tests."""
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "cache"))
    made = loaded(checkpoint(tmp_path / "m"))

    def write(source, path):
        shutil.copytree(source, path, dirs_exist_ok=True)
        return made.identity.weights

    monkeypatch.setattr(e5, "folder", lambda: conversion.converted("small", lambda: tmp_path / "m", write))
    return tmp_path / "cache" / "backbones" / "small"


def flipped(file):
    data = bytearray(file.read_bytes())
    data[-9] ^= 4
    file.write_bytes(data)


DAMAGES = {
    "a flipped bit": lambda folder: flipped(folder / "model.safetensors"),
    "a flipped bit in the pieces": lambda folder: flipped(folder / "tokenizer.json"),
    "cut off": lambda folder: os.truncate(folder / "model.safetensors", 100),
    "gone": lambda folder: (folder / "config.json").unlink(),
    "empty": lambda folder: (shutil.rmtree(folder), folder.mkdir()),
    "a file": lambda folder: (shutil.rmtree(folder), folder.write_text("x")),
    "a damaged record": lambda folder: (folder / "made.json").write_text("{}"),
    "damaged before there was a record": lambda folder: (
        (folder / "made.json").unlink(), os.truncate(folder / "model.safetensors", 100)
    ),
}  # fmt: skip


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_conversion_is_made_anew_and_that_is_said(cached, monkeypatch, capsys, how, large):
    monkeypatch.setattr(conversion, "LARGEST_HASHED", 10_000 if large else 1 << 30)
    weights = loaded(e5.NAME).identity.weights
    DAMAGES[how](cached)
    assert loaded(e5.NAME).identity.weights == weights
    assert "is damaged and is made anew" in capsys.readouterr().err.replace("\n", " ")
    loaded(e5.NAME)
    assert "damaged" not in capsys.readouterr().err


def test_a_conversion_of_before_there_was_a_record_is_taken(cached, capsys):
    loaded(e5.NAME)
    (cached / "made.json").unlink()
    loaded(e5.NAME)
    assert "damaged" not in capsys.readouterr().err


@pytest.mark.usefixtures("cached")
def test_a_cache_that_cannot_be_written_is_said_in_a_line(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(IsoglossError, match=r"could not be written .*ISOGLOSS_CACHE"):
        loaded(e5.NAME)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A model of the hub, and what is downloaded of it."""
    checkpoint(tmp_path / "there")
    (tmp_path / "there" / "onnx.bin").write_text("not wanted")
    commit, got = "a" * 40, []
    snapshot = tmp_path / "snapshots" / commit
    snapshot.mkdir(parents=True)

    def download(name, file, revision):
        assert (name, revision) == ("org/model", commit)
        if not (snapshot / file).exists():
            got.append(file)
            shutil.copy(tmp_path / "there" / file, snapshot / file)
        return str(snapshot / file)

    def look(_name, file, **_):
        return str(snapshot / file) if (snapshot / file).exists() else None

    siblings = [{"rfilename": file.name, "size": 10**6} for file in (tmp_path / "there").iterdir()]
    about = ModelInfo(id="org/model", sha=commit, siblings=siblings)
    online = SimpleNamespace(model_info=lambda *_, **__: about)
    monkeypatch.setattr(hub, "HfApi", lambda: online)
    monkeypatch.setattr(hub, "hf_hub_download", download)
    monkeypatch.setattr(hub, "try_to_load_from_cache", look)
    return got


def test_a_download_is_announced_and_brings_what_is_needed(repository, capsys, monkeypatch):
    backbone = loaded("org/model")
    assert backbone.identity.revision == "a" * 40
    assert backbone.identity.name == "org/model"
    assert capsys.readouterr().err.startswith("Downloading org/model at aaaaaaaaaaaa from the hub (4 MB)")
    assert sorted(repository) == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    repository.clear()
    loaded("org/model@main")
    assert not repository
    assert "Downloading" not in capsys.readouterr().err

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(hub, "HfApi", lambda: SimpleNamespace(model_info=offline))
    assert loaded("org/model").identity.revision == "a" * 40


def test_what_neither_hub_nor_cache_have_is_said_in_a_line():
    with pytest.raises(
        IsoglossError, match="backbone org/nope could not be loaded .*without network use a local folder"
    ):
        loaded("org/nope")
