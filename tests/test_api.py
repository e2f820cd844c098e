"""What can be done from Python, on a small random model."""

import json
import shutil

import datasets
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import isogloss
from isogloss.errors import IsoglossError
from isogloss.experiment.frames import stored_frames
from isogloss.runtime.cache import frames_folder
from models import LABELS, checkpoint, sib200

METHODS = {"linear-probe": {"epochs": 2}, "deep-prompt": {"epochs": 1, "length": [2, 4]}}
SENTENCES = ["the cat sat", "a dog ran on", "the red sun", "one big blue log", "two slow dogs", "fast moon"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data")
    return folder


@pytest.fixture(scope="module")
def spec(home):
    return isogloss.Spec(
        name="small", backbone=str(home / "model"), task="sib200", data={"path": home / "data"}, methods=METHODS,
        dtype="float32", device="cpu",
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(spec, home):
    return isogloss.run(spec, home / "run")


@pytest.fixture(autouse=True)
def cache(monkeypatch, home):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(home / "cache"))


def test_results_are_frames_in_the_columns_of_the_contract(results):
    assert results.scores.columns == [
        "backbone", "task", "method", "seed", "source", "language", "split", "metric", "value", "n",
    ]  # fmt: skip
    assert set(results.scores["method"]) == {"linear-probe", "deep-prompt[length=2]", "deep-prompt[length=4]"}
    assert results.predictions.columns == [
        "method", "seed", "language", "split", "example", "gold", "predicted", "score",
    ]  # fmt: skip
    assert len(results.history)
    assert results.spec.targets == ["deu-Latn", "zho-Hans"]


def test_a_run_opens_again_and_its_table_prints_and_shows_in_a_notebook(results):
    again = isogloss.open_run(str(results.path))
    assert_frame_equal(again.scores, results.scores)
    text = str(again.table())
    assert "deep-prompt[length=4]" in text
    assert "gap" in text
    assert "German" in again._repr_mimebundle_([], [])["text/html"]
    with pytest.raises(IsoglossError, match="holds no finished run"):
        isogloss.open_run(results.path / "nothing")


def test_a_public_name_stays_what_it_is_when_rooms_are_imported(results, tmp_path):
    """A room called like a function would take its place as soon as anything in it is imported."""
    page = results.report(tmp_path / "page.html")
    assert "linear-probe" in page.read_text(encoding="utf-8")
    for name in isogloss.__all__:
        assert callable(getattr(isogloss, name)), name
        assert name in dir(isogloss)
    assert isogloss.report(results.path, tmp_path / "other.html").is_file()
    found = isogloss.analyze(results.path, "gap")
    assert set(found) == {"gap"}
    assert len(found["gap"].tables["gap-intervals"])


def test_no_command_is_recorded_where_there_was_none(results):
    environment = json.loads((results.path / "environment.json").read_text())
    assert "command" not in environment
    assert environment["isogloss"] == isogloss.__version__


def test_a_model_stays_in_memory_and_predicts_what_was_stored(results, home, monkeypatch):
    from isogloss.experiment import predict

    model = isogloss.load(results.path, method="deep-prompt[length=4]", seed=0)
    monkeypatch.setattr(predict, "load_backbone", None)  # whoever loads it again fails
    lines = (home / "data" / "deu_Latn" / "test.tsv").read_text().splitlines()[1:]
    ids, _, texts = zip(*(line.split("\t") for line in lines), strict=True)
    answers = model.predict(list(texts), "de", batch_size=5)
    stored = results.predictions.filter(method="deep-prompt[length=4]", seed=0, language="deu-Latn")
    of_example = dict(stored.select("example", "predicted").iter_rows())
    assert [answer["label"] for answer in answers] == [of_example[name] for name in ids]
    assert answers[0].keys() == {"text", "label", "score", "language"}
    assert repr(model).startswith("Model('deep-prompt[length=4]', seed=0, backbone=")
    assert repr(results) == f"Results({str(results.path)!r})"
    assert {answer["language"] for answer in answers} == {"deu-Latn"}
    assert model.predict([]) == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("the cat", "texts is str; expected a list of texts"),
        (["a\ud800"], "text 1 is no text that can be written"),
        ([("the", "cat")], r"text 1 is not a text: "),
        ([" "], "text 1 is empty"),
    ],
)
def test_what_is_no_list_of_texts_is_not_labelled(results, texts, message):
    model = results.load("linear-probe")
    with pytest.raises(IsoglossError, match=message):
        model.predict(texts)
    with pytest.raises(IsoglossError, match="batch_size is -1"):
        model.predict(["the cat"], batch_size=-1)


def test_results_stand_where_a_directory_may_and_a_method_where_several(results, tmp_path):
    assert isogloss.report(results, tmp_path / "page.html").is_file()
    found = isogloss.analyze(results, "gap", methods="linear-probe")
    assert set(found["gap"].tables["gap"]["method"]) == {"linear-probe"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda _: isogloss.report([]), "no run directory"),
        (lambda path: isogloss.report(path / "spec.yaml"), "is a file; expected a run directory"),
        (lambda path: isogloss.analyze(path, "boundary", examples=0), "examples is 0; expected at least 1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(results, call, message):
    with pytest.raises(IsoglossError, match=message) as caught:
        call(results.path)
    assert "\n" not in str(caught.value)


def test_a_folder_below_a_file_and_a_prompt_without_room_are_refused_before_anything_is_trained(spec, home):
    with pytest.raises(IsoglossError, match="cannot be made: Not a directory"):
        isogloss.run(spec, home / "data" / "eng_Latn" / "dev.tsv" / "run")
    long = spec.model_copy(update={"methods": {"linear-probe": {}, "soft-prompt": {"length": 39}}})
    with pytest.raises(IsoglossError, match="soft-prompt leaves room for 1 tokens, of which 2 are special"):
        isogloss.run(long, home / "long")
    assert not (home / "long").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "x", "task": "sib200", "methods": {"linear-probe": {}}, "sead": [1]}, "unknown key 'sead'"),
        ("no-such-preset", "unknown preset 'no-such-preset'"),
    ],
)
def test_what_is_no_spec_is_refused_in_one_line(given, message):
    with pytest.raises(IsoglossError, match=message) as caught:
        isogloss.run(given)
    assert "\n" not in str(caught.value)


def test_an_unknown_executor_is_named(spec, tmp_path):
    with pytest.raises(IsoglossError, match="unknown executor 'seriel'; did you mean 'serial'"):
        isogloss.run(spec, tmp_path, executor="seriel")


# Examples that are given from Python


def examples(count, shift):
    """Texts and labels: a list of dictionaries."""
    return [
        {"text": f"{SENTENCES[(place + shift) % 6]} {place + shift}", "label": LABELS[place % 2]}
        for place in range(count)
    ]


def by_split(shape):
    return {
        "train": {"en": shape(examples(12, 0))}, "dev": {"en": shape(examples(6, 100))},
        "test": {"en": shape(examples(6, 200)), "sw": shape(examples(6, 300))},
    }  # fmt: skip


def with_class_labels(rows):
    numbers = [{**row, "label": LABELS[:2].index(row["label"])} for row in rows]
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=LABELS[:2])})
    return datasets.Dataset.from_list(numbers, features=features)


def pandas_frame(rows):
    return pytest.importorskip("pandas").DataFrame(rows)


@pytest.fixture(scope="module")
def custom(home):
    return isogloss.Spec(
        name="given", backbone=str(home / "model"), task="custom", methods={"linear-probe": {"epochs": 2}},
        dtype="float32", device="cpu",
    )  # fmt: skip


def test_frames_and_lists_of_whatever_kind_give_the_same_run(custom, tmp_path):
    shapes = {"list": list, "polars": pl.DataFrame, "pandas": pandas_frame, "datasets": with_class_labels}
    runs = {name: isogloss.run(custom, tmp_path / name, data=by_split(shape)) for name, shape in shapes.items()}
    for run in runs.values():
        assert_frame_equal(run.scores, runs["list"].scores)
        assert_frame_equal(run.predictions, runs["list"].predictions)
    assert set(runs["list"].scores["language"]) == {"eng-Latn", "swh-Latn"}
    answers = runs["list"].load().predict(["the cat"], "sw")
    assert answers[0]["label"] in LABELS[:2]
    assert isogloss.run(custom, tmp_path / "list", data=by_split(list)).path == tmp_path / "list"  # nothing to train


def test_examples_that_are_gone_from_the_cache_are_asked_for_again(custom, tmp_path):
    run = isogloss.run(custom, tmp_path / "run", data=by_split(list))
    shutil.rmtree(frames_folder())
    with pytest.raises(IsoglossError, match="given from Python are no longer in .*; give them again$"):
        isogloss.analyze(run.path, "tokenization")
    isogloss.run(custom, tmp_path / "run", data=by_split(list))
    assert set(isogloss.analyze(run.path, "gap")) == {"gap"}


def test_examples_with_fewer_languages_leave_those_of_before_to_the_analyses(custom, tmp_path):
    fewer = by_split(list)
    more = {**fewer, "test": {**fewer["test"], "fr": examples(6, 400)}}
    isogloss.run(custom, tmp_path, data=more)
    again = isogloss.run(custom, tmp_path, data=fewer)
    assert set(again.scores["language"]) == {"eng-Latn", "fra-Latn", "swh-Latn"}
    assert len(again.analyze("tokenization"))


def test_words_with_tags_and_questions_are_told_by_their_columns(home, tmp_path):
    words = [
        {"words": ["the", "cat", str(place)], "labels": ["O", "B-PER" if place % 2 else "B-LOC", "O"]}
        for place in range(12)
    ]
    questions = [
        {
            "question": f"where {place}",
            "context": f"the cat sat on a mat {place}",
            "answers": ["a mat"],
            "id": str(place),
        }
        for place in range(12)
    ]
    for kind, rows, metric in (("tagging", words, "span-f1"), ("qa", questions, "f1")):
        spec = isogloss.Spec(
            name=kind, backbone=str(home / "model"), task="custom", methods={"linear-probe": {"epochs": 1}},
            dtype="float32", device="cpu",
        )  # fmt: skip
        data = {
            "train": {"en": rows[:6]}, "dev": {"en": rows[6:8]}, "test": {"en": rows[8:10], "de": rows[10:]},
        }  # fmt: skip
        run = isogloss.run(spec, tmp_path / kind, data=data)
        assert metric in set(run.scores["metric"])
        assert len(run.predictions) == 4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"training": {"en": []}}, "unknown split of data 'training'; did you mean 'train'"),
        ({"train": examples(3, 0)}, "data\\['train'\\] is list; expected examples by language"),
        ({"train": {"xx": examples(3, 0)}}, "unknown language 'xx'"),
        ({"train": {"en": examples(3, 0), "eng": examples(3, 0)}}, "'en' and 'eng' are both eng-Latn"),
        ({"train": {"en": 3}}, "data\\['train'\\]\\['eng-Latn'\\] is int; expected a frame"),
        ({"train": {"en": []}}, "data holds no examples"),
        ({"train": {"en": [{"sentence": "a"}]}}, "data has the columns sentence; expected text and label"),
        ({"train": {"en": [{"text": ["a"], "label": "b"}]}}, "row 1: text is list; expected a text"),
        ({"train": {"en": [{"text": "a", "label": {"x": 1}}]}}, "row 1: label is dict; expected a text"),
        ({"train": {"en": [{"words": "a b", "labels": ["O", "O"]}]}}, "row 1: words is str; expected a list of texts"),
        ({**by_split(list), "train": {"en": [{"text": "", "label": LABELS[0]}]}}, "empty 'text'"),
        ({"train": {"en": examples(4, 0)}, "test": {"en": examples(4, 9)}}, "has no dev split"),
    ],
)
def test_examples_that_cannot_be_are_refused_in_one_line(custom, tmp_path, data, message):
    with pytest.raises(IsoglossError, match=message) as caught:
        isogloss.run(custom, tmp_path / "run", data=data)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_examples_go_with_no_other_data(spec, tmp_path):
    with pytest.raises(IsoglossError, match="expected `task: custom`"):
        isogloss.run(spec, tmp_path / "run", data=by_split(list))


def test_a_label_that_stands_for_none_is_no_label(custom, tmp_path):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=LABELS[:2])})
    unlabelled = datasets.Dataset.from_list([{"text": "the cat", "label": -1}], features=features)
    with pytest.raises(
        IsoglossError, match=r"data\['train'\]\['en'\] row 1: label is missing; remove the row or fill it in"
    ):
        isogloss.run(custom, tmp_path / "run", data={"train": {"en": unlabelled}})


def test_answers_in_a_frame_of_pandas_are_read(custom):
    answers = {"text": np.array(["a mat"], dtype=object), "answer_start": np.array([15], dtype=np.int32)}
    frame = pandas_frame([{"question": "where", "context": "the cat sat on a mat", "answers": answers, "id": "1"}])
    spec = stored_frames(custom, {"train": {"en": frame}})
    (article,) = json.loads((spec.data.path / "eng-Latn" / "train.json").read_text())["data"]
    assert article["paragraphs"][0]["qas"][0]["answers"] == [{"text": "a mat", "answer_start": 15}]
