"""From texts to features: texts and pairs, sentences of given words, questions with their passages.

Nothing is cut here, because how much fits depends on the method's prompt. All is done batch by batch
(`preprocessing.encoding`), and with arrays of a whole batch at once: nothing of Python's is made for each token that
stays.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Int
from tokenizers import Encoding

from isogloss.preprocessing.encoding import (
    Encoder,
    Rows,
    Sentences,
    batches,
    has_types,
    ids_of,
    lengths_of,
    offsets_of,
    types_of,
)
from isogloss.preprocessing.features import Features, Texts, WordSpans
from isogloss.preprocessing.ragged import ranges, starts_of

START, END = 1, 2  # bits of a unit's label: an answer begins, or ends, here
NONE = -1  # the word of a token that is no word's

Labels = Sequence[int] | Int[np.ndarray, "units"]


def tokenise(texts: tuple[Texts, ...], labels: Labels, tokenizer: Any, *, longest: int | None = None) -> Features:
    """Encode whole texts.

    Args:
        texts: the texts, or the first and the second texts of pairs.
        labels: each example's class.
        tokenizer: a fast tokenizer.
        longest: most tokens of a row.
    """
    rows, encode = Rows(tokenizer), Encoder(tokenizer, places=False)
    for _, columns in batches(texts):
        rows.add(encode(columns))
    return Features(**rows.fields(), labels=np.asarray(labels, dtype=np.int64), texts=texts, longest=longest)


def tokenise_words(
    sentences: Sentences, labels: Labels, tokenizer: Any, *, last: bool, longest: int | None = None
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
    nothing = next(number for number in (tokenizer.unk_token_id, tokenizer.pad_token_id, 0) if number is not None)
    rows, counts, spans = Rows(tokenizer), [np.empty(0, dtype=np.int32)], [np.empty((0, 2), dtype=np.int32)]
    encode = Encoder(tokenizer, places=True, words=True)
    for _, (some,) in batches([sentences], words=True):
        encodings = encode([[_spaced(words, tokenizer) for words in some]])
        counts.append(np.fromiter(map(len, some), dtype=np.int32, count=len(some)))
        tokens, types, lengths, of_words = _words_placed(encodings, counts[-1], nothing, typed=has_types(tokenizer))
        rows.append(tokens, types, lengths)
        spans.append(of_words)
    return Features(
        **rows.fields(),
        labels=np.asarray(labels, dtype=np.int64),
        words=WordSpans(np.concatenate(counts), np.concatenate(spans), last),
        longest=longest,
    )


def _words_placed(
    encodings: Sequence[Encoding], counts: Int[np.ndarray, "rows"], nothing: int, *, typed: bool
) -> tuple[
    Int[np.ndarray, "total"], Int[np.ndarray, "total"] | None, Int[np.ndarray, "rows"], Int[np.ndarray, "words 2"]
]:
    """Rows in which every word has a token: tokens, types, the length of each row, and each word's tokens.

    Args:
        encodings: of sentences.
        counts: words of each.
        nothing: the token of a word of which the tokenizer leaves none.
        typed: whether there are types.
    """
    ids, lengths = ids_of(encodings), lengths_of(encodings)
    words = chain.from_iterable(encoding.word_ids for encoding in encodings)
    word = np.fromiter((NONE if number is None else number for number in words), dtype=np.int64, count=len(ids))
    starts, row = starts_of(lengths), np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(ids)) - starts[row]
    inside = np.flatnonzero(word != NONE)
    # What stands in front of the first word and behind the last one; of a row without any, the first token is in front.
    front, back = np.minimum(1, lengths), np.zeros(len(lengths), dtype=np.int64)
    of_row, first = np.unique(row[inside], return_index=True)
    front[of_row] = place[inside[first]]
    np.maximum.at(back, row[inside], place[inside] + 1)
    back = np.where(np.isin(np.arange(len(lengths)), of_row), back, front)

    word_starts = starts_of(counts)
    number = word_starts[row[inside]] + word[inside]  # of each token's word among all of the batch
    subwords = np.bincount(number, minlength=word_starts[-1])
    sizes = np.maximum(1, subwords)
    before = starts_of(sizes)
    new_lengths = front + (before[word_starts[1:]] - before[word_starts[:-1]]) + lengths - back
    new_starts = starts_of(new_lengths)
    of_word = np.repeat(np.arange(len(lengths)), counts)  # the row of each word
    first_token = front[of_word] + before[:-1] - before[word_starts[:-1]][of_word]

    source = np.full(new_starts[-1], NONE)  # which token stands at each place
    ahead, behind = np.flatnonzero(place < front[row]), np.flatnonzero(place >= back[row])
    source[new_starts[row[ahead]] + place[ahead]] = ahead
    source[new_starts[row[behind] + 1] - lengths[row[behind]] + place[behind]] = behind
    order = np.argsort(number, kind="stable")  # a word's tokens in the order of the row
    begins = new_starts[of_word] + first_token
    source[ranges(begins, begins + subwords)] = inside[order]
    lacking = source == NONE
    tokens = np.where(lacking, nothing, ids[source]) if len(ids) else np.full(len(source), nothing)
    types = None
    if typed:
        kinds = types_of(encodings)
        first_kind = kinds[np.repeat(np.minimum(starts[:-1], max(len(ids) - 1, 0)), new_lengths)] if len(ids) else 0
        types = np.where(lacking, first_kind, kinds[source] if len(ids) else 0).astype(np.int32)
    spans = np.stack([first_token, first_token + sizes], axis=1).astype(np.int32)
    return tokens.astype(np.int32), types, new_lengths, spans


def _spaced(words: Sequence[str], tokenizer: Any) -> list[str]:
    """Words as the tokenizer wants them: where it counts a space to the word behind it, with that space."""
    if joins_words(tokenizer):
        return [f" {word}" if index else word for index, word in enumerate(words)]
    return list(words)


@lru_cache(maxsize=4)
def joins_words(tokenizer: Any) -> bool:
    """Whether two words given apart become one: byte-level tokenizers put no space between them, nor Gemma's."""
    apart, written = tokenizer([["a", "b"]], is_split_into_words=True)["input_ids"][0], tokenizer("a b")["input_ids"]
    return bool(apart != written)


def tokenise_passages(
    questions: Texts,
    passages: Texts,
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
    rows, encode, counts = Rows(tokenizer), Encoder(tokenizer, places=True), [np.empty(0, dtype=np.int32)]
    spans, offsets = [np.empty((0, 2), dtype=np.int32)], [np.empty((0, 2), dtype=np.int32)]
    labels = [np.empty(0, dtype=np.int64)]
    for some, columns in batches((questions, passages)):
        encodings = encode(columns)
        rows.add(encodings)
        lengths = lengths_of(encodings)
        side = np.fromiter(
            chain.from_iterable((part == 1 for part in encoding.sequence_ids) for encoding in encodings),
            dtype=bool, count=int(lengths.sum()),
        )  # fmt: skip
        row = np.repeat(np.arange(len(lengths)), lengths)
        place = np.arange(len(row)) - starts_of(lengths)[row]
        of_passage = np.bincount(row[side], minlength=len(lengths))
        counts.append((1 + of_passage).astype(np.int32))
        characters = _tight(columns[1], of_passage, offsets_of(encodings)[side])
        units = starts_of(counts[-1])
        others = np.ones(units[-1], dtype=bool)  # beside the first token of each row
        others[units[:-1]] = False
        spans.append(np.tile(np.asarray([[0, 1]], dtype=np.int32), (units[-1], 1)))
        spans[-1][others] = place[side][:, None] + np.asarray([0, 1])
        offsets.append(np.zeros((units[-1], 2), dtype=np.int32))
        offsets[-1][others] = characters
        labels.append(_bits(offsets[-1], units, answers[some]))
    return Features(
        **rows.fields(),
        labels=np.concatenate(labels),
        texts=(questions, passages),
        words=WordSpans(np.concatenate(counts), np.concatenate(spans)),
        offsets=np.concatenate(offsets),
        longest=longest,
    )


def _tight(
    texts: Sequence[str], counts: Int[np.ndarray, "texts"], offsets: Int[np.ndarray, "tokens 2"]
) -> Int[np.ndarray, "tokens 2"]:
    """Tokens' characters without the white space that some tokenizers count to them, and with all of their accents.

    Where normalisation composes a letter and its accents, tokenizers report the place of the letter alone.

    Args:
        texts: whose tokens they are.
        counts: tokens of each text.
        offsets: where each token begins and ends in its text, in characters.
    """
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    known, character = np.unique(
        np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4"), return_inverse=True
    )
    letters = list(map(chr, known.tolist()))
    blank = np.asarray([letter.isspace() for letter in letters], dtype=bool)[character]
    accent = np.asarray([unicodedata.combining(letter) > 0 for letter in letters], dtype=bool)[character]
    text_starts = np.repeat(starts_of(lengths)[:-1], counts)
    text_ends = np.repeat(starts_of(lengths)[1:], counts)
    begins, ends = text_starts + offsets[:, 0], text_starts + offsets[:, 1]
    something = begins < ends
    ends = np.where(something & (ends < text_ends), np.minimum(_next(~accent, len(accent))[ends], text_ends), ends)
    first = np.minimum(_next(~blank, len(blank))[begins], ends)
    last = np.maximum(len(blank) - _next(~blank[::-1], len(blank))[len(blank) - ends], begins)
    tight = np.stack([np.where(something, first, begins), np.where(something, last, ends)], axis=1)
    return np.asarray(tight - text_starts[:, None], dtype=np.int32)


def _next(wanted: np.ndarray, count: int) -> Int[np.ndarray, "places"]:
    """For each place and the one behind the last, the first at or behind it that is wanted; `count` where none is."""
    places = np.append(np.where(wanted, np.arange(count), count), count)
    return np.asarray(np.minimum.accumulate(places[::-1])[::-1])


def _bits(
    offsets: Int[np.ndarray, "units 2"], units: Int[np.ndarray, "ends"], answers: Sequence[tuple[int, int] | None]
) -> Int[np.ndarray, "units"]:
    """Which units an answer begins and ends at: those that share characters with it; else the first of its row.

    Args:
        offsets: the characters of each unit.
        units: where each row's units begin and end.
        answers: each row's, in characters.
    """
    places = np.asarray([answer or (0, 0) for answer in answers], dtype=np.int64).reshape(-1, 2)
    wanted = np.repeat(places, np.diff(units), axis=0)
    touched = (offsets[:, 0] < wanted[:, 1]) & (offsets[:, 1] > wanted[:, 0])
    number = np.arange(len(touched))
    labels = np.zeros(len(touched), dtype=np.int64)
    if len(labels):
        first = np.minimum.reduceat(np.where(touched, number, len(touched)), units[:-1])
        last = np.maximum.reduceat(np.where(touched, number, NONE), units[:-1])
        none = last == NONE
        labels[np.where(none, units[:-1], first)] |= START
        labels[np.where(none, units[:-1], last)] |= END
    return labels
