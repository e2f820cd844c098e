"""Batches put straight into arrays give what the tokenizer says of whole lists, word by word and token by token."""

from __future__ import annotations

import unicodedata

import numpy as np
import polars as pl
import pytest

from decoders import byte_tokenizer
from isogloss.preprocessing import encoding
from isogloss.preprocessing.fill_template import tokenise_filled
from isogloss.preprocessing.templates import Template
from isogloss.preprocessing.tokenize import END, START, tokenise, tokenise_passages, tokenise_words
from isogloss.preprocessing.truncate import fit
from isogloss.runtime import console
from models import WORDS, bert_tokenizer, tokenizer

TEXTS = [
    "the cat sat", "e\u0301te\u0301 a\u0300 n\u0303\u0303o", "  two  spaces ", "世界は広い 한국어", "नमस्ते दुनिया",
    "\u00ad", "   ", "\u0301x", "ไทยแลนด์ สวัสดี", "🇺🇸 👨‍👩‍👧 the", "a" * 70, "Größe, 12345!",
    *(" ".join(WORDS[i:]) for i in range(9)),
]  # fmt: skip
SENTENCES = [*(text.split() or ["x"] for text in TEXTS), ["\u00ad", "a", "\u200d"], ["\ufe0f", "\u00ad"], ["\u00ad"]]
MADE = {"word-level": tokenizer, "typed": bert_tokenizer, "bytes": byte_tokenizer}


@pytest.fixture(params=[*MADE, "e5"])
def made(request):
    return request.getfixturevalue("e5_tokenizer") if request.param == "e5" else MADE[request.param]()


@pytest.fixture(params=["one batch", "rows", "characters"], autouse=True)
def batched(request, monkeypatch):
    if request.param != "one batch":
        monkeypatch.setattr(encoding, *{"rows": ("ROWS", 4), "characters": ("CHARACTERS", 40)}[request.param])


def rows_of(features):
    types = features.tokens if features.types is None else features.types
    return [
        [part[begin:end].tolist() for part in (features.tokens, types)]
        for begin, end in zip(features.starts[:-1], features.starts[1:], strict=True)
    ]


def expected(encoded, row):
    ids = list(encoded["input_ids"][row])
    return [ids, list(encoded.get("token_type_ids", encoded["input_ids"])[row])]


@pytest.mark.parametrize("column", [list, tuple, pl.Series])
def test_texts_and_pairs(made, column):
    for columns in ((TEXTS,), (TEXTS, TEXTS[::-1])):
        features = tokenise(tuple(map(column, columns)), [0] * len(TEXTS), made)
        encoded = made(*columns, truncation=False)
        assert rows_of(features) == [expected(encoded, row) for row in range(len(TEXTS))]
        assert features.tokens.dtype == np.int32


@pytest.mark.parametrize("column", [list, pl.Series])
def test_words(made, column):
    tags = [0] * sum(map(len, SENTENCES))
    features = tokenise_words(column(SENTENCES), tags, made, last=False)
    joins = made([["a", "b"]], is_split_into_words=True)["input_ids"][0] != made("a b")["input_ids"]
    spaced = [[f" {word}" if n and joins else word for n, word in enumerate(words)] for words in SENTENCES]
    encoded = made(spaced, is_split_into_words=True, truncation=False)
    nothing = next(number for number in (made.unk_token_id, made.pad_token_id, 0) if number is not None)
    assert features.words.counts.tolist() == [len(words) for words in SENTENCES]
    for row, words in enumerate(SENTENCES):
        ids, of_word = encoded["input_ids"][row], encoded.word_ids(row)
        tokens = rows_of(features)[row][0]
        spans = features.words.spans[features.units([row])].tolist()
        for number, (begin, end) in enumerate(spans):
            subwords = [ids[at] for at, word in enumerate(of_word) if word == number]
            assert tokens[begin:end] == (subwords or [nothing])
        assert [begin for begin, _ in spans[1:]] == [end for _, end in spans[:-1]]  # nothing between them
        around = [ids[at] for at, word in enumerate(of_word) if word is None]
        assert tokens[: spans[0][0]] + tokens[spans[-1][1] :] == around
        assert len(spans) == len(words)


def test_passages(made):
    questions = [text[:9] or "x" for text in TEXTS[::-1]]
    answers = [None if n % 3 == 0 else (len(text) // 2, len(text) // 2 + 3) for n, text in enumerate(TEXTS)]
    features = tokenise_passages(pl.Series(questions), pl.Series(TEXTS), answers, made)
    encoded = made(questions, TEXTS, return_offsets_mapping=True, truncation=False)
    for row, text in enumerate(TEXTS):
        assert rows_of(features)[row] == expected(encoded, row)
        of_passage = [at for at, part in enumerate(encoded.sequence_ids(row)) if part == 1]
        units = features.units([row])
        assert features.words.spans[units].tolist() == [[0, 1], *([at, at + 1] for at in of_passage)]
        tight = [tightened(text, *encoded["offset_mapping"][row][at]) for at in of_passage]
        assert features.offsets[units].tolist() == [[0, 0], *tight]
        begin, end = answers[row] or (0, 0)
        touched = [unit for unit, (one, other) in enumerate(tight, start=1) if one < end and other > begin] or [0]
        bits = np.zeros(len(units), dtype=int)
        bits[touched[0]] |= START
        bits[touched[-1]] |= END
        assert features.labels[units].tolist() == bits.tolist()


def tightened(text, begin, end):
    """A token's characters with its accents and without white space, one character after the other."""
    while begin < end < len(text) and unicodedata.combining(text[end]):
        end += 1
    inside = text[begin:end]
    return [begin + len(inside) - len(inside.lstrip()), end - len(inside) + len(inside.rstrip())]


@pytest.mark.parametrize("written", ["{text} so {answer}", "say {prompt}{second}: {text}! {answer}", "{text}{answer}"])
def test_templates(made, written):
    template = Template.parse(written)
    columns = (TEXTS, TEXTS[::-1])[: len(template.texts)]
    features = tokenise_filled(template, tuple(map(pl.Series, columns)), [0] * len(TEXTS), made, causal=True)
    slot = made.pad_token_id if made.eos_token_id is None else made.eos_token_id
    front = made("a")["input_ids"]
    front = front[: [*made("a").sequence_ids(0)].index(0)]
    for row in range(len(TEXTS)):
        ids, spans = list(front), {}
        for part, mark in zip(template.parts, [*template.marks, None], strict=True):
            whole, inside = "", {}
            for literal, field in part:
                text = literal if field is None else columns[template.texts.index(field)][row]
                inside |= {} if field is None else {field: (len(whole), len(whole) + len(text))}
                whole += text
            if part:
                encoded = made(whole, add_special_tokens=False, return_offsets_mapping=True)
                for field, (begin, end) in inside.items():
                    places = [n for n, (a, b) in enumerate(encoded["offset_mapping"]) if a < end and b > begin]
                    spans[field] = [len(ids) + n for n in ((places[0], places[-1] + 1) if places else (0, 0))]
                ids += encoded["input_ids"]
            if mark == "prompt":
                assert features.filled.prompt[row] == len(ids)
            if mark == "answer":
                ids = ids or [slot]
                assert features.filled.answer[row] == len(ids)
                ids.append(slot)
        assert rows_of(features)[row][0] == ids
        assert features.filled.spans[row].tolist() == [spans[name] for name in template.texts]


@pytest.mark.parametrize("room", [12, 40])
def test_what_is_long_enough_stays_as_it_is_among_what_is_cut(made, room):
    words = tokenise_words(SENTENCES, [0] * sum(map(len, SENTENCES)), made, last=True)
    texts = tokenise((pl.Series(TEXTS),), [0] * len(TEXTS), made)
    passages = tokenise_passages(["x"] * len(TEXTS), TEXTS, [None] * len(TEXTS), made)
    for whole in (texts, words, passages):
        cut = fit(whole, room, made)
        assert cut.lengths.max() <= room
        for row, rows in enumerate(cut.of_example):
            if whole.lengths[row] <= room:
                assert [rows_of(cut)[one] for one in rows] == [rows_of(whole)[row]]
                assert cut.labels[cut.units(rows)].tolist() == whole.labels[whole.units([row])].tolist()
    assert rows_of(fit(texts, room, made)) == [
        expected(made(TEXTS, truncation=True, max_length=room), row) for row in range(len(TEXTS))
    ]


def test_what_an_earlier_call_asked_for_is_forgotten(made):
    made(TEXTS[:3], truncation=True, max_length=4, padding="max_length")
    assert rows_of(tokenise((TEXTS,), [0] * len(TEXTS), made))[-1] == expected(made(TEXTS, truncation=False), -1)


def test_progress_is_shown_where_it_takes_long(monkeypatch, capfd):
    tokenise((TEXTS,), [0] * len(TEXTS), tokenizer())
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(console, "PATIENCE", 0.0)
    monkeypatch.setattr(encoding, "ROWS", 4)
    tokenise((TEXTS,), [0] * len(TEXTS), tokenizer())
    shown = capfd.readouterr().err
    assert shown.startswith("tokenising: ")
    assert f"of {len(TEXTS)}" in shown
    assert "left" in shown


def test_nothing_at_all():
    for features in (tokenise(((),), [], tokenizer()), tokenise_words([], [], tokenizer(), last=False)):
        assert (len(features), len(features.tokens), len(features.labels)) == (0, 0, 0)
