"""A backbone's folder beside others: always the same, readable, and nobody else's."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.runtime.folder_names import backbone_folder, check_backbones

NAMES = {
    "embedded/multilingual-e5-small": "embedded--multilingual-e5-small",
    "FacebookAI/xlm-roberta-base@0123abc": "FacebookAI--xlm-roberta-base@0123abc",
    "/models/xlmr/": "xlmr", "~/models/my.model": "my.model", "../x/gemma.gguf": "gemma.gguf",
    "report": "report-backbone", "/a/con": "con-backbone", "weights.v2": "weights.v2-backbone",
}  # fmt: skip


@pytest.mark.parametrize(("name", "folder"), NAMES.items())
def test_a_folder_is_called_after_its_backbone(name, folder):
    assert backbone_folder(name) == folder


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_any_text_has_a_folder_that_every_system_takes(name):
    folder = backbone_folder(name)
    assert folder == backbone_folder(name)
    assert re.fullmatch(r"[A-Za-z0-9_@=,+-]([A-Za-z0-9._@=,+-]*[A-Za-z0-9_@=,+-])?", folder)
    assert len(folder) <= 120


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a/b", "a/b"], "a/b is there twice"), (["/", "/."], "/ and /. are the same"),
        (["a/b", "A/B"], "would both be kept in a folder A--B"),
        (["/x/model", "/y/model"], "would both be kept in a folder model"),
    ],
)  # fmt: skip
def test_two_of_one_folder_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        check_backbones(names)
    assert check_backbones(["a/b", "a/c", "/x/model"]) == ["a/b", "a/c", "/x/model"]
