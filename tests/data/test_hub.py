"""Data sets as Parquet on the hub: here in a folder that is laid out as a repository of the hub."""

import sys
from functools import partial

import datasets
import huggingface_hub
import polars as pl
import pytest

from isogloss.data.cards import find
from isogloss.data.dataset import DataSet
from isogloss.errors import IsoglossError
from isogloss.languages.language import Language

CODES = ("eng_Latn", "deu_Latn")


class NoConnectionError(Exception):
    """The hub's client raises its HTTP library's own errors, which are no `OSError`."""


@pytest.fixture
def card(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def offline(*_, **__):
        raise NoConnectionError

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", offline)
    repository = tmp_path / "sib200"
    configs = []
    for code in CODES:
        (repository / code).mkdir(parents=True)
        files = []
        for split in ("train", "validation", "test"):
            rows = {
                "index_id": [4, 7],
                "category": ["travel", "health"],
                "text": [f"{code} {split}", "b"],
                "more": [1, 2],
            }
            pl.DataFrame(rows).write_parquet(repository / code / f"{split}.parquet")
            files.append(f"  - {{split: {split}, path: {code}/{split}.parquet}}")
        configs.append("\n".join([f"- config_name: {code}", "  data_files:", *files]))
    (repository / "README.md").write_text("---\nconfigs:\n" + "\n".join(configs) + "\n---\n", encoding="utf-8")
    found = find("sib200")
    return found.model_copy(update={"hub": found.hub.model_copy(update={"id": str(repository)})})


def test_splits_and_columns_are_the_cards(card):
    data = DataSet(card)
    assert data.examples(Language.parse("de"), "dev").table.rows() == [
        ("4", "deu_Latn validation", "travel"),
        ("7", "b", "health"),
    ]
    assert data.revision is None


def test_every_language_comes_from_one_commit(card, monkeypatch):
    asked, used = [], []

    def load_dataset(*_, revision, **__):
        used.append(revision)
        raise ValueError("seen\nenough")

    def dataset_info(_, repository, **__):
        asked.append(repository)
        return type("Info", (), {"sha": "c0ffee"})()

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    data = DataSet(card)
    for code in CODES:
        with pytest.raises(IsoglossError, match="could not be fetched from .*seen.; without network set data.path"):
            data.examples(Language.parse(code), "test")
    assert (asked, used) == ([card.hub.id], ["c0ffee", "c0ffee"])


def test_a_missing_column_is_named(card):
    other = card.model_copy(update={"columns": card.columns.model_copy(update={"label": "topic"})})
    with pytest.raises(IsoglossError, match="has no column 'topic'; it has index_id, category, text, more"):
        DataSet(other).examples(Language.parse("en"), "test")


@pytest.fixture
def uploaded(tmp_path, monkeypatch):
    """A way to lay a split out as a repository of the hub, and to read a card from there."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets, "load_dataset", partial(_without_revision, datasets.load_dataset))

    def upload(name, config, split, rows):
        repository = tmp_path / name
        repository.mkdir()
        rows.to_parquet(repository / f"{split}.parquet")
        lines = f"- config_name: {config}\n  data_files:\n  - {{split: {split}, path: {split}.parquet}}"
        (repository / "README.md").write_text(f"---\nconfigs:\n{lines}\n---\n", encoding="utf-8")
        found = find(name)
        hub = found.hub.model_copy(update={"id": str(repository), "revision": "c0ffee"})
        return DataSet(found.model_copy(update={"hub": hub}))

    return upload


def test_columns_may_be_called_otherwise_there(uploaded):
    """Lists of classes become their names, whatever the column is called."""
    classes = datasets.ClassLabel(names=["O", "B-PER", "I-PER"])
    features = datasets.Features({"idx": datasets.Value("string"), "tokens": datasets.List(datasets.Value("string"))})
    features["ner_tags"] = datasets.List(classes)
    rows = {"idx": ["a"], "tokens": [["Ada", "ran"]], "ner_tags": [[1, 0]]}
    data = uploaded("uner", "en_ewt", "test", datasets.Dataset.from_dict(rows, features=features))
    assert data.examples(Language.parse("en"), "test").table.rows() == [("0", ["Ada", "ran"], ["B-PER", "O"])]


def test_questions_have_their_answers_from_the_hub(uploaded):
    answers = {"text": ["cat"], "answer_start": [2]}
    rows = [
        {"id": f"{name}-1", "title": "t", "context": "a cat sat", "question": "who?", "answers": answers}
        for name in ("english", "swahili")
    ]
    data = uploaded("tydiqa", "secondary_task", "validation", datasets.Dataset.from_list(rows))
    expected = [("swahili-1", "who?", "a cat sat", ["cat"], [2])]
    assert data.examples(Language.parse("sw"), "test").table.rows() == expected


def _without_revision(load, *words, revision, **named):
    """A folder has no commits."""
    assert revision == "c0ffee"
    return load(*words, **named)


def test_nothing_is_no_text(tmp_path, card):
    repository = tmp_path / "sib200" / "eng_Latn"
    rows = {"index_id": ["1"], "category": ["travel"], "text": [None], "more": [1]}
    pl.DataFrame(rows, schema_overrides={"text": pl.String}).write_parquet(repository / "test.parquet")
    with pytest.raises(IsoglossError, match="row 0 has an empty 'text'"):
        DataSet(card).examples(Language.parse("en"), "test")


def test_a_loading_script_is_one_line(card, monkeypatch):
    def script(*_, **__):
        raise RuntimeError("Dataset scripts are no longer supported, but found sib200.py")

    monkeypatch.setattr("datasets.load_dataset", script)
    with pytest.raises(IsoglossError, match="could not be fetched from .*scripts are no longer supported"):
        DataSet(card).examples(Language.parse("en"), "test")


def test_without_the_hub_one_line_says_what_to_do():
    with pytest.raises(IsoglossError, match="sib200 .* could not be fetched .* data.path") as error:
        DataSet(find("sib200")).examples(Language.parse("en"), "test")
    assert "\n" not in str(error.value)


def test_without_datasets_the_extra_is_named(card, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(IsoglossError, match=r"lies on the hub.*pip install '\.\[hub\]', or set data.path"):
        DataSet(card).examples(Language.parse("de"), "dev")
