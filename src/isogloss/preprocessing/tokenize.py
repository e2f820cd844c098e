"""From texts to features: texts and pairs, sentences of given words, questions with their passages.

Nothing is cut here, because how much fits depends on the method's prompt.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from isogloss.preprocessing.features import Features, WordSpans, end_to_end

CHUNK = 1024  # passages tokenised at once: what tokenizers say of each takes many times its own memory
START, END = 1, 2  # bits of a unit's label: an answer begins, or ends, here


def tokenise(
    texts: tuple[Sequence[str], ...], labels: Sequence[int], tokenizer: Any, *, longest: int | None = None
) -> Features:
    """Encode whole texts.

    Args:
        texts: the texts, or the first and the second texts of pairs.
        labels: each example's class.
        tokenizer: a fast tokenizer.
        longest: most tokens of a row.
    """
    encoded = tokenizer(*(list(column) for column in texts), truncation=False, verbose=False)
    types = encoded.get("token_type_ids")
    return Features(
        **end_to_end(_arrays(encoded["input_ids"]), None if types is None else _arrays(types)),
        labels=np.asarray(labels, dtype=np.int64),
        texts=texts,
        longest=longest,
    )


def tokenise_words(
    sentences: Sequence[Sequence[str]],
    labels: Sequence[int],
    tokenizer: Any,
    *,
    last: bool,
    longest: int | None = None,
) -> Features:
    """Encode sentences of given words, keeping where each word lies.

    A word that the tokenizer turns into nothing (a soft hyphen, a variation selector) becomes the unknown token (the
    padding token where there is none), so that it is predicted like any other.

    Args:
        sentences: words of each.
        labels: the class of every word of every sentence.
        tokenizer: a fast tokenizer.
        last: whether a word's last sub-word stands for it, not its first.
        longest: most tokens of a row.
    """
    spaced = [_spaced(words, tokenizer) for words in sentences]
    encoded = tokenizer(spaced, is_split_into_words=True, truncation=False, verbose=False)
    nothing = next(number for number in (tokenizer.unk_token_id, tokenizer.pad_token_id, 0) if number is not None)
    tokens, types, spans = [], [], []
    for row, words in enumerate(sentences):
        ids, kinds = encoded["input_ids"][row], encoded.get("token_type_ids", encoded["input_ids"])[row]
        subwords: list[list[int]] = [[] for _ in words]  # of each word, where its sub-words stand
        word_at = encoded.word_ids(row)
        for index, word in enumerate(word_at):
            if word is not None:
                subwords[word].append(index)
        inside = [index for index, word in enumerate(word_at) if word is not None]
        front = inside[0] if inside else 1
        back = inside[-1] + 1 if inside else front
        new, kind = list(ids[:front]), list(kinds[:front])
        for indices in subwords:
            spans.append([len(new), len(new) + max(1, len(indices))])
            new += [ids[index] for index in indices] or [nothing]
            kind += [kinds[index] for index in indices] or [kinds[0]]
        tokens.append([*new, *ids[back:]])
        types.append([*kind, *kinds[back:]])
    return Features(
        **end_to_end(_arrays(tokens), _arrays(types) if "token_type_ids" in encoded else None),
        labels=np.asarray(labels, dtype=np.int64),
        words=WordSpans(np.asarray([len(words) for words in sentences]), np.asarray(spans), last),
        longest=longest,
    )


def _spaced(words: Sequence[str], tokenizer: Any) -> list[str]:
    """Words as the tokenizer wants them: where it counts a space to the word behind it, with that space."""
    if _joins_words(tokenizer):
        return [f" {word}" if index else word for index, word in enumerate(words)]
    return list(words)


@lru_cache(maxsize=4)
def _joins_words(tokenizer: Any) -> bool:
    """Whether two words given apart become one: byte-level tokenizers put no space between them, nor Gemma's."""
    apart, written = tokenizer([["a", "b"]], is_split_into_words=True)["input_ids"][0], tokenizer("a b")["input_ids"]
    return bool(apart != written)


def tokenise_passages(
    questions: Sequence[str],
    passages: Sequence[str],
    answers: Sequence[tuple[int, int] | None],
    tokenizer: Any,
    *,
    longest: int | None = None,
) -> Features:
    """Encode questions, each with the passage that holds its answer.

    The units of a row are its first token, which stands for "not in this row", and the tokens of the passage.

    Args:
        questions: a question each.
        passages: the text that holds its answer.
        answers: where the answer begins and ends in the passage, in characters; none if unknown.
        tokenizer: a fast tokenizer.
        longest: most tokens of a row.
    """
    tokens, types, counts, spans, offsets, labels = [], [], [], [], [], []
    for begin in range(0, len(questions), CHUNK):
        rows = range(begin, min(begin + CHUNK, len(questions)))
        encoded = tokenizer(
            [questions[row] for row in rows], [passages[row] for row in rows],
            return_offsets_mapping=True, truncation=False, verbose=False,
        )  # fmt: skip
        tokens += _arrays(encoded["input_ids"])
        types += _arrays(encoded.get("token_type_ids", []))
        for index, row in enumerate(rows):
            of_passage = [token for token, part in enumerate(encoded.sequence_ids(index)) if part == 1]
            characters = [_tight(passages[row], *encoded["offset_mapping"][index][token]) for token in of_passage]
            counts.append(1 + len(of_passage))
            spans.append(np.asarray([[0, 1], *([token, token + 1] for token in of_passage)]))
            offsets.append(np.asarray([(0, 0), *characters]))
            labels.append(_bits(offsets[-1], answers[row]))
    return Features(
        **end_to_end(tokens, types or None),
        labels=np.concatenate(labels),
        texts=(questions, passages),
        words=WordSpans(np.asarray(counts), np.concatenate(spans)),
        offsets=np.concatenate(offsets),
        longest=longest,
    )


def _tight(text: str, begin: int, end: int) -> tuple[int, int]:
    """A token's characters without the white space that some tokenizers count to it, and with all of its accents.

    Where normalisation composes a letter and its accents, tokenizers report the place of the letter alone.
    """
    while begin < end < len(text) and unicodedata.combining(text[end]):
        end += 1
    inside = text[begin:end]
    return begin + len(inside) - len(inside.lstrip()), end - len(inside) + len(inside.rstrip())


def _bits(offsets: np.ndarray, answer: tuple[int, int] | None) -> np.ndarray:
    """Which units an answer begins and ends at: those that share characters with it."""
    labels = np.zeros(len(offsets), dtype=np.int64)
    begin, end = answer or (0, 0)
    touched = np.flatnonzero((offsets[:, 0] < end) & (offsets[:, 1] > begin))
    labels[touched[0] if len(touched) else 0] |= START
    labels[touched[-1] if len(touched) else 0] |= END
    return labels


def _arrays(rows: Sequence[Sequence[int]]) -> list[np.ndarray]:
    return [np.asarray(row, dtype=np.int64) for row in rows]
