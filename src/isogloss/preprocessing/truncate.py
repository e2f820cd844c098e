"""Make rows fit the model: texts are truncated, sentences split between words, passages read through windows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from isogloss.errors import IsoglossError
from isogloss.preprocessing.encoding import batches
from isogloss.preprocessing.features import Features, WordSpans, some_texts
from isogloss.preprocessing.pieces import Pieces
from isogloss.preprocessing.tokenize import END, START

OVERLAP = 128  # tokens that two neighbouring windows of a passage share: `stride`, as tokenizers understand it


def text_room(room: int, longest: int | None) -> int:
    """How many tokens a row may have, special tokens included.

    Args:
        room: tokens that the model takes beside the prompt (`Backbone.room`).
        longest: the most that the user wants, if given; the kind of task may have a usual length (`Features.longest`).
    """
    return room if longest is None else min(room, longest)


def fit(features: Features, room: int, tokenizer: Any) -> Features:
    """Features of which no row is longer than fits (`text_room`).

    A text is encoded anew: the tokenizer truncates, so special tokens stay and of a pair the longer text is cut first.
    Sentences of words are split into several rows, passages into windows, so that no unit is left out.

    Args:
        features: as they came from the tokenizer.
        room: tokens that the model takes beside the prompt.
        tokenizer: the one that they came from.
    """
    room = text_room(room, features.longest)
    long = np.flatnonzero(features.lengths > room)
    if len(long) == 0:
        return features
    if features.passages:
        return windows(features, room)
    if features.words is not None:
        return split_at_words(features, room)
    if features.filled is not None:
        return shorten(features, room)
    cut = Pieces()
    columns = tuple(some_texts(texts, long) for texts in features.texts)
    for _, batch in batches(columns):
        encoded = tokenizer(*batch, truncation=True, max_length=room, verbose=False)
        for number, ids in enumerate(encoded["input_ids"]):
            cut.begin()
            types = None if features.types is None else np.asarray(encoded["token_type_ids"][number], dtype=np.int32)
            cut.add(np.asarray(ids, dtype=np.int32), types)
    return replace(features, **cut.replacing(features, long), cut=len(long))


def shorten(features: Features, room: int) -> Features:
    """Filled-in templates of at most `room` tokens: texts lose their ends, the longer one first, and nothing else.

    Raises:
        IsoglossError: a template has no room even without its texts.
    """
    filled = features.filled
    assert filled is not None
    pieces, answer, spans = Pieces(), filled.answer.copy(), filled.spans.copy()
    prompt = None if filled.prompt is None else filled.prompt.copy()
    long = np.flatnonzero(features.lengths > room)
    for row in long.tolist():
        ids = features.tokens[features.starts[row] : features.starts[row + 1]]
        while (over := len(ids) - room) > 0:
            lengths = spans[row, :, 1] - spans[row, :, 0]
            longest = int(lengths.argmax())
            others = np.delete(lengths, longest)
            # Down to the length of the other text, or as far as is needed.
            step = min(over, max(1, int(lengths[longest]) - int(others.max(initial=0))))
            if lengths[longest] < step:
                raise IsoglossError(f"the template alone takes more than the {room} tokens that there is room for")
            end = int(spans[row, longest, 1])
            ids = np.concatenate([ids[: end - step], ids[end:]])
            answer[row] -= step * (answer[row] >= end)
            if prompt is not None:
                prompt[row] -= step * (prompt[row] >= end)
            spans[row] -= step * (spans[row] >= end)
        pieces.begin()
        pieces.add(ids, None)
    return replace(
        features,
        **pieces.replacing(features, long),
        filled=replace(filled, answer=answer, prompt=prompt, spans=spans),
        cut=len(long),
    )


def split_at_words(features: Features, room: int) -> Features:
    """Rows of at most `room` tokens, each with the special tokens of the row that it is a piece of.

    Only a word that has no room on its own is truncated, and counted.
    """
    assert features.words is not None
    pieces, cut = Pieces(), 0
    long = np.flatnonzero(features.lengths > room)
    for row in long.tolist():
        pieces.begin()
        begin, end = features.starts[row : row + 2]
        words = features.words.spans[features.unit_starts[row] : features.unit_starts[row + 1]]
        front, back = np.arange(words[0, 0]), np.arange(words[-1, 1], end - begin)
        free = room - len(front) - len(back)
        piece: list[np.ndarray] = []
        for number, (first, behind) in enumerate(words):
            word = np.arange(first, min(behind, first + free))
            cut += int(len(word) < behind - first)
            piece.append(word)
            ended = number + 1 == len(words)
            full = ended or sum(map(len, piece)) + words[number + 1, 1] - words[number + 1, 0] > free
            if full:
                taken = np.concatenate([front, *piece, back]) + begin
                ends = len(front) + np.cumsum([len(word) for word in piece])
                spans = np.stack([np.concatenate([[len(front)], ends[:-1]]), ends], axis=1)
                types = None if features.types is None else features.types[taken]
                pieces.add(features.tokens[taken], types, spans=spans)
                piece = []
    return replace(
        features,
        **pieces.replacing(features, long),
        words=_words(features.words, pieces, long),
        owners=pieces.owners(len(features), long),
        cut=cut,
    )


def _words(words: WordSpans, pieces: Pieces, long: np.ndarray) -> WordSpans:
    return replace(
        words,
        counts=pieces.of_pieces(words.counts, long, lambda piece: len(piece["spans"])),
        spans=pieces.of_units("spans", words.spans, words.counts, long),
    )


def windows(features: Features, room: int) -> Features:
    """Windows of at most `room` tokens over each passage, every one behind its whole question.

    Neighbours share `OVERLAP` tokens. Where a window does not hold both ends of the answer, its first token is the
    answer. Only a question that takes more than half of the room is truncated, and counted.
    """
    assert features.words is not None
    assert features.offsets is not None
    pieces, cut = Pieces(), 0
    long = np.flatnonzero(features.lengths > room)
    for row in long.tolist():
        pieces.begin()
        begin, end = features.starts[row : row + 2]
        units = np.arange(*features.unit_starts[row : row + 2])
        places = features.words.spans[units[1:], 0]  # of the passage's tokens; unit 0 is the row's first token
        first, behind = (places[0], places[-1] + 1) if len(places) else (end - begin - 1, end - begin - 1)
        front, back = np.arange(first), np.arange(behind, end - begin)
        if len(front) > room // 2:
            marks = _separators(features, row, front)
            front = np.concatenate([front[: room // 2 - len(marks)], marks])
            cut += 1
        free = room - len(front) - len(back)
        step = free - min(OVERLAP, free // 2)
        first = 0
        while True:
            held = np.arange(first, min(first + free, len(places)))
            taken = np.concatenate([front, places[held], back]) + begin
            at = len(front) + np.arange(len(held))
            chosen = np.concatenate([units[:1], units[1:][held]])
            bits = features.labels[chosen].copy()
            if not ((bits & START).any() and (bits & END).any()):
                bits[:] = 0
                bits[0] = START | END
            pieces.add(
                features.tokens[taken],
                None if features.types is None else features.types[taken],
                spans=np.concatenate([[[0, 1]], np.stack([at, at + 1], axis=1)]),
                offsets=features.offsets[chosen],
                labels=bits,
            )
            if first + free >= len(places):
                break
            first += step
    counts = features.words.counts
    return replace(
        features,
        **pieces.replacing(features, long),
        labels=pieces.of_units("labels", features.labels, counts, long),
        words=_words(features.words, pieces, long),
        offsets=pieces.of_units("offsets", features.offsets, counts, long),
        owners=pieces.owners(len(features), long),
        cut=cut,
    )


def _separators(features: Features, row: int, front: np.ndarray) -> np.ndarray:
    """The special tokens between a question and its passage: all that repeats the row's last token."""
    ids = features.tokens[features.starts[row] : features.starts[row + 1]]
    count = 0
    while count < len(front) and ids[front[-1 - count]] == ids[-1]:
        count += 1
    return front[len(front) - count :]
