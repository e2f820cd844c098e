"""Each example of an update is one process's, whole, and all have about as many tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.preprocessing.features import Features
from isogloss.preprocessing.ragged import starts_of
from isogloss.training.share import share


def features(lengths, owners):
    lengths = np.asarray(lengths)
    return Features(
        tokens=np.zeros(lengths.sum(), dtype=np.int64), types=None, starts=starts_of(lengths),
        labels=np.zeros(len(lengths), dtype=np.int64), owners=np.asarray(owners),
    )  # fmt: skip


@given(
    st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=4), min_size=1, max_size=30),
    st.integers(1, 7),
    st.data(),
)
def test_every_example_is_one_processes(examples, count, data):
    rows_of = [length for example in examples for length in example]
    owners = [number for number, example in enumerate(examples) for _ in example]
    whole = features(rows_of, owners)
    chosen = data.draw(st.lists(st.integers(0, len(examples) - 1), unique=True, min_size=1))
    rows = np.concatenate([whole.of_example[example] for example in chosen])
    shares = [share(whole, rows, rank=rank, count=count) for rank in range(count)]
    assert sorted(np.concatenate(shares).tolist()) == sorted(rows.tolist())
    of_process = [{owners[row] for row in own} for own in shares]
    assert sum(map(len, of_process)) == len(chosen)
    assert max(map(len, of_process)) - min(map(len, of_process)) <= 1
    tokens = [int(whole.lengths[own].sum()) for own in shares]
    assert max(tokens) - min(tokens) <= 2 * max(sum(examples[example]) for example in chosen)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_rows_keep_their_order(count):
    whole = features([3, 9, 1, 4, 4], range(5))
    rows = np.asarray([4, 0, 3, 1])
    for rank in range(count):
        own = share(whole, rows, rank=rank, count=count).tolist()
        assert own == [row for row in rows.tolist() if row in own]
    assert share(whole, rows, rank=0, count=1).tolist() == rows.tolist()
