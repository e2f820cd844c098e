"""Unknown tokens are counted among those of the texts, and nothing else is."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from isogloss.preprocessing.tokenize import tokenise, tokenise_passages, tokenise_words
from isogloss.preprocessing.unknown import text_tokens
from models import bert_tokenizer, tokenizer


def counted(texts, made=None):
    made = made or tokenizer()
    total, unknown = text_tokens(tokenise((texts,), [0] * len(texts), made), made)
    return total.tolist(), unknown.tolist()


@pytest.mark.parametrize("made", [tokenizer(), bert_tokenizer()])
def test_special_tokens_are_no_text(made):
    assert counted(["the cat", "the hippopotamus sat", "ein Nilpferd"], made) == ([2, 3, 2], [0, 1, 2])


def test_a_text_may_become_nothing():
    assert counted(["the cat", " \u3000 ", ""]) == ([2, 0, 0], [0, 0, 0])


def test_pairs_words_and_passages_are_counted_whole():
    made = tokenizer()
    pair = tokenise((["the cat"], ["sat foo"]), [0], made)
    words = tokenise_words([["the", "foo", "bar"]], [0, 0, 0], made, last=False)
    passage = tokenise_passages(["foo cat"], ["the cat foo"], [(0, 3)], made)
    assert [[column.tolist() for column in text_tokens(one, made)] for one in (pair, words, passage)] == [
        [[4], [1]], [[3], [2]], [[5], [2]],
    ]  # fmt: skip


def test_a_tokenizer_of_bytes_knows_everything():
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*letters, "<end>"])}
    made = Tokenizer(models.BPE(vocabulary, []))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    # As GPT-2 has it: the unknown token is the one that ends texts. Without special tokens a row may be empty.
    fast = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<end>", eos_token="<end>", pad_token="<end>")
    assert counted(["ab", "", "世"], fast) == ([2, 0, 3], [0, 0, 0])
    none = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>")
    assert counted(["ab"], none) == ([2], [0])
