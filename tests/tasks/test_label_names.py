"""Classes are found by their names, and nothing is taken for a label in silence."""

import pytest

from isogloss.errors import IsoglossError
from isogloss.tasks.label_names import match_labels

LABELS = ["politics", "science/technology", "sports"]


def test_names_decide_and_not_the_order():
    match = match_labels(["sports", "politics", "science/technology"], LABELS, {})
    assert match.rows == [1, 2, 0]
    assert not match.said


def test_names_alike_are_said():
    match = match_labels(["Science_Technology", "SPORTS", "politics"], LABELS, {})
    assert match.rows == [2, 0, 1]
    (line,) = match.said
    assert "Science_Technology is science/technology" in line
    assert "politics" not in line


def test_a_name_that_is_alike_to_two_is_taken_for_neither():
    with pytest.raises(IsoglossError, match="no class for a-b, ab"):
        match_labels(["A.B", "other"], ["a-b", "ab"], {})
    with pytest.raises(IsoglossError, match="no class for Yes"):
        match_labels(["yes", "YES", "no"], ["Yes", "no"], {})


def test_vowel_signs_tell_names_apart():
    with pytest.raises(IsoglossError, match="no class for कि"):
        match_labels(["की", "no"], ["कि", "no"], {})


def test_numbers_as_names_need_a_mapping():
    names = ["LABEL_0", "LABEL_1", "LABEL_2"]
    with pytest.raises(IsoglossError) as error:
        match_labels(names, LABELS, {})
    assert "labels: {LABEL_0: politics, …}" in str(error.value)
    given = {"LABEL_0": "sports", "LABEL_1": "politics", "LABEL_2": "science/technology"}
    assert match_labels(names, LABELS, given).rows == [1, 2, 0]


def test_what_is_given_goes_before_what_is_called_so():
    assert match_labels(["a", "b"], ["a", "b"], {"a": "b", "b": "a"}).rows == [1, 0]
    with pytest.raises(IsoglossError, match="two of its classes are to be 'sports': 'x' and 'sports'"):
        match_labels(["politics", "sports", "x"], ["politics", "sports"], {"x": "sports"})


def test_more_classes_than_labels_are_never_predicted_and_said():
    match = match_labels(["health", *LABELS, "travel"], LABELS, {})
    assert match.rows == [1, 2, 3]
    assert match.said == ["2 of its 5 classes are no labels of the data and never predicted: health, travel"]


@pytest.mark.parametrize(
    ("names", "given", "told"),
    [
        (["politics", "sports"], {}, "no class for science/technology, only politics, sports"),
        (["politics", "politics", "sports"], {}, "two of its classes are called 'politics'"),
        ([*LABELS], {"polities": "politics"}, "did you mean 'politics'"),
        ([*LABELS], {"politics": "polities"}, "unknown label in labels.politics"),
        (["a", "b", *LABELS], {"a": "sports", "b": "sports"}, "two of its classes are to be 'sports'"),
        (["a\nb", "c", "d"], {}, "a b, c, d"),
        ([], {}, "no class for politics"),
    ],
)
def test_mistakes(names, given, told):
    with pytest.raises(IsoglossError) as error:
        match_labels(names, LABELS, given)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
