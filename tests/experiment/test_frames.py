"""Examples that are given from Python: what else than plain texts stands in a cell."""

import datasets
import numpy as np
import polars as pl
import pytest

from isogloss.errors import IsoglossError
from isogloss.experiment.frames import stored_frames
from isogloss.spec import Spec

LABELS = ["a", "b"]


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path))


def stored(frames):
    """What is written of the test split in English, a dictionary for each example."""
    spec = stored_frames(Spec(name="given", task="custom", methods={"linear-probe": {}}), frames)
    return pl.read_parquet(spec.data.path / "eng-Latn" / "test.parquet").to_dicts()


def split(*rows):
    return {"test": {"en": list(rows)}}


def texts(*labels, **more):
    return [{"text": f"text {number}", "label": label, **more} for number, label in enumerate(labels)]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([np.int64(1), np.int64(0)], ["1", "0"]),
        ([1.0, 0.0], ["1", "0"]),  # pandas, where a label was missing once
        ([np.bool_(True), False], ["True", "False"]),
        ([np.str_("a"), "b"], ["a", "b"]),
    ],
)
def test_labels_of_whatever_type_are_texts(given, kept):
    assert [row["label"] for row in stored(split(*texts(*given)))] == kept


@pytest.mark.parametrize("form", [None, "numpy", "torch", "pandas", "polars"])
def test_labels_that_are_counted_are_read_in_whatever_form_the_set_hands_out(form):
    features = datasets.Features({
        "words": datasets.List(datasets.Value("string")), "labels": datasets.List(datasets.ClassLabel(names=LABELS)),
    })  # fmt: skip
    rows = [{"words": ["x", "y"], "labels": [1, 0]}]
    frame = datasets.Dataset.from_list(rows, features=features).with_format(form)
    assert stored({"test": {"en": frame}}) == [{"words": ["x", "y"], "labels": ["b", "a"]}]


@pytest.mark.parametrize("number", [-1, None])
def test_an_example_without_a_label_gets_none_of_the_others(number):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=LABELS)})
    frame = datasets.Dataset.from_list(texts(0, number), features=features)
    with pytest.raises(IsoglossError, match=r"data\['test'\]\['en'\] row 2: label is missing"):
        stored({"test": {"en": frame}})


def test_arrays_and_lazy_frames_are_read():
    words = {"words": np.array(["x", "y"]), "labels": np.array(["A", "B"])}
    assert stored(split(words)) == [{"words": ["x", "y"], "labels": ["A", "B"]}]
    assert len(stored({"test": {"en": pl.LazyFrame(texts("a", "b"))}})) == 2


def test_ids_are_kept_where_every_example_has_one():
    assert stored(split(*texts("a", "b", id=None)))[0].keys() == {"text", "label"}
    rows = [{**row, "id": number} for number, row in enumerate(texts("a", "b"))]
    assert [row["id"] for row in stored(split(*rows))] == ["0", "1"]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ({"test": [1]}, r"data\['test'\] is list; expected examples by language"),
        ({"test": {None: texts("a")}}, "has None for a language"),
        ({"train": {"en": texts("a")}, "test": {"en": []}}, r"\['test'\]\['en'\] holds no examples"),
        (split(*texts("a", None)), "row 2: label is missing"),
        (split(*texts("a", float("nan"))), "row 2: label is missing"),
        (split({"text": None, "label": "a"}), "row 1: text is missing"),
        (split({"text": "a\ud800", "label": "a"}), "row 1: text is no text"),
        (split(*texts("a", second="x"), *texts("a")), "row 2: second is missing"),
        (split(*texts("a"), *texts("a", second="x")), "row 1: second is missing"),
        (split(*texts("a", "b", id="7")), "has the id '7' twice"),
        (split({"words": ["a", None], "labels": ["O", "O"]}), "row 1: words is missing"),
        (split({"words": b"ab", "labels": ["O", "O"]}), "words is bytes; expected a list of texts"),
        (
            split({"question": "q", "passage": "p", "answers": {"text": ["p", "p"], "answer_start": [0]}}),
            "answers has 2 text and 1 answer_start",
        ),
        (split({"question": "q", "answers": ["p"]}), "row 1: passage is missing"),
    ],
)
def test_what_is_missing_or_wrong_is_named(frames, message):
    with pytest.raises(IsoglossError, match=message) as caught:
        stored(frames)
    assert "\n" not in str(caught.value)


def test_answers_come_as_in_squads_files_too():
    answers = [{"text": "cat", "answer_start": np.int32(4)}, {"text": "the"}]
    frames = split({"question": "q", "passage": "the cat", "context": None, "answers": answers})
    spec = stored_frames(Spec(name="given", task="custom", methods={"linear-probe": {}}), frames)
    text = (spec.data.path / "eng-Latn" / "test.json").read_text()
    assert '"answers": [{"text": "cat", "answer_start": 4}, {"text": "the", "answer_start": 0}]' in text


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (split(*texts("a", "b"), {"text": " ", "label": "a"}), r"data\['test'\]\['en'\] row 3 has an empty 'text'"),
        (
            split({"words": ["a", "b"], "labels": ["O"]}, {"words": ["c"], "labels": ["B"]}),
            r"\['en'\] row 1 has 2 words and 1 tags",
        ),
        (
            split({"question": "q", "passage": "p", "answers": {"text": ["x"], "answer_start": [0]}}),
            r"\['en'\] row 1: the answer 'x' is not in its passage",
        ),
        (
            split({"question": "q", "passage": "p", "answers": {"text": ["p"], "answer_start": [-7]}}),
            r"\['en'\] row 1: answer_start is -7",
        ),
        (
            split({"question": "q", "passage": "p", "answers": {"text": None, "answer_start": None}}),
            r"row 1: answers has no lists",
        ),
        ({"test": {"en": pl.scan_csv("nowhere.csv")}}, r"data\['test'\]\['en'\] could not be collected"),
    ],
)
def test_what_reading_would_refuse_is_named_as_it_was_given(frames, message):
    with pytest.raises(IsoglossError, match=message) as caught:
        stored(frames)
    assert "\n" not in str(caught.value)


def test_normal_forms_of_a_label_are_one_label():
    spec = stored_frames(
        Spec(name="given", task="custom", methods={"linear-probe": {}}),
        {"train": {"fr": texts("été", "b")}, "test": {"fr": texts("e\u0301te\u0301", "b")}},
    )
    assert len(spec.data.card["labels"]) == 2


def test_columns_of_one_name_are_refused():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([("a", "x", "y")], columns=["text", "label", "label"])
    with pytest.raises(IsoglossError, match=r"data\['test'\]\['en'\] has the column 'label' 2 times"):
        stored({"test": {"en": frame}})
