"""A stored model labels new texts: scores of all classes, answers withheld, places in the text, temperatures."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from scipy.special import softmax

import isogloss
from isogloss.errors import IsoglossError
from isogloss.experiment.new_texts import check_threshold
from isogloss.store import CONFIDENCE, DamagedError, Store
from models import LABELS, WORDS, checkpoint

NAMES = ["O", "B-PER", "I-PER", "B-LOC"]
WORD_OF = {"PER": "cat", "LOC": "moon"}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Examples that are given from Python are kept in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOGLOSS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("model") / "model")


def spec(folder, name, **changes):
    methods = {"linear-probe": {"epochs": 3}, "soft-prompt": {"epochs": 1, "length": 2}}
    return isogloss.Spec(
        **{"name": name, "backbone": str(folder), "task": "custom", "methods": methods, "dtype": "float32",
           "device": "cpu", **changes}
    )  # fmt: skip


def texts(count, seed, *, wrong=0.3):
    """Texts whose first word tells the label, in most of them."""
    generator = np.random.default_rng(seed)
    rows = []
    for place in range(count):
        label = place % 3
        first = generator.integers(3) if generator.random() < wrong else label
        words = [WORDS[first], *(WORDS[7 + number] for number in generator.integers(0, 13, 5)), str(place)]
        rows.append({"text": " ".join(words), "label": LABELS[label]})
    return rows


def sentences(count, seed):
    generator = np.random.default_rng(seed)
    rows = []
    for place in range(count):
        words = [WORDS[number] for number in generator.integers(0, len(WORDS), 6)]
        labels = ["B-PER" if word == "cat" else "B-LOC" if word == "moon" else "O" for word in words]
        rows.append({"words": [*words, "dog", str(place)], "labels": [*labels, "I-PER" if place % 4 else "O", "O"]})
    return rows


def questions(count, seed):
    generator = np.random.default_rng(seed)
    rows = []
    for place in range(count):
        words = [WORDS[number] for number in generator.integers(0, len(WORDS), 9)]
        rows.append({"question": f"where {place}", "context": " ".join(words), "answers": [words[4]], "id": str(place)})
    return rows


@pytest.fixture(scope="module")
def classified(model_folder, tmp_path_factory):
    data = {
        "train": {"en": texts(24, 0)}, "dev": {"en": texts(30, 1)}, "test": {"en": texts(12, 2), "de": texts(12, 3)}
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("classified") / "run"
    return isogloss.run(spec(model_folder, "small", seeds=[0, 1]), folder, data=data), data


@pytest.fixture(scope="module")
def tagged(model_folder, tmp_path_factory):
    data = {
        "train": {"en": sentences(40, 0)}, "dev": {"en": sentences(12, 1)},
        "test": {"en": sentences(6, 2), "de": sentences(6, 3)},
    }  # fmt: skip
    return isogloss.run(spec(model_folder, "tags"), tmp_path_factory.mktemp("tagged") / "run", data=data)


@pytest.fixture(scope="module")
def asked(model_folder, tmp_path_factory):
    data = {
        "train": {"en": questions(20, 0)}, "dev": {"en": questions(6, 1)},
        "test": {"en": questions(4, 2), "de": questions(4, 3)},
    }  # fmt: skip
    return isogloss.run(spec(model_folder, "qa"), tmp_path_factory.mktemp("asked") / "run", data=data)


# Scores and thresholds


def test_every_class_has_a_probability(classified):
    model = classified[0].load("soft-prompt", 1)
    plain, whole = model.predict(["the cat", "a dog ran"]), model.predict(["the cat", "a dog ran"], scores=True)
    for answer, more in zip(plain, whole, strict=True):
        assert list(more["scores"]) == model.record.labels
        assert sum(more["scores"].values()) == pytest.approx(1, abs=1e-3)
        assert more["score"] == max(more["scores"].values()) == more["scores"][more["label"]]
        assert {name: value for name, value in more.items() if name != "scores"} == answer


def test_an_answer_that_is_not_sure_enough_is_withheld_and_its_score_stays(classified):
    model = classified[0].load("linear-probe", 0)
    given = [row["text"] for row in texts(40, 9)]
    free = model.predict(given)
    middle = sorted(answer["score"] for answer in free)[20]
    held = model.predict(given, threshold=middle)
    assert [answer["score"] for answer in held] == [answer["score"] for answer in free]
    for before, after in zip(free, held, strict=True):
        assert after["label"] == (before["label"] if before["score"] >= middle else None)
    assert any(answer["label"] is None for answer in held)
    assert model.predict(given, threshold=0.0) == free


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan"), "0.5", True])
def test_a_threshold_is_a_probability(classified, threshold):
    with pytest.raises(IsoglossError, match="threshold is .*; expected a number from 0 to 1"):
        check_threshold(threshold)
    if isinstance(threshold, float):
        with pytest.raises(IsoglossError, match="threshold is "):
            classified[0].load().predict(["the cat"], threshold=threshold)


# Places in the text

ODD = [
    "the  cat\tsat",
    " cat moon ",
    "e\u0301te\u0301 cat",  # combining marks
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 cat \u2764\ufe0f",  # joiners, a variation selector
    "\u0928\u092e\u0938\u094d\u0924\u0947 moon \u0926\u0941\u0928\u093f\u092f\u093e",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e04\u0e23\u0e31\u0e1a",
    "\u0645\u0631\u062d\u0628\u0627\u200f cat",
    "cat\u3000moon\u00a0cat\u2028moon\x1fdog",
    "\U0001d518\U00010348 cat",
    "\u200b",
]


@pytest.mark.parametrize("text", ODD)
def test_words_and_spans_stand_where_they_are_said_to(tagged, text):
    (answer,) = tagged.load("linear-probe").predict([text], scores=True)
    assert answer["words"] == text.split()
    assert len(answer["words"]) == len(answer["labels"]) == len(answer["offsets"]) == len(answer["scores"])
    for word, (start, end) in zip(answer["words"], answer["offsets"], strict=True):
        assert text[start:end] == word
    for label, probabilities in zip(answer["labels"], answer["scores"], strict=True):
        assert probabilities[label] == max(probabilities.values())
    for span in answer["spans"]:
        assert text[span["start"] : span["end"]] == span["text"]
        assert 0 <= span["score"] <= 1


def test_every_character_that_parts_words_parts_them_alike():
    from isogloss.tasks.tagging import WORD

    for number in [*range(0xD800), *range(0xE000, 0x110000)]:
        text = f"a{chr(number)}b"
        assert WORD.findall(text) == text.split(), hex(number)


def test_spans_are_those_that_labels_mark():
    from isogloss.preprocessing.features import Features, WordSpans
    from isogloss.tasks.registry import TASKS

    text = "Ada  Lovelace saw Paris and Rome"
    tags = ["B-PER", "I-PER", "O", "B-LOC", "O", "I-LOC"]
    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    scores = torch.tensor([[5.0 if name == tag else 0.0 for name in names] for tag in tags])
    features = Features(
        tokens=np.zeros(6, dtype=np.int32), types=None, starts=np.array([0, 6]), labels=np.zeros(6, dtype=np.int64),
        words=WordSpans(np.array([6]), np.stack([np.arange(6), np.arange(6) + 1], axis=1)),
    )  # fmt: skip
    (answer,) = TASKS["tagging"].answers(features, scores, names, [[text]], every=False)
    assert answer["labels"] == tags
    assert [(span["label"], span["text"], span["start"], span["end"]) for span in answer["spans"]] == [
        ("PER", "Ada  Lovelace", 0, 13), ("LOC", "Paris", 18, 23), ("LOC", "Rome", 28, 32),
    ]  # fmt: skip
    parts_of_speech = ["NOUN", "VERB", "ADP", "PRON", "DET"]
    (answer,) = TASKS["tagging"].answers(features, scores, parts_of_speech, [[text]], every=False)
    assert "spans" not in answer
    assert "spans" not in TASKS["tagging"].answer_columns(parts_of_speech, every=False)


def test_a_sentence_is_withheld_as_a_whole(tagged):
    model = tagged.load("linear-probe")
    (answer,) = model.predict(["the cat ran"], threshold=1.0)
    assert answer["labels"] is answer["spans"] is None
    assert answer["words"] == ["the", "cat", "ran"]
    assert answer["offsets"] == [[0, 3], [4, 7], [8, 11]]
    assert answer["score"] < 1


@pytest.mark.parametrize("passage", ["the cat sat on a mat", *ODD[:-1], "cat " * 60])
def test_an_answer_stands_in_the_passage_where_it_is_said_to(asked, passage):
    model = asked.load("linear-probe")
    (answer,) = model.predict([("where", passage)])
    assert answer.keys() == {"question", "answer", "score", "start", "end"}
    assert passage[answer["start"] : answer["end"]] == answer["answer"]
    (held,) = model.predict([f"where\t{passage}"] if "\t" not in passage else [["where", passage]], threshold=1.0)
    assert held["score"] == answer["score"]
    if answer["score"] < 1:
        assert held["answer"] is held["start"] is held["end"] is None
    with pytest.raises(IsoglossError, match="scores of all classes are of classification and tagging"):
        model.predict([("where", passage)], scores=True)


# Temperatures


def loss(scores, gold, temperature):
    return -np.log(softmax(scores.double().numpy() / temperature, axis=1)[np.arange(len(gold)), gold]).mean()


def test_a_cell_keeps_the_temperature_of_the_sources_development_data(classified):
    run, data = classified
    for cell in run.store.finished():
        record = cell.record
        model = run.load(*cell.key)
        assert model.temperature == record.temperature != 1
        predicted = model.scored([[row["text"]] for row in data["dev"]["en"]], None)
        gold = [record.labels.index(row["label"]) for row in data["dev"]["en"]]
        best = min(loss(predicted.scores, gold, temperature) for temperature in np.exp(np.linspace(-4, 4, 300)))
        assert loss(predicted.scores, gold, record.temperature) <= best + 1e-5


def test_a_score_is_the_probability_by_the_temperature(classified):
    model = classified[0].load("linear-probe", 0)
    predicted = model.scored([["the cat"], ["a dog ran"]], None)
    expected = softmax(predicted.scores.double().numpy() / model.temperature, axis=1).max(axis=1)
    assert [answer["score"] for answer in model.predict(["the cat", "a dog ran"])] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", ["classified", "tagged"])
def test_how_sure_each_answer_is_stands_beside_the_tables(kind, request):
    made = request.getfixturevalue(kind)
    run = made[0] if isinstance(made, tuple) else made
    for cell in run.store.finished():
        table = cell.table("confidence")
        assert dict(table.schema) == CONFIDENCE
        named = ["method", "seed", "language", "split", "example", "score"]
        assert_frame_equal(table.select(named), cell.table("predictions").select(named))
        model = run.load(*cell.key)
        if kind == "classified":
            rows = made[1]["test"]["de"]
            answers = model.predict([row["text"] for row in rows])
            calibrated = table.filter(language="deu-Latn")["calibrated"]
            assert [answer["score"] for answer in answers] == pytest.approx(calibrated.to_list(), abs=1e-4)
        changed = (table["score"] - table["calibrated"]).abs().max() > 1e-4
        assert changed == (abs(model.temperature - 1) > 0.05) or model.temperature == 1
    assert not (run.path / "confidence.parquet").exists()


def test_questions_have_no_temperature(asked):
    for cell in asked.store.finished():
        assert cell.record.temperature is None
        assert not (cell.folder / "confidence.parquet").exists()
        assert asked.load(*cell.key).temperature == 1


def without_temperatures(folder):
    """As an older version has left it."""
    for cell in Store(folder).finished():
        (cell.folder / "confidence.parquet").unlink()
        record = json.loads((cell.folder / "run.json").read_text())
        del record["temperature"], record["tables_sha256"]["confidence"]
        (cell.folder / "run.json").write_text(json.dumps(record))


def extended(model_folder, data, folder, **changes):
    return isogloss.run(spec(model_folder, "small", **changes), folder, data=data)


def test_languages_and_seeds_are_added_to_both_kinds_of_cells(model_folder, classified, tmp_path):
    data = {**classified[1], "test": {"en": texts(12, 2), "de": texts(12, 3)}}
    more = {**data, "test": {**data["test"], "sw": texts(12, 4)}}
    new, old = tmp_path / "new", tmp_path / "old"
    for folder in (new, old):
        extended(model_folder, data, folder)
    without_temperatures(old)
    facts = {cell.key: (cell.record.facts, cell.record.weights_sha256) for cell in Store(old).finished()}
    for folder in (new, old):
        extended(model_folder, more, folder, seeds=[0, 1])
    for cell in Store(new).finished():
        table = cell.table("confidence")
        assert set(table["language"]) == {"eng-Latn", "deu-Latn", "swh-Latn"}
        assert_frame_equal(table["score"].to_frame(), cell.table("predictions")["score"].to_frame())
        assert all(len(hashes) == 1 for hashes in cell.record.tables_sha256.values())
    for cell in Store(old).finished():
        assert (cell.record.temperature is None) == (cell.record.seed == 0)
        assert (cell.folder / "confidence.parquet").exists() == (cell.record.seed == 1)
        assert set(cell.table("predictions")["language"]) == {"eng-Latn", "deu-Latn", "swh-Latn"}
        if cell.key in facts:
            assert (cell.record.facts, cell.record.weights_sha256) == facts[cell.key]
    whole = isogloss.run(spec(model_folder, "small", seeds=[0, 1]), tmp_path / "whole", data=more)
    for cell in Store(new).finished():
        assert_frame_equal(cell.table("confidence"), whole.store.has(*cell.key).table("confidence"), abs_tol=1e-5)


def test_an_older_cell_gives_scores_as_they_are(model_folder, classified, tmp_path):
    run = extended(model_folder, classified[1], tmp_path / "run", methods={"linear-probe": {"epochs": 3}})
    without_temperatures(run.path)
    model = isogloss.load(run.path)
    assert model.temperature == 1
    predicted = model.scored([["the cat"]], None)
    assert model.predict(["the cat"])[0]["score"] == pytest.approx(float(predicted.scores.softmax(1).max()), abs=1e-4)


@pytest.mark.parametrize("value", [0, -1, "x", [1], 1e9, None])
def test_a_temperature_that_cannot_be_is_named(model_folder, classified, tmp_path, value):
    run = extended(model_folder, classified[1], tmp_path / "run", methods={"linear-probe": {"epochs": 1}})
    (cell,) = run.store.finished()
    record = json.loads((cell.folder / "run.json").read_text())
    (cell.folder / "run.json").write_text(json.dumps({**record, "temperature": value}))
    if value is None:
        assert isogloss.load(run.path).temperature == 1
        return
    with pytest.raises(DamagedError, match=r"run\.json is not what isogloss writes there: temperature"):
        isogloss.load(run.path)


def test_a_damaged_file_of_confidence_is_named_where_it_is_read(model_folder, classified, tmp_path):
    run = extended(model_folder, classified[1], tmp_path / "run", methods={"linear-probe": {"epochs": 1}})
    (cell,) = run.store.finished()
    file = cell.folder / "confidence.parquet"
    pl.read_parquet(file).head(3).write_parquet(file)
    assert isogloss.load(run.path).predict(["the cat"])  # which needs it not
    with pytest.raises(DamagedError, match=r"confidence\.parquet .* is not the file that was written"):
        cell.table("confidence")
    more = {**classified[1], "test": {**classified[1]["test"], "sw": texts(12, 4)}}
    with pytest.raises(IsoglossError, match=r"confidence\.parquet"):
        extended(model_folder, more, run.path, methods={"linear-probe": {"epochs": 1}})


def test_the_seam_gives_what_predict_gives(classified):
    model = classified[0].load("soft-prompt", 0)
    given = ["the cat", "a dog ran on"]
    parts = [model.parts(text, number) for number, text in enumerate(given, start=1)]
    predicted = model.scored(parts, "deu-Latn")
    assert model.shown(parts, predicted, "deu-Latn", scores=True) == model.predict(given, "de", scores=True)
    assert len(model.features(parts, None)) == 2
    with pytest.raises(IsoglossError, match="text 7 is empty"):
        model.parts(" ", 7)
