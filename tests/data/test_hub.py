"""Data sets as Parquet on the hub: here in a folder that is laid out as a repository of the hub."""

import huggingface_hub
import polars as pl
import pytest

from isogloss.data import DataSet, find
from isogloss.errors import IsoglossError
from isogloss.languages import Language

CODES = ("eng_Latn", "deu_Latn")


class NoConnectionError(Exception):
    """The hub's client raises its HTTP library's own errors, which are no `OSError`."""


@pytest.fixture
def card(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def offline(*_):
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

    def dataset_info(_, repository):
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


def test_without_the_hub_one_line_says_what_to_do():
    with pytest.raises(IsoglossError, match="sib200 .* could not be fetched .* data.path") as error:
        DataSet(find("sib200")).examples(Language.parse("en"), "test")
    assert "\n" not in str(error.value)
