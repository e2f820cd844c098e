"""From texts to features by way of a template: the unit of a row is the answer that the model is to fill in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from isogloss.errors import IsoglossError
from isogloss.preprocessing.encoding import Encoder, batches, ids_of, lengths_of, offsets_of
from isogloss.preprocessing.features import Features, FilledTemplate, Texts
from isogloss.preprocessing.ragged import ranges, starts_of
from isogloss.preprocessing.templates import Template


def check(template: Template, tokenizer: Any, *, causal: bool, texts: int) -> None:
    """Whether a template fits a model and a data set.

    Raises:
        IsoglossError: it does not.
    """
    if causal and not template.open_ended:
        raise IsoglossError("the template goes on behind {answer}, which a decoder cannot see; end it there")
    if not causal and tokenizer.mask_token_id is None:
        raise IsoglossError("a verbalizer on an encoder needs a tokenizer with a mask token; this one has none")
    if causal and tokenizer.eos_token_id is None and tokenizer.pad_token_id is None:
        raise IsoglossError("a verbalizer on a decoder needs a tokenizer with an end token; this one has none")
    if len(template.texts) != texts:
        raise IsoglossError(
            f"the template takes {' and '.join(template.texts)}, but an example of the data set has {texts} text"
            f"{'s' if texts > 1 else ''}"
        )


def tokenise_filled(
    template: Template,
    texts: tuple[Texts, ...],
    labels: Sequence[int] | Int[np.ndarray, "rows"],
    tokenizer: Any,
    *,
    causal: bool,
    wording: int = 0,
    longest: int | None = None,
) -> Features:
    """Encode texts filled into a template.

    Args:
        template: checked by `check`.
        texts: as many sequences as the template takes.
        labels: each example's class.
        tokenizer: a fast tokenizer.
        causal: whether the model predicts the answer from what stands in front of it; its place is then taken by the
            end token, which the answer's prediction never sees. Else it is the mask token.
        wording: which of the verbalizer's wordings names the classes.
        longest: most tokens of a row.
    """
    front, back = around(tokenizer, causal=causal)
    slot = answer_token(tokenizer, causal=causal)
    encode, filled = Encoder(tokenizer, places=True, special=False), _FilledRows(template)
    for _, lists in batches(texts):
        columns, rows = dict(zip(template.texts, lists, strict=True)), _Assembly(len(lists[0]))
        rows.add(front)
        for part, mark in zip(template.parts, [*template.marks, None], strict=True):
            if part:
                whole, inside = _filled(part, columns, rows.count)
                encodings = encode([whole])
                offsets, lengths = offsets_of(encodings), lengths_of(encodings)
                for name, characters in inside.items():
                    filled.spans[name].append(rows.lengths[:, None] + _tokens(offsets, lengths, characters))
                rows.append(ids_of(encodings), lengths)
            if mark == "answer":  # where the tokenizer leaves nothing of a text, there is still something to read from
                rows.append(np.full(int((rows.lengths == 0).sum()), slot), (rows.lengths == 0).astype(np.int64))
            if mark is not None:
                filled.places[mark].append(rows.lengths)
            if mark == "answer":
                rows.add([slot])
        rows.add(back)
        filled.tokens.append(rows.tokens())
        filled.lengths.append(rows.lengths)
    return Features(
        tokens=np.concatenate(filled.tokens),
        types=None,
        starts=starts_of(np.concatenate(filled.lengths)),
        labels=np.asarray(labels, dtype=np.int64),
        texts=texts,
        filled=FilledTemplate(
            answer=np.concatenate(filled.places["answer"]),
            prompt=np.concatenate(filled.places["prompt"]) if template.prompted else None,
            spans=np.stack([np.concatenate(filled.spans[name]) for name in template.texts], axis=1),
            wording=np.full(len(texts[0]), wording),
        ),
        longest=longest,
    )


class _FilledRows:
    """What is collected batch by batch."""

    def __init__(self, template: Template) -> None:
        self.tokens: list[np.ndarray] = [np.empty(0, dtype=np.int32)]
        self.lengths: list[np.ndarray] = [np.empty(0, dtype=np.int64)]
        self.spans = {name: [np.empty((0, 2), dtype=np.int64)] for name in template.texts}
        self.places = {mark: [np.empty(0, dtype=np.int64)] for mark in ("prompt", "answer")}


class _Assembly:
    """Rows that are put together of parts, one part of all rows after the other.

    Args:
        count: rows.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.lengths = np.zeros(count, dtype=np.int64)  # so far
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # tokens, and where they begin and end

    def add(self, tokens: Sequence[int]) -> None:
        """The same tokens to every row."""
        self.append(np.tile(np.asarray(tokens, dtype=np.int32), self.count), np.full(self.count, len(tokens)))

    def append(self, tokens: Int[np.ndarray, "total"], lengths: Int[np.ndarray, "rows"]) -> None:
        """Each row's own, end to end."""
        self._parts.append((tokens, self.lengths, self.lengths + lengths))
        self.lengths = self.lengths + lengths

    def tokens(self) -> Int[np.ndarray, "total"]:
        """All of each row, end to end."""
        starts = starts_of(self.lengths)
        out = np.empty(starts[-1], dtype=np.int32)
        for tokens, begins, ends in self._parts:
            out[ranges(starts[:-1] + begins, starts[:-1] + ends)] = tokens
        return out


def answer_token(tokenizer: Any, *, causal: bool) -> int:
    """What stands where the answer is to be filled in; arguments as of `tokenise_filled`."""
    token: int = tokenizer.mask_token_id
    if causal:
        token = tokenizer.pad_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    return token


def around(tokenizer: Any, *, causal: bool) -> tuple[list[int], list[int]]:
    """The special tokens that stand in front of a filled-in template and behind it; as of `tokenise_filled`."""
    encoded = tokenizer("a")
    inside = [index for index, text in enumerate(encoded.sequence_ids(0)) if text is not None]
    ids = encoded["input_ids"]
    return ids[: inside[0]], [] if causal else ids[inside[-1] + 1 :]


def _filled(
    part: tuple[tuple[str, str | None], ...], columns: Mapping[str, Sequence[str]], count: int
) -> tuple[list[str], dict[str, list[tuple[int, int]]]]:
    """A part of the template for each row, and where in it the texts stand."""
    out = [""] * count
    inside: dict[str, list[tuple[int, int]]] = {}
    for literal, field in part:
        if field is None:
            out = [so_far + literal for so_far in out]
        else:
            inside[field] = [(len(a), len(a) + len(b)) for a, b in zip(out, columns[field], strict=True)]
            out = [so_far + text for so_far, text in zip(out, columns[field], strict=True)]
    return out, inside


def _tokens(
    offsets: Int[np.ndarray, "tokens 2"], lengths: Int[np.ndarray, "rows"], characters: Sequence[tuple[int, int]]
) -> Int[np.ndarray, "rows 2"]:
    """Of each row the first of the tokens that share characters with a span, and the one behind the last; or 0, 0.

    Args:
        offsets: of the tokens of all rows, in characters.
        lengths: tokens of each row.
        characters: each row's span.
    """
    row = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(row)) - starts_of(lengths)[row]
    spans = np.asarray(characters, dtype=np.int64).reshape(-1, 2)[row]
    touched = np.flatnonzero((offsets[:, 0] < spans[:, 1]) & (offsets[:, 1] > spans[:, 0]))
    out = np.zeros((len(lengths), 2), dtype=np.int64)
    rows, first = np.unique(row[touched], return_index=True)
    out[rows, 0] = place[touched[first]]
    np.maximum.at(out[:, 1], row[touched], place[touched] + 1)
    return out
