"""From texts to batches: tokenise once, sort by length, cut into forward passes.

A *row* is one example for one run. What a training update sees is decided by seed and epoch alone (`order`); how its
rows are cut into forward passes (`passes`) changes the speed and nothing else, unless the backbone itself is in
training: its own dropout is drawn pass by pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True)
class Features:
    """Tokenised rows of one task, in order.

    `tokens` are all rows' ids end to end; row i is `tokens[starts[i]:starts[i + 1]]`. What the head scores is a *unit*:
    the whole row, or each of its words. Units count through all rows in order, however rows are cut to fit.
    """

    tokens: Int[np.ndarray, "total"]
    types: Int[np.ndarray, "total"] | None
    starts: Int[np.ndarray, "ends"]
    labels: Int[np.ndarray, "units"]  # each unit's class
    texts: tuple[Sequence[str], ...] = ()  # where a row is a unit: one sequence, or two for pairs, to encode anew
    words: Words | None = None  # where its words are the units
    cut: int = 0  # how many units were truncated

    def __len__(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def lengths(self) -> Int[np.ndarray, "rows"]:
        """Tokens of each row, special tokens included."""
        return np.diff(self.starts)

    @cached_property
    def unit_starts(self) -> Int[np.ndarray, "ends"]:
        """Row i's units are those from `unit_starts[i]` to `unit_starts[i + 1]`."""
        if self.words is None:
            return np.arange(len(self) + 1)
        return np.concatenate([[0], np.cumsum(self.words.counts)])

    def units(self, rows: Sequence[int] | np.ndarray) -> Int[np.ndarray, "units"]:
        """The units of these rows, in the order of the rows."""
        if self.words is None:
            return np.asarray(rows, dtype=np.int64)
        return np.concatenate([np.arange(*self.unit_starts[row : row + 2]) for row in rows])

    def truncated(self, room: int, tokenizer: Any) -> Features:
        """These features with every row of more than `room` tokens made to fit; the units stay the same.

        A text is encoded anew: the tokenizer truncates, so special tokens stay and of a pair the longer text is cut
        first. Rows of words are split between words into several rows.
        """
        long = np.flatnonzero(self.lengths > room)
        if len(long) == 0:
            return self
        if self.words is not None:
            return split_at_words(self, room)
        columns = [[texts[int(i)] for i in long] for texts in self.texts]
        encoded = tokenizer(*columns, truncation=True, max_length=room, verbose=False)
        tokens = np.split(self.tokens, self.starts[1:-1])
        types = None if self.types is None else np.split(self.types, self.starts[1:-1])
        for place, i in enumerate(long):
            tokens[i] = np.asarray(encoded["input_ids"][place], dtype=np.int64)
            if types is not None:
                types[i] = np.asarray(encoded["token_type_ids"][place], dtype=np.int64)
        return replace(self, **end_to_end(tokens, types), cut=len(long))

    @classmethod
    def joined(cls, parts: Sequence[Features]) -> Features:
        """The rows of several features, in order."""
        return cls(
            tokens=np.concatenate([part.tokens for part in parts]),
            types=None
            if parts[0].types is None
            else np.concatenate([part.types for part in parts if part.types is not None]),
            starts=np.concatenate([[0], np.cumsum(np.concatenate([part.lengths for part in parts]))]),
            labels=np.concatenate([part.labels for part in parts]),
            texts=tuple([text for part in parts for text in part.texts[i]] for i in range(len(parts[0].texts))),
            words=Words.joined([part.words for part in parts if part.words is not None]),
        )


@dataclass(frozen=True)
class Words:
    """Where the words of each row lie among its tokens."""

    counts: Int[np.ndarray, "rows"]  # words of each row
    spans: Int[np.ndarray, "units 2"]  # a word's first token and the one behind its last, counted from its row's start
    last: bool = False  # whether a word's last sub-word stands for it, not its first

    @property
    def spots(self) -> Int[np.ndarray, "units"]:
        """The token that stands for each word, counted from its row's start."""
        return self.spans[:, 1] - 1 if self.last else self.spans[:, 0]

    @classmethod
    def joined(cls, parts: Sequence[Words]) -> Words | None:
        """The words of several parts, in order."""
        if not parts:
            return None
        return cls(
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.spans for part in parts]),
            parts[0].last,
        )


def end_to_end(tokens: Sequence[np.ndarray], types: Sequence[np.ndarray] | None) -> dict[str, Any]:
    """Rows as `Features` keeps them."""
    return {
        "tokens": np.concatenate(tokens),
        "types": None if types is None else np.concatenate(types),
        "starts": np.concatenate([[0], np.cumsum([len(row) for row in tokens])]),
    }


def split_at_words(features: Features, room: int) -> Features:
    """Rows of at most `room` tokens, each with the special tokens of the row that it is a piece of.

    Only a word that has no room on its own is truncated, and counted.
    """
    assert features.words is not None
    tokens, types, counts, spans, cut = [], [], [], [], 0
    for row in range(len(features)):
        begin, end = features.starts[row : row + 2]
        own = features.words.spans[features.unit_starts[row] : features.unit_starts[row + 1]]
        front, back = np.arange(own[0, 0]), np.arange(own[-1, 1], end - begin)
        free = room - len(front) - len(back)
        piece: list[np.ndarray] = []
        for number, (first, behind) in enumerate(own):
            word = np.arange(first, min(behind, first + free))
            cut += int(len(word) < behind - first)
            piece.append(word)
            full = number + 1 == len(own) or sum(map(len, piece)) + own[number + 1, 1] - own[number + 1, 0] > free
            if full:
                taken = np.concatenate([front, *piece, back]) + begin
                tokens.append(features.tokens[taken])
                types.append(taken if features.types is None else features.types[taken])
                counts.append(len(piece))
                ends = len(front) + np.cumsum([len(word) for word in piece])
                spans.append(np.stack([np.concatenate([[len(front)], ends[:-1]]), ends], axis=1))
                piece = []
    return replace(
        features,
        **end_to_end(tokens, None if features.types is None else types),
        words=replace(features.words, counts=np.asarray(counts), spans=np.concatenate(spans)),
        cut=cut,
    )


def tokenise(texts: tuple[Sequence[str], ...], labels: Sequence[int], tokenizer: Any) -> Features:
    """Encode whole texts; nothing is truncated yet, because the room depends on the method's prompt.

    Args:
        texts: the texts, or the first and the second texts of pairs.
        labels: each example's class.
        tokenizer: a fast tokenizer.
    """
    encoded = tokenizer(*(list(column) for column in texts), truncation=False, verbose=False)
    types = encoded.get("token_type_ids")
    return Features(
        **end_to_end(_arrays(encoded["input_ids"]), None if types is None else _arrays(types)),
        labels=np.asarray(labels, dtype=np.int64),
        texts=texts,
    )


def tokenise_words(
    sentences: Sequence[Sequence[str]], labels: Sequence[int], tokenizer: Any, *, last: bool
) -> Features:
    """Encode sentences of given words, keeping where each word lies.

    A word that the tokenizer turns into nothing (a soft hyphen, a variation selector) becomes the unknown token, so
    that it is predicted like any other.

    Args:
        sentences: words of each.
        labels: the class of every word of every sentence.
        tokenizer: a fast tokenizer.
        last: whether a word's last sub-word stands for it, not its first.
    """
    encoded = tokenizer([list(words) for words in sentences], is_split_into_words=True, truncation=False, verbose=False)
    tokens, types, spans = [], [], []
    for row, words in enumerate(sentences):
        ids, kinds = encoded["input_ids"][row], encoded.get("token_type_ids", encoded["input_ids"])[row]
        own: list[list[int]] = [[] for _ in words]
        at = encoded.word_ids(row)
        for place, word in enumerate(at):
            if word is not None:
                own[word].append(place)
        inside = [place for place, word in enumerate(at) if word is not None]
        front = inside[0] if inside else 1
        back = inside[-1] + 1 if inside else front
        new, kind, found = list(ids[:front]), list(kinds[:front]), []
        for places in own:
            found.append([len(new), len(new) + max(1, len(places))])
            new += [ids[place] for place in places] or [tokenizer.unk_token_id]
            kind += [kinds[place] for place in places] or [kinds[0]]
        tokens.append([*new, *ids[back:]])
        types.append([*kind, *kinds[back:]])
        spans += found
    return Features(
        **end_to_end(_arrays(tokens), _arrays(types) if "token_type_ids" in encoded else None),
        labels=np.asarray(labels, dtype=np.int64),
        words=Words(np.asarray([len(words) for words in sentences]), np.asarray(spans), last),
    )


def _arrays(rows: Sequence[Sequence[int]]) -> list[np.ndarray]:
    return [np.asarray(row, dtype=np.int64) for row in rows]


@dataclass(frozen=True)
class Batch:
    """Padded rows on the device."""

    tokens: Int[Tensor, "B T"]
    mask: Bool[Tensor, "B T"]
    types: Int[Tensor, "B T"] | None
    run: Int[Tensor, "B"]
    spots: tuple[Int[Tensor, "units"], Int[Tensor, "units"]] | None  # each unit's row and token; none: a row is a unit


@dataclass(frozen=True)
class Row:
    """One row for one run: row `example` of the features, for run `run` of the stack."""

    features: Features
    example: int
    run: int

    @property
    def length(self) -> int:
        """Tokens, special tokens included."""
        return int(self.features.lengths[self.example])

    @property
    def units(self) -> int:
        """What the head scores in it."""
        begin, end = self.features.unit_starts[self.example : self.example + 2]
        return int(end - begin)


def collate(rows: Sequence[Row], *, pad: int, device: torch.device) -> Batch:
    """Pad rows on the right to the longest of them."""
    longest = max(row.length for row in rows)
    tokens = np.full((len(rows), longest), pad, dtype=np.int64)
    types = None if rows[0].features.types is None else np.zeros((len(rows), longest), dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=bool)
    for place, row in enumerate(rows):
        start, end = row.features.starts[row.example : row.example + 2]
        tokens[place, : end - start] = row.features.tokens[start:end]
        mask[place, : end - start] = True
        if types is not None and row.features.types is not None:
            types[place, : end - start] = row.features.types[start:end]
    return Batch(
        tokens=torch.from_numpy(tokens).to(device),
        mask=torch.from_numpy(mask).to(device),
        types=None if types is None else torch.from_numpy(types).to(device),
        run=torch.tensor([row.run for row in rows], device=device),
        spots=None if rows[0].features.words is None else _spots(rows, device),
    )


def _spots(rows: Sequence[Row], device: torch.device) -> tuple[Tensor, Tensor]:
    places = []
    for row in rows:
        assert row.features.words is not None
        places.append(row.features.words.spots[row.features.units([row.example])])
    owners = np.repeat(np.arange(len(rows)), [len(own) for own in places])
    return torch.from_numpy(owners).to(device), torch.from_numpy(np.concatenate(places)).to(device)


def passes(lengths: Sequence[int], *, budget: int) -> list[list[int]]:
    """Cut rows into forward passes: sorted by length, as many tokens each as the budget admits.

    Rows are packed without padding, so a pass costs the sum of its rows; sorting keeps what attention pads small.

    Args:
        lengths: tokens of each row, prompt included.
        budget: most tokens of one pass; a single longer row goes alone.

    Returns:
        Indices of rows, a list a pass, the longest rows first.
    """
    cut: list[list[int]] = []
    room = 0
    for row in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if lengths[row] > room:
            cut.append([])
            room = budget
        cut[-1].append(row)
        room -= lengths[row]
    return cut


def derive(*parts: object) -> int:
    """A seed made of several: the same on every machine, and unlike for unlike parts."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@lru_cache(maxsize=16)
def order(size: int, *, seed: int, epoch: int) -> Int[np.ndarray, "N"]:
    """The order in which a run sees its examples in an epoch, by seed and epoch alone."""
    return np.random.Generator(np.random.PCG64(derive("order", seed, epoch))).permutation(size)


def budgets(device: torch.device) -> tuple[int, int]:
    """Most tokens of one forward pass in training and in evaluation.

    A CPU is full with a few thousand tokens and keeps more of them in its cache; a GPU needs many to be busy.
    """
    return (2048, 4096) if device.type == "cpu" else (16384, 65536)
