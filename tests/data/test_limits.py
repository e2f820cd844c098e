"""Limits draw: in proportion, by item, the same for every language of parallel data."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isogloss.data.cards import find
from isogloss.data.dataset import DataSet, open_data
from isogloss.data.limits import apportioned, drawn, unique
from isogloss.errors import IsoglossError
from isogloss.languages.language import Language

ENGLISH, GERMAN, THAI = (Language.parse(code) for code in ("en", "de", "th"))
LABELS = {"travel": 50, "health": 30, "politics": 15, "sports": 4, "geography": 1}


def taken(labels, limit, *, ids=None, dataset="d", split="test"):
    names = ids or [str(number) for number in range(len(labels))]
    return drawn("classification", names, labels, limit, dataset=dataset, split=split)


def sib(folder, rows, *codes, split="test"):
    """SIB-200's layout: (id, label) rows in each language."""
    for code in codes:
        (folder / code).mkdir(exist_ok=True)
        body = "".join(f"{name}\t{label}\ttext {name} in {code}\n" for name, label in rows)
        (folder / code / f"{split}.tsv").write_text("index_id\tcategory\ttext\n" + body, encoding="utf-8")
    return folder


def ordered(labels):
    return [label for label, count in labels.items() for _ in range(count)]


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 6, 10, 20, 37, 50, 99])
def test_labels_are_drawn_in_proportion_and_each_at_least_once(limit):
    labels = ordered(LABELS)
    places = taken(labels, limit)
    counts = Counter(labels[place] for place in places)
    assert len(places) == limit
    assert places == sorted(set(places))
    if limit >= len(LABELS):
        assert set(counts) == set(LABELS)
    for label, count in LABELS.items():  # by one at most, and one more where another gave for a rare label
        assert abs(counts[label] - limit * count / len(labels)) <= 2


def test_a_limit_as_large_as_the_split_takes_all():
    assert taken(["a", "b", "a"], 3) == [0, 1, 2]
    assert taken(["a", "b", "a"], 300) == [0, 1, 2]


def test_largest_remainders_and_one_of_each_where_there_is_room():
    assert apportioned({"a": 50, "b": 30, "c": 20}, 10, "abc") == {"a": 5, "b": 3, "c": 2}
    assert apportioned({"a": 97, "b": 2, "c": 1}, 3, "abc") == {"a": 1, "b": 1, "c": 1}
    assert apportioned({"a": 97, "b": 2, "c": 1}, 2, "abc") == {"a": 2, "b": 0, "c": 0}
    assert apportioned({"a": 96, "b": 2, "c": 2}, 10, "cab") == {"a": 8, "b": 1, "c": 1}


@given(
    labels=st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=120),
    limit=st.integers(1, 150),
    family=st.sampled_from(["classification", "tagging", "qa"]),
)
def test_whatever_the_file_a_limit_is_kept_and_shares_are(labels, limit, family):
    names = unique([str(number % 50) for number in range(len(labels))])  # some ids come twice
    places = drawn(family, names, None if family == "tagging" else labels, limit, dataset="d", split="dev")
    assert places == sorted(set(places))
    assert len(places) == min(limit, len(labels))
    whole, few = Counter(labels), Counter(labels[place] for place in places)
    if family == "classification":
        assert limit < len(whole) or few.keys() == whole.keys()
        assert sum(abs(few[label] - len(places) * count / len(labels)) for label, count in whole.items()) <= 2 * 7
    elif family == "qa":
        assert all(abs(few[label] - len(places) * count / len(labels)) < 1 for label, count in whole.items())


def test_the_draw_goes_by_item_not_by_place():
    labels, ids = ordered(LABELS), [f"item-{number}" for number in range(100)]
    before = {ids[place] for place in taken(labels, 20, ids=ids)}
    backward = {ids[::-1][place] for place in taken(labels[::-1], 20, ids=ids[::-1])}
    assert before == backward
    assert before != {ids[place] for place in taken(labels, 20, ids=ids, split="dev")}
    assert before != {ids[place] for place in taken(labels, 20, ids=ids, dataset="other")}


def test_the_draw_stays_what_it_is():
    """Stored runs rely on it: a change here refuses every run directory with a limit."""
    assert taken(list("aabbaabbab"), 4) == [1, 4, 6, 7]
    names = [str(number) for number in range(12)]
    assert drawn("tagging", names, None, 4, dataset="d", split="test") == [1, 4, 7, 11]
    assert drawn("qa", names, list("aaaabbbbcccc"), 4, dataset="d", split="test") == [1, 2, 6, 10]


@pytest.mark.parametrize(("count", "limit"), [(100, 7), (13, 4), (10, 9), (50, 1)])
def test_sentences_are_drawn_evenly_over_the_file(count, limit):
    places = drawn("tagging", [str(n) for n in range(count)], None, limit, dataset="d", split="test")
    assert len(set(places)) == limit
    assert places == sorted(places)
    for number, place in enumerate(places):
        assert number * count // limit <= place < (number + 1) * count // limit


def test_a_file_that_repeats_itself_is_not_drawn_in_step_with_it():
    places = drawn("tagging", [str(n) for n in range(300)], None, 100, dataset="d", split="test")
    assert set(Counter(place % 3 for place in places)) == {0, 1, 2}


@pytest.mark.parametrize("limit", [1, 3, 5, 12, 40])
def test_questions_are_drawn_in_proportion_to_articles(limit):
    articles = [name for name, count in {"A": 30, "B": 15, "C": 10, "D": 5}.items() for _ in range(count)]
    places = drawn("qa", [str(n) for n in range(60)], articles, limit, dataset="d", split="test")
    counts = Counter(articles[place] for place in places)
    assert len(set(places)) == limit
    for article, whole in Counter(articles).items():
        assert limit * whole // 60 <= counts[article] <= -(-limit * whole // 60)


def test_ids_that_come_twice_name_two_examples():
    assert unique(["a", "b", "a", "a"]) == ["a", "b", "a\x1f1", "a\x1f2"]
    assert len(taken(list("xxyy"), 2, ids=unique(["a", "a", "a", "a"]))) == 2


def test_a_sorted_file_is_drawn_from_all_over(tmp_path):
    rows = [(str(n), label) for n, label in enumerate(ordered(LABELS))]
    data = open_data("sib200", path=sib(tmp_path, rows, "eng_Latn"), limits={"test": 20})
    examples = data.examples(ENGLISH, "test")
    assert examples.table["label"].value_counts().sort("count", descending=True)["count"].to_list()[0] == 10
    assert set(examples.table["label"]) == set(LABELS)
    assert examples.table["id"].cast(int).is_sorted()  # the file's order is kept
    assert (len(examples), examples.whole) == (20, 100)
    assert open_data("sib200", path=tmp_path).examples(ENGLISH, "test").whole is None


def test_parallel_languages_have_the_same_items(tmp_path):
    rows = [(str(n), label) for n, label in enumerate(ordered(LABELS))]
    sib(tmp_path, rows, "eng_Latn")
    sib(tmp_path, rows[::-1], "deu_Latn")
    sib(tmp_path, rows[::2], "tha_Thai")  # half of them
    data = open_data("sib200", path=tmp_path, limits={"test": 20}).read_for(ENGLISH)
    english, german, thai = (data.examples(language, "test") for language in (ENGLISH, GERMAN, THAI))
    assert set(german.table["id"]) == set(english.table["id"])
    assert german.table["id"].cast(int).is_sorted(descending=True)
    assert set(thai.table["id"]) == {name for name in english.table["id"] if int(name) % 2 == 0}
    again = open_data("sib200", path=tmp_path, limits={"test": 20}).read_for(ENGLISH)
    assert again.examples(GERMAN, "test").fingerprint == german.fingerprint  # whoever is read first


def test_where_the_source_lacks_the_split_the_first_language_that_has_it_is_drawn_from(tmp_path):
    rows = [(str(n), label) for n, label in enumerate(ordered(LABELS))]
    sib(tmp_path, rows, "deu_Latn", "tha_Thai")
    data = open_data("sib200", path=tmp_path, limits={"test": 20}).read_for(ENGLISH)
    assert set(data.examples(THAI, "test").table["id"]) == set(data.examples(GERMAN, "test").table["id"])


def test_a_language_with_none_of_the_items_is_refused_in_a_line(tmp_path):
    sib(tmp_path, [(str(n), "travel") for n in range(9)], "eng_Latn")
    sib(tmp_path, [(f"x{n}", "travel") for n in range(9)], "deu_Latn")
    data = open_data("sib200", path=tmp_path, limits={"test": 3}).read_for(ENGLISH)
    with pytest.raises(IsoglossError, match=r"deu_Latn/test.tsv has none of the 3 examples of eng-Latn") as error:
        data.examples(GERMAN, "test")
    assert "\n" not in str(error.value)


def test_a_limit_beyond_all_splits_changes_nothing(tmp_path):
    sib(tmp_path, [(str(n), "travel") for n in range(9)], "eng_Latn")
    sib(tmp_path, [(f"x{n}", "travel") for n in range(7)], "deu_Latn")
    limited = open_data("sib200", path=tmp_path, limits={"test": 9}).read_for(ENGLISH)
    whole = open_data("sib200", path=tmp_path)
    for language in (ENGLISH, GERMAN):
        assert limited.examples(language, "test").fingerprint == whole.examples(language, "test").fingerprint


def test_runs_of_before_read_the_first_rows(tmp_path):
    rows = [(str(n), label) for n, label in enumerate(ordered(LABELS))]
    data = open_data("sib200", path=sib(tmp_path, rows, "eng_Latn"), limits={"test": 20})
    first = data.read_for(ENGLISH, first_rows=True).examples(ENGLISH, "test")
    assert first.table["id"].to_list() == [str(n) for n in range(20)]


def test_a_generated_data_set_is_drawn_from_alike():
    card = find("voice-intents")
    whole = DataSet(card).examples(ENGLISH, "test")
    limit = len(set(whole.labels)) + 10
    few = DataSet(card, limits={"test": limit}).examples(ENGLISH, "test")
    assert set(few.labels) == set(whole.labels)
    assert len(few) == limit


def test_numbered_examples_keep_their_numbers(tmp_path):
    """Without a column of ids a row's number is its id, in every language and whatever is drawn."""
    for code in ("en", "de"):
        body = "".join(f"{code} {n}\tso {n}\t{('neutral', 'entailment')[n % 2]}\n" for n in range(40))
        (tmp_path / f"xnli.{code}.test.tsv").write_text(f"premise\thypothesis\tlabel\n{body}", encoding="utf-8")
    data = open_data("xnli", path=tmp_path, limits={"test": 6}).read_for(ENGLISH)
    english, german = data.examples(ENGLISH, "test").table, data.examples(GERMAN, "test").table
    assert english["id"].to_list() == german["id"].to_list() != [str(n) for n in range(6)]
    assert english["text"].to_list() == [f"en {name}" for name in english["id"]]


def test_questions_are_drawn_from_all_articles_and_are_the_same_in_every_language(tmp_path):
    def article(code, number):
        text = f"{code} says {number}"
        answers = [{"text": "says", "answer_start": 3}]
        questions = [{"id": f"{number}-{n}", "question": f"{n}?", "answers": answers} for n in range(6)]
        return {"title": f"{code} {number}", "paragraphs": [{"context": text, "qas": questions}]}

    for code in ("en", "de"):
        articles = [article(code, number) for number in range(10)]
        (tmp_path / f"xquad.{code}.json").write_text(json.dumps({"data": articles}), encoding="utf-8")
    data = open_data("xquad", path=tmp_path, limits={"test": 20}).read_for(ENGLISH)
    english, german = data.examples(ENGLISH, "test").table, data.examples(GERMAN, "test").table
    assert english["id"].to_list() == german["id"].to_list()
    assert Counter(name.split("-")[0] for name in english["id"]) == {str(number): 2 for number in range(10)}


def test_tagged_sentences_are_drawn_over_the_file(tmp_path):
    for code, count in (("en", 100), ("de", 40)):
        sentences = "\n\n".join(f"word{n}\tNOUN\nruns\tVERB" for n in range(count))
        (tmp_path / f"test-{code}.tsv").write_text(sentences + "\n", encoding="utf-8")
    data = open_data("udpos", path=tmp_path, limits={"test": 10}).read_for(ENGLISH)
    for language, count in ((ENGLISH, 100), (GERMAN, 40)):  # each from its own: they are not parallel
        examples = data.examples(language, "test")
        assert [int(name) * 10 // count for name in examples.table["id"]] == list(range(10))
        assert examples.whole == count


def test_another_set_to_train_on_is_drawn_from_alike(tmp_path):
    rows = [(str(n), label) for n, label in enumerate(ordered(LABELS))]
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
    sib(tmp_path / "train", rows, "eng_Latn", split="train")
    sib(tmp_path / "test", rows, "eng_Latn")
    data = open_data(
        "sib200", path=tmp_path / "test", limits={"train": 20, "test": 5}, train=("sib200", tmp_path / "train")
    ).read_for(ENGLISH)
    assert set(data.examples(ENGLISH, "train").labels) == set(LABELS)
    assert set(data.examples(ENGLISH, "test").labels) == set(LABELS)
