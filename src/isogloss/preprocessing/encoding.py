"""Texts through a tokenizer, batch by batch: never more than a batch of them is in memory as the tokenizer has it.

What a tokenizer says of a token (its text, its place, its word) takes a hundred bytes, its id takes four. Of each
batch only arrays are kept. The library works on all cores, or on as many as `RAYON_NUM_THREADS` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int
from tokenizers import Encoding
from transformers import PreTrainedTokenizerFast

from isogloss.preprocessing.features import Texts
from isogloss.preprocessing.ragged import starts_of
from isogloss.runtime.console import counting

ROWS = 4096  # of a batch: enough for all cores
CHARACTERS = 1 << 20  # of a batch, so that long texts come in small ones; a single longer text goes alone

Sentences = Sequence[Sequence[str]] | pl.Series  # each a list of words


def batches(columns: Sequence[Texts | Sentences], *, words: bool = False) -> Iterator[tuple[slice, list[list[Any]]]]:
    """Examples in batches, for one of which there is room in memory; progress is shown where it takes long.

    Args:
        columns: the texts, or the first and the second texts of pairs; or sentences.
        words: whether they are sentences of words.

    Yields:
        Which examples, and the columns of these.
    """
    ends = np.cumsum(sum(_sizes(column, words=words) for column in columns))
    with counting("tokenising", len(columns[0])) as advance:
        for some in _slices(ends):
            yield some, [_listed(column[some]) for column in columns]
            advance(some.stop - some.start)


def ids_of(encodings: Sequence[Encoding]) -> Int[np.ndarray, "total"]:
    """The ids of a batch, end to end."""
    return np.fromiter(chain.from_iterable(encoding.ids for encoding in encodings), dtype=np.int32)


def types_of(encodings: Sequence[Encoding]) -> Int[np.ndarray, "total"]:
    """Which of two texts each token of a batch is of, end to end."""
    return np.fromiter(chain.from_iterable(encoding.type_ids for encoding in encodings), dtype=np.int32)


def lengths_of(encodings: Sequence[Encoding]) -> Int[np.ndarray, "rows"]:
    """The tokens of each row of a batch."""
    return np.fromiter(map(len, encodings), dtype=np.int64, count=len(encodings))


def offsets_of(encodings: Sequence[Encoding]) -> Int[np.ndarray, "total 2"]:
    """Which characters each token of a batch is made of, end to end."""
    pairs = chain.from_iterable(chain.from_iterable(encoding.offsets for encoding in encodings))
    return np.fromiter(pairs, dtype=np.int32).reshape(-1, 2)


def has_types(tokenizer: Any) -> bool:
    """Whether the model is told which of two texts a token is of."""
    return "token_type_ids" in tokenizer.model_input_names


class Rows:
    """Rows that come batch by batch, as `Features` keeps them.

    Args:
        tokenizer: says whether there are types.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._typed = has_types(tokenizer)
        self._tokens: list[np.ndarray] = [np.empty(0, dtype=np.int32)]
        self._types: list[np.ndarray] = [np.empty(0, dtype=np.int32)]
        self._lengths: list[np.ndarray] = [np.empty(0, dtype=np.int64)]

    def add(self, encodings: Sequence[Encoding]) -> None:
        """Rows as the tokenizer made them."""
        types = types_of(encodings) if self._typed else None
        self.append(ids_of(encodings), types, lengths_of(encodings))

    def append(
        self,
        tokens: Int[np.ndarray, "total"],
        types: Int[np.ndarray, "total"] | None,
        lengths: Int[np.ndarray, "rows"],
    ) -> None:
        """Rows, end to end."""
        self._tokens.append(tokens.astype(np.int32, copy=False))
        self._lengths.append(lengths)
        if types is not None:
            self._types.append(types.astype(np.int32, copy=False))

    def fields(self) -> dict[str, Any]:
        """`tokens`, `types` and `starts` of `Features`; what was collected is given away."""
        tokens, types = (_joined(parts) for parts in (self._tokens, self._types))
        return {
            "tokens": tokens,
            "types": types if self._typed else None,
            "starts": starts_of(np.concatenate(self._lengths)),
        }


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    joined = np.concatenate(parts)
    parts.clear()
    return joined


class Encoder:
    """Encodes a batch by the library itself, or by a class of transformers that does it in a way of its own.

    Args:
        tokenizer: a fast tokenizer; rows are neither truncated nor padded, and special tokens put around them.
        places: whether it must be known where each token comes from, which takes longer.
        words: whether the examples are sentences of given words.
        special: whether special tokens are put around them.
    """

    def __init__(self, tokenizer: Any, *, places: bool, words: bool = False, special: bool = True) -> None:
        self.tokenizer, self.words, self.special = tokenizer, words, special
        kind = type(tokenizer)
        plain = (getattr(kind, name) is getattr(PreTrainedTokenizerFast, name) for name in ("__call__", "_encode_plus"))
        self.by_class = not all(plain)
        self.places = places or words
        if not self.by_class:
            as_given(tokenizer)

    def __call__(self, columns: Sequence[Sequence[Any]]) -> list[Encoding]:
        """What becomes of each example of one or two columns."""
        if self.by_class:
            encoded = self.tokenizer(
                *map(list, columns), is_split_into_words=self.words, add_special_tokens=self.special,
                truncation=False, verbose=False,
            )  # fmt: skip
            return list(encoded.encodings)
        backend = self.tokenizer.backend_tokenizer
        examples = list(columns[0]) if len(columns) == 1 else list(zip(*columns, strict=True))
        encode = backend.encode_batch if self.places else backend.encode_batch_fast
        encodings: list[Encoding] = encode(examples, is_pretokenized=self.words, add_special_tokens=self.special)
        return encodings


def as_given(tokenizer: Any) -> None:
    """Have a tokenizer leave rows as they are: neither truncated nor padded, as an earlier call may have asked for."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = tokenizer.split_special_tokens


def _sizes(column: Texts | Sentences, *, words: bool) -> Int[np.ndarray, "rows"]:
    """About how many characters each example has."""
    if isinstance(column, pl.Series):
        texts = column.list.join(" ") if words else column
        return texts.str.len_bytes().to_numpy().astype(np.int64)
    sizes = (sum(map(len, example)) + len(example) if words else len(example) for example in column)
    return np.fromiter(sizes, dtype=np.int64, count=len(column))


def _slices(ends: Int[np.ndarray, "rows"]) -> Iterator[slice]:
    """Batches of examples, of which `ends` counts the characters up to each one's end."""
    begin = 0
    while begin < len(ends):
        before = int(ends[begin - 1]) if begin else 0
        fitting = int(np.searchsorted(ends, before + CHARACTERS, side="right"))
        end = min(max(begin + 1, fitting), begin + ROWS, len(ends))
        yield slice(begin, end)
        begin = end


def _listed(examples: Any) -> list[Any]:
    return examples.to_list() if isinstance(examples, pl.Series) else list(examples)
