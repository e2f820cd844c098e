"""Rows of unequal length end to end, and the indices that bring prompt and text together.

Everything but attention works on single tokens, so nothing is padded there. Whatever depends on where rows begin is
reckoned here, by NumPy on the host and once a batch: the layers find indices, and no number is read back from a device.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from isogloss.backbones.layout import Attention, EndToEnd, Join, Packing, PaddedRows, PromptRows, RowGroup, Rows
from isogloss.backbones.prompts import PromptForm
from isogloss.backbones.row_groups import row_groups
from isogloss.preprocessing.ragged import ranges, starts_of

SPARE_ROW = 32  # tokens that only fill a shape make rows of so many: attention must not pay for a long one


def pack(
    rows: Rows,
    prompt: PromptForm | None,
    *,
    heads: int,
    key_heads: int,
    end_to_end: bool,
    rounded: int = 1,
    step: int = 1,
) -> Packing:
    """The packing of rows.

    Args:
        rows: those of the batch.
        prompt: the form of what a method puts in.
        heads: of the queries.
        key_heads: of keys and values.
        end_to_end: whether attention takes rows of variable length; else they are padded in groups.
        rounded: longest rows are rounded up to a multiple of it, where shapes are to come again.
        step: numbers of padded keys are rounded up to a multiple of it, where a softmax is faster so.
    """
    prompts = np.zeros(len(rows.lengths), dtype=np.int64)
    if prompt is not None:
        prompts = np.where(rows.lengths > 0, np.asarray(prompt.lengths)[rows.run], 0)
    inside = prompt is not None and prompt.kind == "input"
    join = None
    lengths = rows.lengths
    if inside:
        assert prompt is not None
        front = {"before": 0 * lengths, "after-first": np.minimum(1, lengths), "after": lengths}.get(prompt.place)
        front = rows.front if front is None else front
        assert front is not None
        join = _join(rows, prompt, prompts, front)
        lengths = lengths + prompts
    spare = spare_lengths(rows)
    whole = np.concatenate([lengths, spare])
    positions = _within(whole)
    positions[len(positions) - rows.spare :] = 0  # where every model has one
    before = np.zeros_like(whole)  # what stands in front of each row's keys
    if not inside:
        before[: len(lengths)] = prompts
        if prompt is not None and prompt.shift:
            positions = positions + np.repeat(before, whole)
    lay = partial(
        _attention, whole, rows, heads=heads, key_heads=key_heads, end_to_end=end_to_end, rounded=rounded, step=step
    )
    attention = lay(None if inside else prompt, before)
    bare = lay(None, np.zeros_like(before)) if prompt is not None and prompt.first_layer else None
    # Models gather by positions, which not every PyTorch does by 32 bits on a GPU.
    return Packing(torch.from_numpy(positions), join, None if join is None else join.text, attention, bare)


def _attention(
    whole: np.ndarray, rows: Rows, prompt: PromptForm | None, before: np.ndarray, *, heads: int, key_heads: int,
    end_to_end: bool, rounded: int, step: int,
) -> Attention:  # fmt: skip
    """How attention takes rows with a prefix in front of their keys, or without one."""
    if end_to_end:
        counts = before[: len(rows.lengths)]
        join = None if prompt is None else _join(rows, prompt, counts, 0 * rows.lengths)
        longest, keys = (-(-int(part.max()) // rounded) * rounded for part in (whole, whole + before))
        return EndToEnd(_tensor(starts_of(whole)), _tensor(starts_of(whole + before)), longest, keys, join)
    run = np.concatenate([rows.run, np.zeros(rows.spare_rows, dtype=np.int64)])
    return _padded(whole, before, run, rows, prompt, heads, key_heads, rounded, step)


def _join(rows: Rows, prompt: PromptForm, prompts: np.ndarray, front: np.ndarray) -> Join:
    """The index of each row's prompt behind so many of its tokens."""
    runs, longest = len(prompt.lengths), max(prompt.lengths)
    count = len(rows.lengths)
    begin = starts_of(rows.lengths + prompts)[:-1]
    row, column = np.repeat(np.arange(count), rows.lengths), _within(rows.lengths)
    text = begin[row] + column + prompts[row] * (column >= front[row])
    behind = int((rows.lengths + prompts).sum())
    text = np.concatenate([text, np.arange(behind, behind + rows.spare)])
    of_prompt, number = np.repeat(np.arange(count), prompts), _within(prompts)
    source = np.empty(behind + rows.spare, dtype=np.int64)
    source[text] = runs * longest + np.arange(len(text))
    source[begin[of_prompt] + front[of_prompt] + number] = rows.run[of_prompt] * longest + number
    last = np.maximum(begin + front + prompts - 1, 0)  # an empty row's is of the row before, which is its run's too
    at = np.minimum((begin + front)[:, None] + np.arange(longest), last[:, None])
    return Join(_tensor(source), _tensor(text), _tensor(at), _prompt_rows(rows, prompt))


def _prompt_rows(rows: Rows, prompt: PromptForm) -> PromptRows:
    lengths, runs = np.where(rows.lengths > 0, np.asarray(prompt.lengths)[rows.run], 0), len(prompt.lengths)
    counts = np.bincount(rows.run, minlength=runs)
    there = np.arange(max(prompt.lengths)) < lengths[:, None]
    mask = None if there.all() and not rows.spare_rows else torch.from_numpy(there)
    return PromptRows(_tensor(rows.run), mask, runs, bool((counts == counts[0]).all()))


def _padded(
    whole: np.ndarray,
    before: np.ndarray,
    run: np.ndarray,
    rows: Rows,
    prompt: PromptForm | None,
    heads: int,
    key_heads: int,
    rounded: int,
    step: int,
) -> PaddedRows:
    longest_prompt = 0 if prompt is None else max(prompt.lengths)
    table = 0 if prompt is None else len(prompt.lengths) * longest_prompt  # rows in front of the text's in the keys'
    starts, head = starts_of(whole)[:-1], np.arange(heads)
    last = np.maximum(starts + whole - 1, 0)  # an empty row repeats a token of the row before, which is its run's too
    groups = []
    text_at, text_step, key_at, key_step = (np.zeros(len(whole), dtype=np.int64) for _ in range(4))
    token, column = np.repeat(np.arange(len(whole)), whole), _within(whole)
    done, done_keys = 0, 0
    for members in row_groups(whole, before) if rounded == 1 else [np.arange(len(whole))]:
        count, length = len(members), -(-max(1, int(whole[members].max())) // rounded) * rounded
        size = (
            -(-int((whole[members] + before[members]).max() if rounded == 1 else length + longest_prompt) // step)
            * step
        )
        at, key = np.arange(length), np.arange(size)
        base = np.minimum(starts[members, None] + at, last[members, None])
        query = (base[:, None, :] * heads + head[:, None]).reshape(-1, length)
        out = np.where(np.repeat(at < whole[members, None], heads, axis=0), query, len(token) * heads)
        own = before[members, None]
        of_text = np.minimum(table + starts[members, None] + np.maximum(key - own, 0), table + last[members, None])
        base = np.where(
            key < own, run[members, None] * longest_prompt + np.minimum(key, max(0, longest_prompt - 1)), of_text
        )
        keys = (base[:, None, :] * key_heads + (head * key_heads // heads)[:, None]).reshape(-1, size)
        there = key < own + np.maximum(whole[members, None], 1)
        same = bool((own == own[0]).all())
        mask = None if there.all() else torch.from_numpy(there)
        prefixes = _tensor(before[members[:1]] if same else before[members])
        groups.append(RowGroup(count, length, size, mask, prefixes, _tensor(query), _tensor(keys), _tensor(out)))
        number = np.arange(count) * heads
        text_at[members], text_step[members] = done + number * length, length
        key_at[members], key_step[members] = done_keys + number * size, size
        done, done_keys = done + count * heads * length, done_keys + count * heads * size

    def places(at: np.ndarray, step: np.ndarray, column: np.ndarray, row: np.ndarray) -> Tensor:
        return _tensor(((at[row] + column)[:, None] + head * step[row][:, None]).ravel())

    text = places(text_at, text_step, column, token)
    text_key = places(key_at, key_step, column + before[token], token)
    prompts, prompt_key = None, None
    if prompt is not None:
        count = len(rows.lengths)
        row, number = np.divmod(np.arange(count * longest_prompt), longest_prompt)
        prompt_key = places(key_at, key_step, np.minimum(number, np.maximum(before[row] - 1, 0)), row)
        prompts = _prompt_rows(rows, prompt)
    return PaddedRows(tuple(groups), text, text_key, prompts, prompt_key)


def spare_lengths(rows: Rows) -> Int[np.ndarray, "spare"]:
    """Tokens of the rows that spare tokens make; as many rows whatever is spared."""
    assert rows.spare <= SPARE_ROW * rows.spare_rows
    spared: np.ndarray = np.clip(rows.spare - SPARE_ROW * np.arange(rows.spare_rows), 0, SPARE_ROW)
    return spared


def _within(lengths: np.ndarray) -> np.ndarray:
    """For rows end to end, each token's number in its row."""
    return ranges(np.zeros_like(lengths), lengths)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int32))
