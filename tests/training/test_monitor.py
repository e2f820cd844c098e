"""Looking on while runs learn changes nothing, and what is seen of targets decides nothing."""

import polars as pl
import pytest
import torch

from isogloss.analysis.dynamics import gap_curve, observations
from isogloss.api import run
from isogloss.data.subsample import spread
from isogloss.spec import Spec
from isogloss.training import batch, engine, stack
from isogloss.training.monitor import interval
from models import LABELS, checkpoint, sib200

METHODS = {
    "deep-prompt": {"epochs": 3, "length": 2, "batch_size": 8},
    "fine-tuning": {"epochs": 3, "batch_size": 8},
    "slow-fast": {"epochs": 3, "batch_size": 8, "lr": 1e-3},
}


def spec(folder, data, **more):
    return Spec(
        name="small", backbone=str(folder / "model"), task="sib200", data={"path": data}, seeds=[0, 1],
        dtype="float32", device="cpu", methods=METHODS, **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data")
    return folder


@pytest.fixture(scope="module")
def watched(home):
    return run(spec(home, home / "data", dynamics={"every": 3, "examples": 5}), home / "watched").store


def weights(stored):
    return {(cell.key, name): tensor for cell in stored.finished() for name, tensor in cell.weights().items()}


def test_looking_on_changes_nothing(home, watched):
    plain = run(spec(home, home / "data"), home / "plain").store
    ours, theirs = weights(watched), weights(plain)
    assert ours.keys() == theirs.keys()
    for key, tensor in ours.items():
        assert torch.equal(tensor, theirs[key]), key
    for name in ("scores", "predictions"):
        one, other = (pl.read_parquet(home / folder / f"{name}.parquet") for folder in ("watched", "plain"))
        assert one.equals(other)
    seen = observations(pl.read_parquet(home / "watched/history.parquet"))
    steps = sorted(set(seen["step"]))
    assert steps == [3, 6, 9]
    assert set(seen["language"]) == {"eng-Latn", "deu-Latn", "zho-Hans"}
    assert len(observations(pl.read_parquet(home / "plain/history.parquet"))) == 0
    curve = gap_curve(pl.read_parquet(home / "watched/history.parquet"), "eng-Latn")
    assert len(curve) == 3 * 2 * 3


def test_target_development_data_decides_nothing(home, watched, tmp_path):
    other = sib200(tmp_path / "data")
    for file in other.glob("*/dev.tsv"):
        if "eng" in file.parent.name:
            continue
        head, *lines = file.read_text(encoding="utf-8").splitlines()
        turned = [line.split("\t") for line in lines]
        rows = ["\t".join([row[0], LABELS[(LABELS.index(row[1]) + 1) % 7], row[2]]) for row in turned]
        file.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    turned = run(spec(home, other, dynamics={"every": 3, "examples": 5}), tmp_path / "run").store
    ours, theirs = weights(watched), weights(turned)
    for key, tensor in ours.items():
        assert torch.equal(tensor, theirs[key]), key
    one, two = (observations(pl.read_parquet(f / "history.parquet")) for f in (home / "watched", tmp_path / "run"))
    assert not one.equals(two)


def test_where_there_is_no_target_development_data_the_test_split_gives_some(home, tmp_path):
    data = sib200(tmp_path / "data")
    for code in ("deu_Latn", "zho_Hans"):
        (data / code / "dev.tsv").unlink()
    stored = run(spec(home, data, dynamics={"examples": 5, "cost": None}), tmp_path / "run").store
    scores = pl.read_parquet(stored.path / "scores.parquet").filter(split="test", metric="accuracy")
    counts = dict(zip(scores["language"], scores["n"], strict=True))
    assert counts == {"eng-Latn": 16, "deu-Latn": 16, "zho-Hans": 16}
    assert sorted(set(observations(pl.read_parquet(stored.path / "history.parquet"))["step"])) == list(range(1, 10))


@pytest.mark.slow
def test_where_one_of_each_target_costs_too_much_there_are_fewer_looks(home, tmp_path):
    steps = {}
    for cost in (None, 0.15, 0.001):
        stored = run(spec(home, home / "data", dynamics={"examples": 1, "cost": cost}), tmp_path / str(cost)).store
        steps[cost] = sorted(set(observations(pl.read_parquet(stored.path / "history.parquet"))["step"]))
    assert len(steps[None]) > len(steps[0.15]) > len(steps[0.001])
    history = pl.read_parquet(stored.path / "history.parquet")
    assert steps[0.001] == sorted(
        set(history.filter(pl.col("metric").is_not_null(), pl.col("loss").is_not_null())["step"])
    )


@pytest.mark.slow
def test_looking_on_costs_no_more_than_was_said(home, monkeypatch):
    """In tokens of forward passes; `benchmarks/looking_on.py` takes the time."""
    read = []
    plain = batch.collate

    def collate(parts, *arguments, **options):
        read.append(sum(int(features.lengths[rows].sum()) for features, rows in parts))
        return plain(parts, *arguments, **options)

    for module in (engine, stack):
        monkeypatch.setattr(module, "collate", collate)
    taken = {}
    for cost in (None, 0.15, 0.5):
        watching = None if cost is None else {"examples": 9, "cost": cost}
        made = spec(home, home / "data", dynamics=watching)
        methods = {"fine-tuning": {"epochs": 30, "batch_size": 2}}
        read.clear()
        stored = run(made.model_copy(update={"methods": methods, "seeds": [0]}), home / f"cost-{cost}").store
        taken[cost] = sum(read)
        if cost:
            counts = stored.finished()[0].record.observed
            assert counts["eng-Latn"] == 2 * counts["deu-Latn"] == 2 * counts["zho-Hans"]
    learnt = stored.finished()[0].table("history")["tokens"].max()
    for cost in (0.15, 0.5):
        assert 0.3 * cost < (taken[cost] - taken[None]) / (3 * learnt) < 1.2 * cost  # and the passes over dev


def test_where_splits_are_parallel_all_languages_lose_the_same_items(home, tmp_path):
    data = sib200(tmp_path / "data")
    (data / "deu_Latn" / "dev.tsv").unlink()
    stored = run(spec(home, data, dynamics={"examples": 5}), tmp_path / "run").store
    predictions = pl.read_parquet(stored.path / "predictions.parquet").filter(method="fine-tuning", seed=0)
    items = [set(part["example"]) for _, part in predictions.group_by("language")]
    assert items[0] == items[1] == items[2]
    assert len(items[0]) == 21 - 5


def test_samples_are_evenly_spread():
    assert spread(10, 3).tolist() == [0, 4, 9]
    assert spread(3, 8).tolist() == [0, 1, 2]
    assert interval(5000, None) == 100
    assert interval(150, None) == 6
    assert interval(150, 40) == 40
