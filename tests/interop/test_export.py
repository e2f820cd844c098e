"""Each method in each format that has an exact form for it: the other library computes the same scores."""

import json
import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from runpy import run_path

import pytest
import torch

import decoders
import export_table
import models
from isogloss.api import export, load, run
from isogloss.errors import IsoglossError
from isogloss.experiment.choice import choose
from isogloss.experiment.evaluate import predict
from isogloss.interop.bundle import read_labels
from isogloss.interop.check import own_scores
from isogloss.interop.formats.registry import formats
from isogloss.interop.trained import load as load_trained
from isogloss.methods.registry import find
from isogloss.spec import Spec
from isogloss.store import Store

METHODS = {
    "soft-prompt": {"length": 3, "epochs": 1}, "deep-prompt": {"length": 3, "epochs": 1},
    "fine-tuning": {"epochs": 1}, "words": {"method": "fine-tuning", "epochs": 1, "embeddings": True},
    "slow-fast": {"epochs": 1}, "linear-probe": {"epochs": 1}, "lora": {"epochs": 1, "lr": 0.1, "rank": 2},
    "behind": {"method": "soft-prompt", "length": 3, "epochs": 1, "place": "after-first"},
    "upper": {"method": "deep-prompt", "length": 3, "epochs": 1, "first_layer": 1},
    "unshifted": {"method": "deep-prompt", "length": 3, "epochs": 1, "shift_positions": False},
    "prompted": {"method": "prompted-fine-tuning", "length": 3, "epochs": 1, "place": "after-first", "mlp": True},
}  # fmt: skip
PROMPTS = {"soft-prompt", "deep-prompt", "behind", "upper", "unshifted", "prompted"}
EXACT = {
    "peft": {"soft-prompt", "deep-prompt", "lora"},
    "transformers": set(METHODS) - PROMPTS,
    "sentence-transformers": set(METHODS) - PROMPTS,
    "onnx": set(METHODS) - {"upper", "unshifted"},
}
ROWS = {  # of the table in docs, by what is tried here
    "soft-prompt": "`soft-prompt` before the text", "behind": "`soft-prompt` after the first token",
    "deep-prompt": "`deep-prompt`", "upper": "`deep-prompt` from a layer on",
    "unshifted": "`deep-prompt`, positions not shifted", "lora": "`lora`", "words": "`fine-tuning`",
    "slow-fast": "`slow-fast`", "linear-probe": "`linear-probe`", "prompted": "`prompted-fine-tuning`",
}  # fmt: skip
TABLED = ("xlm-roberta", "bert")  # families whose exports the table is of: what goes for these goes for both
# What is exported to ONNX, which takes seconds: all that the graph computes in a way of its own, each once.
ONNX = {
    *(("xlm-roberta", method) for method in ("soft-prompt", "deep-prompt", "words", "upper", "unshifted", "prompted")),
    ("llama", "deep-prompt"), ("bert", "linear-probe"), ("bert", "lora"), ("bert", "slow-fast"), ("bert", "behind"),
    ("mt5", "soft-prompt"), ("mt5", "deep-prompt"),
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


def loaded(stored, method):
    return load_trained(Store(stored), choose(Store(stored), method, None))


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
        with pytest.raises(IsoglossError, match=rf"{method} has no exact form in {to}: .*; .* one") as refused:
            export(stored, tmp_path / "out", to=to, method=method)
        assert not (tmp_path / "out").exists()
        if family in TABLED and method in ROWS:
            export_table.holds(ROWS[method], to, refused.value)
        return
    made = export(stored, tmp_path / "out", to=to, method=method)
    assert made.check.same == made.check.texts == 8
    ours = own_scores(loaded(stored, method), [[text] for text in TEXTS])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's own
        theirs = formats()[to].scores(made.path, [[text] for text in TEXTS])
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)
    assert json.loads((made.path / "export.json").read_text())["check"]["same"] == 8
    if family in TABLED and method in ROWS:
        export_table.holds(ROWS[method], to, None)


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
    "pairs": ("peft", "transformers", "sentence-transformers", "onnx"),
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
    exact = to in KINDS[kind] and (to == "onnx" or (to == "peft") == (method == "deep-prompt"))
    row = f"`{method}` of {kind}"
    if not exact:
        with pytest.raises(IsoglossError, match="has no exact form in") as refused:
            export(stored, tmp_path / "out", to=to, method=method)
        export_table.holds(row, to, refused.value)
        return
    made = export(stored, tmp_path / "out", to=to, method=method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = formats()[to].scores(made.path, INPUTS[kind])
    torch.testing.assert_close(theirs, own_scores(loaded(stored, method), INPUTS[kind]), rtol=1e-4, atol=1e-4)
    export_table.holds(row, to, None)


WORDED = {
    "soft-prompt": {"length": 3, "epochs": 1}, "fine-tuning": {"epochs": 1, "embeddings": True},
    "deep-prompt": {"length": 3, "epochs": 1}, "lora": {"epochs": 1, "lr": 0.1, "rank": 2},
    "inside": {"method": "soft-prompt", "length": 3, "epochs": 1, "place": "template"},
}  # fmt: skip


@pytest.fixture(scope="module", params=["xlm-roberta", "llama"])
def worded(folder, request):
    """A run whose classes are words, of two languages."""
    backbone = decoders.whole(folder / f"words-{request.param}", request.param)
    methods = {name: {**settings, "head": "verbalizer"} for name, settings in WORDED.items()}
    words = {
        language: dict(zip(models.LABELS, models.WORDS[first:], strict=False))
        for language, first in (("en", 0), ("de", 7))
    }
    asked = {"template": "one: {text} two{prompt} {answer}", "words": words}
    run(spec(folder, backbone, methods=methods, verbalizer=asked), folder / f"worded-{request.param}")
    return folder / f"worded-{request.param}"


@pytest.mark.parametrize("method", WORDED)
def test_words_that_are_classes(worded, method, tmp_path):
    prompted = method in {"soft-prompt", "deep-prompt", "inside"}
    goes = {"peft": method not in {"fine-tuning", "inside"}, "transformers": not prompted}
    trained = loaded(worded, method)
    assert trained.verbalized
    row = f"`{trained.method}`, classes are words" + (", prompt in the template" if method == "inside" else "")
    for to in formats():
        if not goes.get(to):
            said = rf"^{method} with head: verbalizer has no exact form in {to}: "
            where = "; no format has one" if method == "inside" else "; (peft|transformers|peft and transformers) ha"
            with pytest.raises(IsoglossError, match=said + ".*" + where) as refused:
                export(worded, tmp_path / to, to=to, method=method)
            export_table.holds(row, to, refused.value)
            continue
        made = export(worded, tmp_path / to, to=to, method=method)
        script = run_path(str(made.path / "classify.py"))
        for language in (None, "deu-Latn"):
            features = trained.model.features([[text] for text in TEXTS], language)
            stack = trained.model.stack
            (ours,) = predict(stack, stack.runs, features)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = script["scores"](TEXTS, *script["load"](), language=language)
            torch.testing.assert_close(theirs, ours.scores, rtol=1e-4, atol=1e-4)
        assert len(ours.scores) == len(TEXTS)
        export_table.holds(row, to, None)


@pytest.mark.parametrize("to", sorted(formats()))
def test_what_was_trained_elsewhere_is_not_exported(done, to, tmp_path, monkeypatch):
    needs(to)
    _, stored = done
    elsewhere = find("checkpoint")
    monkeypatch.setattr("isogloss.interop.export.find_method", lambda _: elsewhere)
    with pytest.raises(IsoglossError, match=r"^lora \(method lora, seed 0\) was trained elsewhere .* lies at"):
        export(stored, tmp_path / "out", to=to, method="lora")
    assert not (tmp_path / "out").exists()


def test_the_table_has_no_row_that_nobody_tries():
    kinds = [f"`{method}` of {kind}" for kind in KINDS for method in ("deep-prompt", "fine-tuning")]
    named = {"inside": "`soft-prompt`, classes are words, prompt in the template"}
    words = [named.get(name, f"`{name}`, classes are words") for name in WORDED]
    assert set(export_table.stored()) == {*ROWS.values(), *kinds, *words}


def test_a_script_needs_no_isogloss(done, tmp_path):
    family, stored = done
    if family not in {"xlm-roberta", "llama"}:
        pytest.skip("a process takes seconds; others of this kind are tried")
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
