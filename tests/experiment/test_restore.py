"""A run directory's backbone is used only if what lies there is what it was made with."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

import isogloss
from isogloss.errors import IsoglossError
from isogloss.experiment import restore
from isogloss.store import Store
from models import checkpoint, sib200


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of two methods on a small model, and what it is of."""
    folder = tmp_path_factory.mktemp("made")
    spec = {
        "name": "small", "backbone": str(checkpoint(folder / "model")), "task": "sib200", "source": "en",
        "targets": ["de"], "data": {"path": str(sib200(folder / "data"))}, "methods": {"linear-probe": {"epochs": 1}},
        "device": "cpu", "dtype": "float32",
    }  # fmt: skip
    isogloss.run(spec, folder / "run")
    return folder, spec


@pytest.fixture
def home(made, tmp_path):
    """The same, to be damaged: the spec of the run names the model in it."""
    folder, spec = made
    shutil.copytree(folder, tmp_path / "home")
    stored = tmp_path / "home" / "run" / "spec.yaml"
    stored.write_text(stored.read_text().replace(str(folder), str(tmp_path / "home")))
    changed = {**spec, "backbone": str(tmp_path / "home" / "model"), "methods": {"linear-probe": {"epochs": 1}}}
    return tmp_path / "home", {**changed, "seeds": [0, 1]}


def keyed(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def swapped(folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    pieces = tokenizer["model"]["vocab"]
    pieces["cat"], pieces["dog"] = pieces["dog"], pieces["cat"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


CHANGES = {
    "another model": (lambda folder: checkpoint(folder, "bert"), "weights|config"),
    "another tokenizer": (swapped, "another tokenizer now"),
    "another activation": (
        lambda folder: keyed(folder / "config.json", hidden_act="relu"),
        "hidden_act: 'relu' and not",
    ),
    "another norm": (lambda folder: keyed(folder / "config.json", layer_norm_eps=0.5), "layer_norm_eps: 0.5 and not"),
}


@pytest.mark.parametrize("how", CHANGES)
def test_what_is_no_longer_there_is_not_taken_for_it(home, how):
    folder, spec = home
    change, said = CHANGES[how]
    change(folder / "model")
    with pytest.raises(IsoglossError, match=said):
        isogloss.load(folder / "run")
    with pytest.raises(IsoglossError, match=f"{said}|made differently"):
        isogloss.run(spec, folder / "run")


def test_how_a_model_was_saved_does_not_matter(home):
    folder, _ = home
    keyed(folder / "model" / "config.json", transformers_version="9.9", use_cache=False, a_new_default=3)
    assert isogloss.load(folder / "run").predict(["the cat"])


def test_a_stored_spec_cannot_ask_for_a_pickle(home, monkeypatch):
    folder, _ = home
    torch.save(load_file(folder / "model" / "model.safetensors"), folder / "model" / "pytorch_model.bin")
    (folder / "model" / "model.safetensors").unlink()
    stored = folder / "run" / "spec.yaml"
    stored.write_text(stored.read_text().replace("weights: safetensors", "weights: pickle"))
    assert Store(folder / "run").spec().weights == "pickle"
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it is unpickled"))
    with pytest.raises(IsoglossError, match="its weights are pickles"):
        isogloss.load(folder / "run")


@pytest.mark.parametrize(
    "name", ["../model", "model/..", "a/b/../../..", "./model", "~/model", "/x/../y", "a b/c", "org/m@../x"]
)
def test_a_path_as_no_run_stores_it_is_refused(home, name):
    folder, _ = home
    stored = folder / "run" / "spec.yaml"
    lines = [line for line in stored.read_text().splitlines() if not line.startswith("backbone:")]
    stored.write_text("\n".join([*lines, f"backbone: {json.dumps(name)}"]))
    with pytest.raises(IsoglossError, match="no full path and no hub id"):
        isogloss.load(folder / "run")


@pytest.mark.parametrize(
    ("revision", "asked"), [("a" * 40, "org/model@" + "a" * 40), (None, "org/model"), ("x", "org/model")]
)
def test_a_model_of_the_hub_is_that_of_the_run(home, revision, asked):
    folder, _ = home
    store = Store(folder / "run")
    (cell,) = store.finished()
    record = cell.record.model_copy(update={"environment": {"backbone": {"revision": revision}}})
    assert restore._named(store, "org/model", [replace(cell, record=record)]) == asked
