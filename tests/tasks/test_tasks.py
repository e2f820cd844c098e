"""Pairs and the user's own files, from files to table; and real files of the published data sets where they are."""

import polars as pl
import pytest

from isogloss.api import run
from isogloss.data.dataset import open_data
from isogloss.experiment.data import open_spec
from isogloss.languages.language import Language
from isogloss.runtime import yaml
from isogloss.spec import Spec
from models import checkpoint
from real_data import SHARED

METHODS = {"linear-probe": {"epochs": 1}, "deep-prompt": {"epochs": 1, "length": 2, "batch_size": 8}}


def xnli(folder):
    folder.mkdir()
    labels = ["entailment", "neutral", "contradictory"]
    for code in ("en", "sw"):
        for split in ("dev", "test"):
            lines = [f"the cat {split} {i}\ta dog sat{' on' * (i % 4)}\t{labels[i % 3]}" for i in range(30)]
            text = "premise\thypothesis\tlabel\n" + "\n".join(lines) + "\n"
            (folder / f"xnli.{code}.{split}.tsv").write_text(text, encoding="utf-8")
    return folder


def small(tmp_path, **keys):
    model = str(checkpoint(tmp_path / "model"))
    return Spec(name="small", backbone=model, methods=METHODS, dtype="float32", device="cpu", **keys)


def test_pairs_train_on_a_part_of_dev(tmp_path):
    parts = {"train": "dev[:80%]", "dev": "dev[80%:]"}
    spec = small(tmp_path, task="xnli", data={"path": xnli(tmp_path / "data"), "splits": parts})
    stored = run(spec, tmp_path / "run").store
    scores = stored.table("scores")
    assert set(scores["language"]) == {"eng-Latn", "swh-Latn"}
    assert scores.filter(split="dev")["n"].unique().to_list() == [6]
    assert set(stored.table("predictions")["gold"]) == {"entailment", "neutral", "contradiction"}
    assert yaml.load(tmp_path / "run" / "spec.yaml")["data"]["splits"] == parts


def test_your_own_files_keep_their_card_in_the_run(tmp_path):
    folder = tmp_path / "data"
    for code in ("en", "de"):
        (folder / code).mkdir(parents=True)
        for split in ("train", "dev", "test"):
            rows = [{"review": f"the cat {split} {i}", "stars": "good" if i % 2 else "bad"} for i in range(12)]
            pl.DataFrame(rows).write_csv(folder / code / f"{split}.csv")
    card = {
        "name": "reviews", "kind": "classification", "source": "en", "labels": ["bad", "good"], "languages": "en de",
        "columns": {"text": "review", "label": "stars"}, "local": {"path": "{code}/{split}.csv", "format": "csv"},
    }  # fmt: skip
    (folder / "card.yaml").write_text(yaml.dumps(card))
    stored = run(small(tmp_path, task="custom", data={"path": folder}), tmp_path / "run").store
    assert set(stored.table("scores")["task"]) == {"reviews"}
    (folder / "card.yaml").unlink()
    again = Spec.model_validate(yaml.load(tmp_path / "run" / "spec.yaml"))
    assert open_spec(again).card.labels == ["bad", "good"]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published data sets are not beside the project")
def test_real_files_of_xnli():
    data = open_data("xnli", path=SHARED / "xnli")
    assert [str(language) for language in data.languages()] == ["eng-Latn", "swh-Latn", "urd-Arab"]
    for language in data.languages():
        assert len(data.examples(language, "dev")) == 2490
        test = data.examples(language, "test").table
        assert len(test) == 5010
        assert test["label"].value_counts()["count"].to_list() == [1670] * 3
    assert data.examples(Language.parse("en"), "dev").table["text"][0] == "And he said, Mama, I'm home."


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published data sets are not beside the project")
def test_real_files_of_xquad():
    data = open_data("xquad", path=SHARED / "xquad")
    assert len(data.languages()) == 5
    ids = set()
    for language in data.languages():
        table = data.examples(language, "test").table
        assert len(table) == 1190
        ids.add(tuple(table["id"]))
        for passage, answers, starts in table.select("passage", "answers", "starts").iter_rows():
            assert all(passage.startswith(text, at) for text, at in zip(answers, starts, strict=True))
    assert len(ids) == 1  # parallel
