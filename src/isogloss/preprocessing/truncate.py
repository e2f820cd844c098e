"""Make rows fit the model: texts are truncated, sentences split between words, passages read through windows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from isogloss.errors import IsoglossError
from isogloss.preprocessing.features import Features, end_to_end
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
    if features.passages:
        return windows(features, room)
    long = np.flatnonzero(features.lengths > room)
    if len(long) == 0:
        return features
    if features.words is not None:
        return split_at_words(features, room)
    if features.filled is not None:
        return shorten(features, room)
    columns = [[texts[int(i)] for i in long] for texts in features.texts]
    encoded = tokenizer(*columns, truncation=True, max_length=room, verbose=False)
    tokens = np.split(features.tokens, features.starts[1:-1])
    types = None if features.types is None else np.split(features.types, features.starts[1:-1])
    for number, i in enumerate(long):
        tokens[i] = np.asarray(encoded["input_ids"][number], dtype=np.int64)
        if types is not None:
            types[i] = np.asarray(encoded["token_type_ids"][number], dtype=np.int64)
    return replace(features, **end_to_end(tokens, types), cut=len(long))


def shorten(features: Features, room: int) -> Features:
    """Filled-in templates of at most `room` tokens: texts lose their ends, the longer one first, and nothing else.

    Raises:
        IsoglossError: a template has no room even without its texts.
    """
    filled = features.filled
    assert filled is not None
    tokens, answer, spans, cut = [], filled.answer.copy(), filled.spans.copy(), 0
    prompt = None if filled.prompt is None else filled.prompt.copy()
    for row in range(len(features)):
        ids = features.tokens[features.starts[row] : features.starts[row + 1]]
        cut += int(len(ids) > room)
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
        tokens.append(ids)
    return replace(
        features,
        **end_to_end(tokens, None),
        filled=replace(filled, answer=answer, prompt=prompt, spans=spans),
        cut=cut,
    )


def split_at_words(features: Features, room: int) -> Features:
    """Rows of at most `room` tokens, each with the special tokens of the row that it is a piece of.

    Only a word that has no room on its own is truncated, and counted.
    """
    assert features.words is not None
    tokens, types, counts, spans, owners, cut = [], [], [], [], [], 0
    for row in range(len(features)):
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
                tokens.append(features.tokens[taken])
                types.append(taken if features.types is None else features.types[taken])
                counts.append(len(piece))
                ends = len(front) + np.cumsum([len(word) for word in piece])
                spans.append(np.stack([np.concatenate([[len(front)], ends[:-1]]), ends], axis=1))
                owners.append(row)
                piece = []
    return replace(
        features,
        **end_to_end(tokens, None if features.types is None else types),
        words=replace(features.words, counts=np.asarray(counts), spans=np.concatenate(spans)),
        owners=np.asarray(owners),
        cut=cut,
    )


def windows(features: Features, room: int) -> Features:
    """Windows of at most `room` tokens over each passage, every one behind its whole question.

    Neighbours share `OVERLAP` tokens. Where a window does not hold both ends of the answer, its first token is the
    answer. Only a question that takes more than half of the room is truncated, and counted.
    """
    assert features.words is not None
    assert features.offsets is not None
    tokens, types, counts, spans, offsets, labels, owners, cut = [], [], [], [], [], [], [], 0
    for row in range(len(features)):
        begin, end = features.starts[row : row + 2]
        units = np.arange(*features.unit_starts[row : row + 2])
        places = features.words.spans[units[1:], 0]  # of the passage's tokens; unit 0 is the row's first token
        first, behind = (places[0], places[-1] + 1) if len(places) else (end - begin - 1, end - begin - 1)
        front, back = np.arange(first), np.arange(behind, end - begin)
        if len(front) > room // 2 and end - begin > room:
            marks = _separators(features, row, front)
            front = np.concatenate([front[: room // 2 - len(marks)], marks])
            cut += 1
        free = room - len(front) - len(back)
        step = free - min(OVERLAP, free // 2)
        first = 0
        while True:
            held = np.arange(first, min(first + free, len(places)))
            taken = np.concatenate([front, places[held], back]) + begin
            tokens.append(features.tokens[taken])
            types.append(taken if features.types is None else features.types[taken])
            counts.append(1 + len(held))
            at = len(front) + np.arange(len(held))
            spans.append(np.concatenate([[[0, 1]], np.stack([at, at + 1], axis=1)]))
            chosen = np.concatenate([units[:1], units[1:][held]])
            offsets.append(features.offsets[chosen])
            bits = features.labels[chosen].copy()
            if not ((bits & START).any() and (bits & END).any()):
                bits[:] = 0
                bits[0] = START | END
            labels.append(bits)
            owners.append(row)
            if first + free >= len(places):
                break
            first += step
    return replace(
        features,
        **end_to_end(tokens, None if features.types is None else types),
        labels=np.concatenate(labels),
        words=replace(features.words, counts=np.asarray(counts), spans=np.concatenate(spans)),
        offsets=np.concatenate(offsets),
        owners=np.asarray(owners),
        cut=cut,
    )


def _separators(features: Features, row: int, front: np.ndarray) -> np.ndarray:
    """The special tokens between a question and its passage: all that repeats the row's last token."""
    ids = features.tokens[features.starts[row] : features.starts[row + 1]]
    count = 0
    while count < len(front) and ids[front[-1 - count]] == ids[-1]:
        count += 1
    return front[len(front) - count :]
