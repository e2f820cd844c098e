"""Splits made of parts of others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.data import split_slices
from isogloss.data.dataset import open_data
from isogloss.errors import IsoglossError
from isogloss.languages.language import Language
from models import sib200


@given(st.integers(0, 500), st.integers(0, 100))
def test_two_parts_make_the_whole(count, percent):
    rows = list(range(count))
    assert split_slices.part(f"dev[:{percent}%]", rows) + split_slices.part(f"dev[{percent}%:]", rows) == rows
    assert split_slices.part("dev", rows) == split_slices.part("dev[:]", rows) == rows


def test_numbers_are_rows():
    assert split_slices.part("dev[1:3]", list("abcde")) == ["b", "c"]
    assert split_slices.part("dev[3:]", list("abcde")) == ["d", "e"]
    assert split_slices.name("dev_2k[:10%]") == "dev_2k"
    for wrong in ("dev[", "dev[1]", "dev[a:b]", "[:1]"):
        with pytest.raises(ValueError, match="no split or part"):
            split_slices.check(wrong)


def test_a_data_set_without_training_data_trains_on_a_part_of_dev(tmp_path):
    sib200(tmp_path)
    whole = open_data("sib200", path=tmp_path).examples(Language.parse("en"), "dev").table
    data = open_data("sib200", path=tmp_path, splits={"train": "dev[:50%]", "dev": "dev[50%:]"}, limits={"dev": 3})
    assert data.examples(Language.parse("en"), "train").table.equals(whole[:7])
    dev = data.examples(Language.parse("en"), "dev").table
    assert len(dev) == 3
    assert set(dev["id"]) < set(whole[7:]["id"])


def test_labels_can_be_read_as_others(tmp_path):
    sib200(tmp_path)
    data = open_data("sib200", path=tmp_path, labels={"travel": "sports"})
    assert "travel" not in set(data.examples(Language.parse("en"), "test").table["label"])
    with pytest.raises(IsoglossError, match="unknown label of sib200 'sport'; did you mean 'sports'"):
        open_data("sib200", path=tmp_path, labels={"travel": "sport"})
