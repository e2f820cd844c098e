"""Rows of unlike lengths end to end: what is done with all at once is what is done with one after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from isogloss.preprocessing.features import ExampleRows, Features, WordSpans
from isogloss.preprocessing.ragged import ranges, spliced, starts_of

COUNTS = st.lists(st.integers(0, 5), min_size=1, max_size=8)


def of(counts, owners=None):
    ends = np.concatenate([np.arange(1, count + 1) for count in counts])
    return Features(
        tokens=np.arange(sum(counts)), types=None, starts=np.cumsum([0, *counts]), labels=np.arange(sum(counts)),
        words=WordSpans(np.asarray(counts), np.stack([ends - 1, ends], axis=1)), owners=owners,
    )  # fmt: skip


@given(COUNTS, st.data())
def test_units_and_rows_of_examples(counts, data):
    rows = data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=6))
    owners = np.cumsum(data.draw(st.lists(st.integers(0, 1), min_size=len(counts), max_size=len(counts))))
    features = of(counts, owners - owners[0])
    starts = np.cumsum([0, *counts])
    assert features.units(rows).tolist() == [n for row in rows for n in range(starts[row], starts[row + 1])]
    of_example = [np.flatnonzero(features.owners == n).tolist() for n in range(features.owners[-1] + 1)]
    assert [one.tolist() for one in features.of_example] == of_example
    some = [row % len(of_example) for row in rows]
    assert features.of_example.of(some).tolist() == [row for one in some for row in of_example[one]]


@given(COUNTS, st.data())
def test_rows_are_replaced_in_their_places(counts, data):
    rows = sorted(data.draw(st.sets(st.integers(0, len(counts) - 1))))
    new = [np.full(data.draw(st.integers(0, 4)), -1 - row) for row in rows]
    whole = np.arange(sum(counts))
    parts = np.split(whole, np.cumsum(counts)[:-1])
    for row, part in zip(rows, new, strict=True):
        parts[row] = part
    assert (
        spliced(whole, np.asarray(counts), np.asarray(rows, dtype=int), new).tolist() == np.concatenate(parts).tolist()
    )


def test_spans_end_to_end():
    assert ranges(np.asarray([5, 0, 3]), np.asarray([7, 0, 4])).tolist() == [5, 6, 3]
    assert starts_of(np.asarray([2, 0, 1])).tolist() == [0, 2, 2, 3]
    assert [rows.tolist() for rows in ExampleRows(np.asarray([0, 2, 3]))[:2]] == [[0, 1], [2]]
