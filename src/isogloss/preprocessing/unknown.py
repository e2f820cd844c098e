"""What of a text is lost before the model: tokens that the tokenizer does not know, texts that become none."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from isogloss.preprocessing.features import Features

BLOCK = 1 << 16  # rows that are counted at once: sums over all tokens of a large split take more than they do


class TextTokens(NamedTuple):
    """Tokens of each row's texts, without special tokens and what a template has around them."""

    total: Int[np.ndarray, "rows"]
    unknown: Int[np.ndarray, "rows"]


def text_tokens(features: Features, tokenizer: Any) -> TextTokens:
    """Count the tokens of features that are not cut yet.

    Args:
        features: as they came from the tokenizer.
        tokenizer: the one that they came from. One of bytes has no unknown token, or one that ends texts as well.
    """
    special = [name for name in tokenizer.special_tokens_map if name != "unk_token"]
    named = {number for name in special for number in _ids(tokenizer, name)}
    unknown_id = tokenizer.unk_token_id if tokenizer.unk_token_id not in named else None
    no_text = [number for number in tokenizer.all_special_ids if number != unknown_id]
    counts = [
        _counts(features, slice(begin, min(begin + BLOCK, len(features))), no_text, unknown_id)
        for begin in range(0, len(features), BLOCK)
    ]
    none = np.empty(0, dtype=np.int64)
    return TextTokens(*(np.concatenate([none, *parts]) for parts in zip((none, none), *counts, strict=True)))


def _counts(
    features: Features, rows: slice, no_text: list[int], unknown_id: int | None
) -> tuple[Int[np.ndarray, "rows"], Int[np.ndarray, "rows"]]:
    """Tokens of texts in some rows, and those that are unknown."""
    starts = features.starts[rows.start : rows.stop + 1]
    tokens = features.tokens[starts[0] : starts[-1]]
    starts = starts - starts[0]
    text = ~np.isin(tokens, no_text)
    unknown = tokens == unknown_id if unknown_id is not None else np.zeros_like(text)
    begins, ends = starts[:-1, None], starts[1:, None]
    if features.filled is not None:
        begins, ends = (begins + features.filled.spans[rows, :, side] for side in (0, 1))
    return _sums(text, begins, ends), _sums(unknown, begins, ends)


def _ids(tokenizer: Any, name: str) -> list[int]:
    tokens = tokenizer.special_tokens_map[name]
    ids = tokenizer.convert_tokens_to_ids([tokens] if isinstance(tokens, str) else [str(token) for token in tokens])
    return [number for number in ids if number is not None]


def _sums(
    mask: np.ndarray, begins: Int[np.ndarray, "rows texts"], ends: Int[np.ndarray, "rows texts"]
) -> Int[np.ndarray, "rows"]:
    sums = np.concatenate([[0], np.cumsum(mask)])
    return np.asarray((sums[ends] - sums[begins]).sum(axis=1))
