"""From texts to features by way of a template: the unit of a row is the answer that the model is to fill in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isogloss.errors import IsoglossError
from isogloss.preprocessing.features import Features, FilledTemplate, end_to_end
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
    texts: tuple[Sequence[str], ...],
    labels: Sequence[int],
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
    front, back = _around(tokenizer)
    slot = tokenizer.mask_token_id
    if causal:
        back, slot = [], tokenizer.pad_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    count = len(texts[0])
    columns = dict(zip(template.texts, texts, strict=True))
    rows: list[list[int]] = [list(front) for _ in range(count)]
    spans: dict[str, list[tuple[int, int]]] = {name: [] for name in template.texts}
    places: dict[str, list[int]] = {"prompt": [], "answer": []}
    for part, mark in zip(template.parts, [*template.marks, None], strict=True):
        if part:
            filled, inside = _filled(part, columns, count)
            encoded = tokenizer(filled, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            for number, ids in enumerate(encoded["input_ids"]):
                for name, characters in inside.items():
                    first, last = _tokens(encoded["offset_mapping"][number], *characters[number])
                    spans[name].append((len(rows[number]) + first, len(rows[number]) + last))
                rows[number] += ids
        if mark == "answer":  # where the tokenizer leaves nothing of a text, there is still something to read from
            rows = [row or [slot] for row in rows]
        if mark is not None:
            places[mark] += [len(row) for row in rows]
        if mark == "answer":
            rows = [[*row, slot] for row in rows]
    return Features(
        **end_to_end([np.asarray([*row, *back], dtype=np.int64) for row in rows], None),
        labels=np.asarray(labels, dtype=np.int64),
        texts=texts,
        filled=FilledTemplate(
            answer=np.asarray(places["answer"]),
            prompt=np.asarray(places["prompt"]) if template.prompted else None,
            spans=np.stack([np.asarray(spans[name]) for name in template.texts], axis=1),
            wording=np.full(count, wording),
        ),
        longest=longest,
    )


def _around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens that stand in front of a text and behind it."""
    encoded = tokenizer("a")
    inside = [index for index, text in enumerate(encoded.sequence_ids(0)) if text is not None]
    ids = encoded["input_ids"]
    return ids[: inside[0]], ids[inside[-1] + 1 :]


def _filled(
    part: tuple[tuple[str, str | None], ...], columns: dict[str, Sequence[str]], count: int
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


def _tokens(offsets: Sequence[tuple[int, int]], begin: int, end: int) -> tuple[int, int]:
    """The first of the tokens that share characters with a span, and the one behind the last."""
    touched = [index for index, (first, last) in enumerate(offsets) if first < end and last > begin]
    return (touched[0], touched[-1] + 1) if touched else (0, 0)
