"""Pairs and the user's own files, from files to a run directory."""

import polars as pl

from isogloss.api import run
from isogloss.experiment.data import open_spec
from isogloss.runtime import yaml
from isogloss.spec import Spec
from models import checkpoint

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
