"""Words to sub-words and back: every word is predicted, whatever the tokenizer and the model's length do to it."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel

from isogloss.api import run
from isogloss.experiment.predict import Model
from isogloss.methods.registry import find
from isogloss.preprocessing.features import Features
from isogloss.preprocessing.tokenize import tokenise_words
from isogloss.preprocessing.truncate import split_at_words
from isogloss.spec import Spec
from isogloss.tasks.registry import TASKS
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import WORDS, backbone, bert_tokenizer, checkpoint, reference


def words_of(features, tokenizer):
    """The sub-words of each word."""
    out = []
    for row in range(len(features)):
        ids = features.tokens[features.starts[row] : features.starts[row + 1]]
        for begin, end in features.words.spans[features.unit_starts[row] : features.unit_starts[row + 1]]:
            out.append(tokenizer.convert_ids_to_tokens(ids[begin:end].tolist()))
    return out


def test_a_word_is_its_own_sub_words(e5_tokenizer):
    sentence = ["Reykjavík", "lies", "far", ",", "ไปโรงเรียนพรุ่งนี้", "東京都", "🙂"]
    features = tokenise_words([sentence, ["a"]], [0] * 8, e5_tokenizer, last=False)
    for word, pieces in zip([*sentence, "a"], words_of(features, e5_tokenizer), strict=True):
        assert "".join(pieces).removeprefix("▁") == word
    assert features.words.counts.tolist() == [7, 1]
    assert features.words.spots.tolist() == features.words.spans[:, 0].tolist()
    last = tokenise_words([sentence], [0] * 7, e5_tokenizer, last=True).words
    assert last.spots.tolist() == [end - 1 for _, end in last.spans]
    expected = e5_tokenizer(sentence, is_split_into_words=True)["input_ids"]
    assert features.tokens[: features.starts[1]].tolist() == expected


def test_a_word_of_which_nothing_is_left_is_still_a_word(e5_tokenizer):
    sentence = ["a", "\u00ad", "b", "\ufe0f", "\u200b"]
    features = tokenise_words([sentence, ["\u00ad"]], [0] * 6, e5_tokenizer, last=False)
    pieces = words_of(features, e5_tokenizer)
    assert len(pieces) == 6
    assert all(pieces)
    assert pieces[0] == ["▁a"]
    assert pieces[2] == ["▁b"]
    ids = features.tokens[features.starts[1] :].tolist()
    assert (ids[0], ids[-1]) == (e5_tokenizer.cls_token_id, e5_tokenizer.sep_token_id)


LENGTHS = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=12), min_size=1, max_size=6)


@given(LENGTHS, st.integers(3, 30))
@settings(deadline=None)
def test_splitting_keeps_every_word_once_and_in_order(sentences, room):
    tokens, spans, mark = [], [], iter(range(10, 10_000))
    for sentence in sentences:
        ends = 1 + np.cumsum(sentence)
        spans += [[end - size, end] for end, size in zip(ends, sentence, strict=True)]
        tokens.append([0, *[next(mark) for _ in range(sum(sentence))], 2])
    from isogloss.preprocessing.features import WordSpans

    count = sum(map(len, sentences))
    whole = Features(
        tokens=np.concatenate(tokens), types=None, starts=np.cumsum([0, *map(len, tokens)]), labels=np.arange(count),
        words=WordSpans(np.asarray([len(s) for s in sentences]), np.asarray(spans)),
    )  # fmt: skip
    cut = split_at_words(whole, room)
    assert cut.lengths.max() <= room
    assert cut.unit_starts[-1] == count
    assert cut.cut == sum(size > room - 2 for sentence in sentences for size in sentence)
    first = [
        int(cut.tokens[cut.starts[row] + spot]) for row in range(len(cut)) for spot in cut.words.spots[cut.units([row])]
    ]
    assert first == [
        int(whole.tokens[whole.starts[r] + s]) for r in range(len(whole)) for s in whole.words.spots[whole.units([r])]
    ]
    for row in range(len(cut)):
        ids = cut.tokens[cut.starts[row] : cut.starts[row + 1]]
        assert (ids[0], ids[-1]) == (0, 2)
        own = cut.words.spans[cut.units([row])]
        assert own[0, 0] == 1
        assert own[-1, 1] == len(ids) - 1
        assert (own[1:, 0] == own[:-1, 1]).all()


@pytest.mark.parametrize("family", ["xlm-roberta", "bert"])
@pytest.mark.parametrize("last", [False, True])
def test_the_states_of_words_are_those_of_their_tokens(tmp_path, family, last):
    model = backbone(tmp_path, family)
    sentences = [WORDS[: 2 + 3 * i] for i in range(5)]
    features = tokenise_words(sentences, [0] * sum(map(len, sentences)), model.tokenizer, last=last)
    method = find("linear-probe")
    stack = Stack(model, method, [new_run(method, model, method.settings(), seed=0, classes=2)])
    states = stack.states(features, stack.runs[0], budget=40)
    at = 0
    for row, words in enumerate(sentences):
        ids = torch.tensor(features.tokens[features.starts[row] : features.starts[row + 1]])
        with torch.no_grad():
            alone = reference(tmp_path, ids)
        torch.testing.assert_close(states[at : at + len(words)], alone[1:-1], rtol=1e-5, atol=1e-5)
        at += len(words)


def readable(folder):
    """A checkpoint whose states keep the words: what layers and positions add to them is small."""
    model = AutoModel.from_pretrained(checkpoint(folder), add_pooling_layer=False)
    with torch.no_grad():
        model.embeddings.position_embeddings.weight.mul_(0.02)
        for layer in model.encoder.layer:
            layer.attention.output.dense.weight.mul_(0.02)
            layer.output.dense.weight.mul_(0.02)
    model.save_pretrained(folder)
    return folder


TAG = {word: "NOUN" if i % 2 else "VERB" for i, word in enumerate(WORDS)}


def udpos(folder):
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name in ("train-en", "dev-en", "test-en", "test-de"):
        lines = []
        for _ in range(20):
            words = generator.choice(WORDS, generator.integers(1, 60))
            lines += [*(f"{word}\t{TAG[word]}" for word in words), ""]
        (folder / f"{name}.tsv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_a_tagger_from_files_to_predictions(tmp_path):
    methods = {
        "linear-probe": {"epochs": 30, "batch_size": 4, "head_lr": 0.03}, "soft-prompt": {"epochs": 1, "length": 3},
        "deep-prompt": {"epochs": 1, "length": [2, 4]}, "fine-tuning": {"epochs": 1},
    }  # fmt: skip
    spec = Spec(
        name="small", backbone=str(readable(tmp_path / "model")), task="udpos",
        data={"path": udpos(tmp_path / "data")}, methods=methods, seeds=[0, 1], dtype="float32", device="cpu",
    )  # fmt: skip
    stored = run(spec, tmp_path / "run").store
    predictions = stored.table("predictions")
    assert len(predictions) == 5 * 2 * 2 * 20
    counts = predictions.select(pl.col("^gold|predicted$").str.split(" ").list.len())
    assert counts["gold"].max() > 40  # longer than the model
    assert counts["gold"].equals(counts["predicted"].alias("gold"))
    scores = stored.table("scores").filter(split="test")
    assert set(scores["metric"]) == {"accuracy", "macro-f1", "span-f1"}
    probe = scores.filter(method="linear-probe", metric="accuracy", language="eng-Latn")
    assert probe["value"].min() > 0.95  # a word's tag follows from the word
    english = predictions.filter(method="linear-probe", seed=0, language="eng-Latn")
    assert probe.filter(seed=0)["value"][0] == TASKS["tagging"].metrics["accuracy"](
        *(english[name].to_list() for name in ("gold", "predicted")), "eng-Latn"
    )
    assert probe["n"][0] == english["gold"].str.split(" ").list.len().sum()
    record = json.loads((tmp_path / "run/weights/linear-probe/0/run.json").read_text())
    assert record["truncated"] == {"train": 0, "dev": 0, "test": 0}
    first = (tmp_path / "data/test-en.tsv").read_text().split("\n\n")[0].split("\n")
    words = [line.split("\t")[0] for line in first]
    (answer,) = Model.load(tmp_path / "run", method="linear-probe", seed=0).predict([" ".join(words)])
    assert answer["words"] == words
    assert " ".join(answer["labels"]) == english["predicted"][0]


def test_type_ids_go_along():
    features = tokenise_words([WORDS[:6], WORDS[:2]], [0] * 8, bert_tokenizer(), last=False)
    assert features.types.tolist() == [0] * len(features.tokens)
    cut = split_at_words(features, 5)
    assert cut.types.tolist() == [0] * len(cut.tokens)
