"""Features in the cache: the same as made anew; what is damaged, foreign or of other settings is as good as none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from isogloss.experiment import encoded
from isogloss.experiment.workspace import Workspace
from isogloss.preprocessing import feature_cache
from isogloss.preprocessing.feature_cache import features_folder, kept_features, tokenizer_identity
from isogloss.preprocessing.fill_template import tokenise_filled
from isogloss.preprocessing.templates import Template
from isogloss.preprocessing.tokenize import tokenise, tokenise_passages, tokenise_words
from isogloss.spec import Spec
from models import WORDS, bert_tokenizer, checkpoint, sib200, tokenizer

TEXTS = [" ".join(WORDS[i % 9 : 9 + i % 7]) for i in range(60)]
COLUMN = pl.Series(TEXTS)
SENTENCES = [text.split() for text in TEXTS]
MADE = {
    "texts": lambda made: tokenise((COLUMN,), [1] * 60, made, longest=30),
    "pairs": lambda made: tokenise((COLUMN, COLUMN), [1] * 60, made),
    "words": lambda made: tokenise_words(SENTENCES, [2] * sum(map(len, SENTENCES)), made, last=True),
    "passages": lambda made: tokenise_passages(COLUMN, COLUMN, [(0, 3)] * 60, made, longest=20),
    "filled": lambda made: tokenise_filled(
        Template.parse("{prompt} {text} {answer}"), (COLUMN,), [1] * 60, made, causal=True, wording=1
    ),
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


def never():
    raise AssertionError("they were made anew")


def assert_same(one, other):
    for name, value in vars(one).items():
        if name == "texts":
            assert [list(column) for column in value] == [list(column) for column in other.texts]
        elif name in {"words", "filled"} and value is not None:
            for field, array in vars(value).items():
                np.testing.assert_array_equal(array, getattr(getattr(other, name), field))
        else:
            np.testing.assert_array_equal(value, getattr(other, name))


@pytest.mark.parametrize("mapped", [1, feature_cache.MAPPED])
@pytest.mark.parametrize("made", [tokenizer(), bert_tokenizer()], ids=["plain", "typed"])
@pytest.mark.parametrize("kind", MADE)
def test_what_is_kept_is_what_was_made(kind, made, mapped, monkeypatch):
    monkeypatch.setattr(feature_cache, "MAPPED", mapped)
    whole = MADE[kind](made)
    first = kept_features({"kind": kind}, whole.texts, lambda: MADE[kind](made))
    again = kept_features({"kind": kind}, whole.texts, never)
    assert_same(whole, first)
    assert_same(whole, again)
    again.tokens[:] = 0  # of its own: nothing that a run does to them reaches the file
    assert_same(whole, kept_features({"kind": kind}, whole.texts, never))


def cut_off(folder):
    file = folder / "tokens.npy"
    file.write_bytes(file.read_bytes()[:-40])


def flipped(folder):
    file = folder / "labels.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")


def pickled(folder):
    np.save(folder / "starts.npy", np.asarray([{}], dtype=object), allow_pickle=True)
    index = json.loads((folder / "index.json").read_text())
    index["arrays"]["starts"] = feature_cache._sha256(folder / "starts.npy")
    (folder / "index.json").write_text(json.dumps(index))


def a_file(folder):
    shutil.rmtree(folder)
    folder.write_text("nothing")


def a_link(folder):
    folder.rename(folder.with_name("elsewhere"))
    (folder.with_name("elsewhere") / "tokens.npy").unlink()
    folder.symlink_to(folder.with_name("elsewhere"))


DAMAGES = {
    "cut off": cut_off, "flipped": flipped, "pickled": pickled, "a file": a_file, "a link": a_link,
    "no index": lambda folder: (folder / "index.json").unlink(),
    "empty": lambda folder: [file.unlink() for file in folder.iterdir()],
    "another index": lambda folder: (folder / "index.json").write_text('{"arrays": ["tokens"]}'),
    "a way out": lambda folder: (folder / "index.json").write_text('{"arrays": {"../../x": "0"}}'),
    "no array": lambda folder: (folder / "index.json").write_text('{"arrays": {}, "last": false, "longest": null}'),
    "no JSON": lambda folder: (folder / "index.json").write_bytes(b"\xff{"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_as_good_as_none(damage, cache, capfd):
    made = tokenizer()
    whole = kept_features({}, (COLUMN,), lambda: MADE["texts"](made))
    (folder,) = cache.iterdir()
    DAMAGES[damage](folder)
    capfd.readouterr()
    assert_same(whole, kept_features({}, (COLUMN,), lambda: MADE["texts"](made)))
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert str(folder) in said
    assert "damaged" in said
    assert_same(whole, kept_features({}, (COLUMN,), never))
    assert capfd.readouterr().err == ""


def test_a_cache_that_cannot_be_written_stops_nothing(cache, capfd):
    cache.parent.mkdir()
    cache.write_text("no folder")
    whole = MADE["texts"](tokenizer())
    assert_same(whole, kept_features({}, (COLUMN,), lambda: MADE["texts"](tokenizer())))
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert str(cache) in said


def test_each_tokenizer_has_its_own():
    one, other, cut = tokenizer(), bert_tokenizer(), tokenizer()
    cut(TEXTS[:1], truncation=True, max_length=3)  # of which nothing is left behind
    assert tokenizer_identity(one) == tokenizer_identity(tokenizer()) == tokenizer_identity(cut)
    added = tokenizer()
    added.add_tokens(["cats"])
    unlike = tokenizer()
    unlike.unk_token = "<pad>"  # noqa: S105 - no secret
    assert len({tokenizer_identity(one) for one in (one, other, added, unlike)}) == 4


def test_the_oldest_goes_and_what_may_be_in_use_stays(cache, monkeypatch):
    for number in range(4):
        kept_features({"n": number}, (COLUMN,), lambda: MADE["texts"](tokenizer()))
    folders = sorted(cache.iterdir())
    days = (40, 3, 2, 0)
    for folder, age in zip(folders, days, strict=True):
        os.utime(folder, (time.time() - age * 86_400,) * 2)
    feature_cache._sweep(cache)
    assert sorted(cache.iterdir()) == folders[1:]
    size = sum(file.stat().st_size for file in folders[1].iterdir())
    monkeypatch.setattr(feature_cache, "MOST", 5 * size // 2)
    feature_cache._sweep(cache)
    assert sorted(cache.iterdir()) == folders[2:]
    monkeypatch.setattr(feature_cache, "MOST", 0)
    feature_cache._sweep(cache)
    assert list(cache.iterdir()) == folders[3:]


@pytest.fixture
def spec(tmp_path):
    return {
        "name": "kept", "backbone": str(checkpoint(tmp_path / "model")), "task": "sib200",
        "data": {"path": str(sib200(tmp_path / "data"))}, "source": "eng-Latn", "targets": ["deu-Latn"],
        "methods": {"linear-probe": {}},
    }  # fmt: skip


def test_a_second_run_finds_what_the_first_has_left(spec, cache, monkeypatch):
    monkeypatch.setattr(encoded, "SMALLEST", 1)

    def features(**changes):
        workspace = Workspace.open(Spec(**{**spec, **changes}))
        material = workspace.encoded(workspace.cells[0])
        return material.train_dev(0).train, material.test.features

    first = features()
    names = set(cache.iterdir())
    assert len(names) == 4  # train, dev, and two test splits
    with monkeypatch.context() as patch:
        patch.setattr(encoded.EncodedData, "_made", lambda *_: never())
        again = features()
    for one, other in zip(first, again, strict=True):
        assert_same(one, other)
    features(data={**spec["data"], "train_limit": 7})
    assert len(set(cache.iterdir()) - names) == 1  # train alone is another
    names = set(cache.iterdir())
    features(data={**spec["data"], "longest": 16})
    assert len(set(cache.iterdir()) - names) == 4


def test_what_is_small_is_not_kept(spec, cache):
    workspace = Workspace.open(Spec(**spec))
    assert len(workspace.encoded(workspace.cells[0]).test.features)
    assert not cache.exists()


def test_two_processes_at_once(spec, cache):
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from isogloss.experiment import encoded
from isogloss.experiment.workspace import Workspace
from isogloss.spec import Spec
encoded.SMALLEST = 1
for _ in range(20):
    workspace = Workspace.open(Spec(**{spec!r}))
    features = workspace.encoded(workspace.cells[0]).test.features
    print(int(features.tokens.sum()), flush=True)
    if len(sys.argv) > 1:
        import shutil
        from isogloss.preprocessing.feature_cache import features_folder
        shutil.rmtree(features_folder(), ignore_errors=True)
"""  # one of them clears the cache again and again
    both = [
        subprocess.Popen([sys.executable, "-c", code, *extra], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        for extra in ([], ["clear"])
    ]
    said = [process.communicate(timeout=300)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len({*said[0], *said[1]}) == 1
    assert len(said[0]) == len(said[1]) == 20
    assert features_folder() == cache
