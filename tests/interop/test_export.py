"""Each method in each format that has an exact form for it: the other library computes the same scores."""

import json
import os
import subprocess
import sys
import warnings
from importlib.util import find_spec

import pytest
import torch

import decoders
import models
from isogloss.api import export, load, run
from isogloss.errors import IsoglossError
from isogloss.interop.bundle import read_labels
from isogloss.interop.check import own_scores
from isogloss.interop.formats.registry import formats
from isogloss.interop.trained import load as load_trained
from isogloss.spec import Spec

METHODS = {
    "soft-prompt": {"length": 3, "epochs": 1}, "deep-prompt": {"length": 3, "epochs": 1},
    "fine-tuning": {"epochs": 1}, "words": {"method": "fine-tuning", "epochs": 1, "embeddings": True},
    "slow-fast": {"epochs": 1}, "linear-probe": {"epochs": 1}, "lora": {"epochs": 1, "lr": 0.1, "rank": 2},
    "behind": {"method": "soft-prompt", "length": 3, "epochs": 1, "place": "after-first"},
    "upper": {"method": "deep-prompt", "length": 3, "epochs": 1, "first_layer": 1},
}  # fmt: skip
PROMPTS = {"soft-prompt", "deep-prompt", "behind", "upper"}
EXACT = {
    "peft": {"soft-prompt", "deep-prompt", "lora"},
    "transformers": set(METHODS) - PROMPTS,
    "sentence-transformers": set(METHODS) - PROMPTS,
    "onnx": set(METHODS) - {"upper"},
}
ONNX = {
    *(("xlm-roberta", method) for method in ("soft-prompt", "deep-prompt", "behind", "upper", "words", "lora")),
    ("llama", "deep-prompt"), ("bert", "soft-prompt"), ("bloom", "deep-prompt"), ("mt5", "soft-prompt"),
    ("mt5", "deep-prompt"),
}  # fmt: skip
TEXTS = ["the cat sat on mat", "moon", "big red dog ran fast on log the sun", "one two three"]


def spec(folder, backbone, **changes):
    given = {
        "name": "out", "backbone": str(backbone), "task": "sib200", "data": {"path": folder / "sib200"},
        "methods": METHODS, "source": "en", "targets": ["de"], "dtype": "float32", "device": "cpu", **changes,
    }  # fmt: skip
    return Spec.model_validate(given)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    models.sib200(folder / "sib200", ("eng_Latn", "deu_Latn"), rows=14)
    return folder


@pytest.fixture(scope="module", params=["xlm-roberta", "bert", "llama", "bloom", "mt5"])
def done(folder, request):
    """A run of every method that goes with a family."""
    family = request.param
    if family in {"xlm-roberta", "bert"}:
        backbone = models.checkpoint(folder / family, family)
    else:
        backbone = decoders.whole(folder / family, family)
    out = folder / f"run-{family}"
    run(spec(folder, backbone), out)
    return family, out


def needs(name):
    lacking = [library for library in formats()[name].libraries if find_spec(library) is None]
    if lacking:
        pytest.skip(f"{lacking[0]} is not installed")


@pytest.mark.parametrize("to", sorted(EXACT))
@pytest.mark.parametrize("method", METHODS)
def test_the_other_library_computes_the_same(done, method, to, tmp_path):
    needs(to)
    family, stored = done
    if to == "onnx" and (family, method) not in ONNX:
        pytest.skip("an export takes seconds; others of this kind are tried")
    if family == "mt5" and method == "deep-prompt" and to in {"peft", "onnx"}:
        with pytest.raises(IsoglossError):  # transformers' encoders of this kind take no keys and values from outside
            export(stored, tmp_path / "out", to=to, method=method)
        return
    if method not in EXACT[to]:
        with pytest.raises(IsoglossError, match=rf"{method} has no exact form in {to}: .*; .* one"):
            export(stored, tmp_path / "out", to=to, method=method)
        assert not (tmp_path / "out").exists()
        return
    made = export(stored, tmp_path / "out", to=to, method=method)
    assert made.check.same == made.check.texts == 8
    ours = own_scores(load_trained(stored, method=method, seed=None), [[text] for text in TEXTS])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's own
        theirs = formats()[to].scores(made.path, [[text] for text in TEXTS])
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)
    assert json.loads((made.path / "export.json").read_text())["check"]["same"] == 8


SENTENCES = ["the cat sat on mat", "a big red dog ran", "sun moon fast slow one two"]


def rows_of(kind, first):
    """Examples of a kind of task, which begin with a word of their split's own."""
    texts = [f"{first} {text}" for text in SENTENCES]
    if kind == "tagging":
        split = [text.split() for text in texts]
        return [{"words": words, "labels": ["A" if len(word) > 3 else "B" for word in words]} for words in split]
    if kind == "pairs":
        pairs = zip(texts, SENTENCES, "aba", strict=True)
        return [{"text": one, "second": two, "label": label} for one, two, label in pairs]
    words = [text.split()[3] for text in texts]
    answers = [[{"text": word, "start": text.index(word)}] for word, text in zip(words, texts, strict=True)]
    return [
        {"question": "the cat", "passage": text, "answers": found} for text, found in zip(texts, answers, strict=True)
    ]


INPUTS = {
    "tagging": [text.split() for text in TEXTS], "questions": [["the moon", text] for text in TEXTS],
    "pairs": [[text, "red cat"] for text in TEXTS],
}  # fmt: skip
KINDS = {
    "tagging": ("peft", "transformers", "onnx"), "questions": ("transformers", "onnx"),
    "pairs": ("peft", "transformers", "sentence-transformers"),
}  # fmt: skip


@pytest.fixture(scope="module", params=sorted(KINDS))
def labelled(folder, request):
    """A run of each other kind of task."""
    kind = request.param
    out = folder / f"run-{kind}"
    data = {
        split: {"en": rows_of(kind, word)} for split, word in (("train", "log"), ("dev", "small"), ("test", "blue"))
    }
    data["test"]["de"] = rows_of(kind, "three")
    backbone = models.checkpoint(folder / f"model-{kind}")
    methods = {name: METHODS[name] for name in ("deep-prompt", "fine-tuning")}
    asked = {**spec(folder, backbone).model_dump(exclude_unset=True), "task": "custom", "methods": methods, "data": {}}
    run(asked | {"data": {"unseen": "keep"}}, out, data=data)
    return kind, out


@pytest.mark.parametrize("to", sorted(formats()))
@pytest.mark.parametrize("method", ["deep-prompt", "fine-tuning"])
def test_other_kinds_of_task_too(labelled, method, to, tmp_path):
    needs(to)
    kind, stored = labelled
    exact = to in KINDS[kind] and (to in {"peft", "onnx"}) == (method == "deep-prompt")
    if not exact:
        if to != "onnx":
            with pytest.raises(IsoglossError, match="has no exact form in"):
                export(stored, tmp_path / "out", to=to, method=method)
        return
    made = export(stored, tmp_path / "out", to=to, method=method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = formats()[to].scores(made.path, INPUTS[kind])
    trained = load_trained(stored, method=method, seed=None)
    torch.testing.assert_close(theirs, own_scores(trained, INPUTS[kind]), rtol=1e-4, atol=1e-4)


def test_a_script_needs_no_isogloss(done, tmp_path):
    _, stored = done
    made = export(stored, tmp_path / "out", to="peft", method="soft-prompt")
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "isogloss.py").write_text("raise ImportError('none of it')\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(blocked)}
    done_ = subprocess.run(
        [sys.executable, str(made.path / "classify.py"), *TEXTS], env=environment, capture_output=True, text=True,
        check=True, cwd=tmp_path,
    )  # fmt: skip
    theirs = [json.loads(line) for line in done_.stdout.splitlines()]
    ours = load(stored, method="soft-prompt").predict(TEXTS)
    assert [one["label"] for one in theirs] == [one["label"] for one in ours]
    assert [one["score"] for one in theirs] == pytest.approx([one["score"] for one in ours], abs=2e-4)


def test_what_is_there_stays(done, tmp_path):
    _, stored = done
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(IsoglossError, match="is not empty; choose a new folder"):
        export(stored, out, to="transformers", method="fine-tuning")
    assert [entry.name for entry in out.iterdir()] == ["mine.txt"]
    with pytest.raises(IsoglossError, match="unknown format 'pef'; did you mean 'peft'"):
        export(stored, tmp_path / "other", to="pef")


def test_labels_are_named(done, tmp_path):
    _, stored = done
    made = export(stored, tmp_path / "out", to="transformers", method="fine-tuning")
    assert read_labels(made.path)["labels"] == models.LABELS
