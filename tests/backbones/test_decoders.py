"""Heads on decoders: texts, pairs, words and passages, by tokenizers that are unlike those of encoders."""

import numpy as np
import pytest
import torch
from tokenizers import normalizers

from decoders import backbone, byte_tokenizer
from isogloss.backbones.loading import _separate_pairs
from isogloss.methods.registry import find
from isogloss.preprocessing.tokenize import tokenise, tokenise_passages, tokenise_words
from isogloss.tasks.heads import inputs
from isogloss.training.batch import collate
from isogloss.training.loop import train
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import WORDS, train_state

DECODERS = ["bloom", "gemma3_text", "qwen2", "xglm"]


def test_words_keep_the_spaces_that_belong_to_them():
    made = byte_tokenizer()
    sentences = [["the", "cat", "sat"], ["a", "\u00ad", "zebra"]]
    features = tokenise_words(sentences, [0] * 6, made, last=False)
    assert features.tokens[: features.starts[1]].tolist() == made("the cat sat")["input_ids"]
    assert features.words.counts.tolist() == [3, 3]
    for word, (first, behind) in zip(sentences[0], features.words.spans[:3], strict=True):
        assert made.decode(features.tokens[first:behind]).strip() == word


def test_a_word_of_nothing_is_predicted_without_an_unknown_token():
    made = byte_tokenizer()
    made.backend_tokenizer.normalizer = normalizers.Strip()
    features = tokenise_words([["the", " ", "cat"]], [0, 1, 2], made, last=True)
    assert features.tokens[features.words.spots].tolist()[1] == made.pad_token_id


def test_the_texts_of_a_pair_are_separated():
    made = byte_tokenizer()
    plain = made("the cat", "a dog")["input_ids"]
    _separate_pairs(made)
    pair = made("the cat", "a dog")
    assert pair["input_ids"] == [*made("the cat")["input_ids"], made.eos_token_id, *made("a dog")["input_ids"]]
    assert len(pair["input_ids"]) == len(plain) + 1
    assert pair.sequence_ids(0).count(None) == 1
    cut = made(["the cat"], ["a dog"], truncation=True, max_length=len(plain))["input_ids"][0]
    assert made.eos_token_id in cut


@pytest.mark.parametrize("family", DECODERS)
def test_an_evaluation_encodes_a_prompt_before_the_text_once(family, tmp_path, monkeypatch):
    model = backbone(tmp_path, family)
    features = tokenise((["the cat sat on the mat"] * 6,), [0] * 6, model.tokenizer)
    method = find("soft-prompt")
    run = new_run(method, model, method.settings(length=3), seed=0, classes=2)
    passes = []
    forward = type(model.family).forward
    monkeypatch.setattr(
        type(model.family), "forward", lambda *given: (passes.append(given[2].shape[1]), forward(*given))[1]
    )
    length = int(features.lengths[0])
    Stack(model, method, [run]).logits(features, [run], budget=2 * (length + 3))
    assert passes == [3, 2 * length, 2 * length, 2 * length]


def test_a_tokenizer_that_knows_no_letters_is_left_as_it_is():
    made = byte_tokenizer()
    made.backend_tokenizer.normalizer = normalizers.Replace("b", "")
    before = made("the cat", "a dog")["input_ids"]
    _separate_pairs(made)
    assert made("the cat", "a dog")["input_ids"] == before


@pytest.mark.parametrize("family", DECODERS)
@pytest.mark.parametrize("kind", ["text", "pair", "words", "passages"])
@pytest.mark.parametrize("method", ["soft-prompt", "deep-prompt", "fine-tuning", "linear-probe"])
def test_every_head_learns_on_every_decoder(family, kind, method, tmp_path):
    model = backbone(tmp_path, family)
    texts = [" ".join(WORDS[(3 * i + j * j) % len(WORDS)] for j in range(2 + i % 5)) for i in range(12)]
    gold = [i % 3 for i in range(12)]
    if kind == "text":
        features = tokenise((texts,), gold, model.tokenizer)
    elif kind == "pair":
        features = tokenise((texts, texts[::-1]), gold, model.tokenizer)
    elif kind == "words":
        sentences = [text.split() for text in texts]
        features = tokenise_words(
            sentences, [i % 3 for i in range(sum(map(len, sentences)))], model.tokenizer, last=True
        )
    else:
        features = tokenise_passages(
            ["the cat"] * 12, texts, [(0, len(text.split()[0])) for text in texts], model.tokenizer
        )
    found = find(method)
    options = {"length": 3} if "prompt" in method else {}
    settings = found.settings(epochs=2, batch_size=5, **options)
    own = model if found.frozen else model.copy()
    runs = [
        new_run(found, own, settings, seed=seed, classes=3 if kind != "passages" else 2)
        for seed in range(1 + found.frozen)
    ]
    stack = Stack(own, found, runs)
    train_states = [train_state(run, features) for run in runs]
    start = [run.state() for run in runs]
    train(stack, train_states, budget=60, eval_budget=60, source="eng-Latn")
    for run, before, one in zip(runs, start, train_states, strict=True):
        assert one.skipped == 0
        assert any(not torch.equal(before[name], tensor) for name, tensor in run.state().items())
        (scores,) = stack.logits(features, [run], budget=60)
        assert scores.isfinite().all()


def test_the_last_real_token_stands_for_a_text(tmp_path):
    model = backbone(tmp_path, "llama")
    assert model.pooling == "last"
    features = tokenise((["the cat sat", "a dog"],), [0, 1], model.tokenizer)
    batch = collate([(features, np.arange(2))], model.packing, None, pooling=model.pooling)
    states = torch.arange(float(len(batch.tokens)))[:, None]
    ends = np.cumsum(features.lengths) - 1
    assert inputs(states, batch.at)[0, :, 0].tolist() == ends.tolist()
    form = find("soft-prompt").form([find("soft-prompt").settings(length=3, place="after-first")])
    batch = collate([(features, np.arange(2))], model.packing, form, pooling=model.pooling)
    states = torch.arange(float(len(batch.tokens) + 6))[:, None]
    assert inputs(states, batch.at)[0, :, 0].tolist() == [ends[0] + 3, ends[1] + 6]
