"""What large data take: memory is measured in processes of their own, in which nothing else has been."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from isogloss import store as stores
from isogloss.reports.run_group import run_groups
from isogloss.reports.score_table import score_tables
from isogloss.run_directory.record import RunRecord
from isogloss.run_directory.tables import HISTORY, PREDICTIONS, SCORES, rows
from isogloss.store import FinishedCell, Store
from models import WORDS, checkpoint
from synthetic import RECORD, directory, resolved

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")

MEASURED = """
import sys
sys.path.insert(0, {tests!r})
def peak():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
"""

PAIRS = """
from isogloss.backbones.loading import load
from isogloss.experiment import cost, remarks
from isogloss.experiment.workspace import Workspace
from isogloss.spec import Spec
spec = Spec(**{spec!r})
load(spec.backbone, device=spec.device, dtype=spec.dtype)
before = peak()
workspace = Workspace.open(spec)
(cell,) = workspace.cells
material = workspace.encoded(cell)
learnt, test = material.train_dev(0), material.test
fitted = workspace.fitted(cell, learnt.train)
remarks.of_splits(workspace.data, test.examples)
remarks.of_texts(material, test, trained=0)
cost.training(workspace, cell)
fitted.of_example.of(range(0, len(fitted), 2))
fitted.taken(range(0, len(fitted), 2))
workspace.environment
print(len(fitted), peak() - before)
"""


def measured(code, tmp_path, **values):
    """What a process of its own prints last, as numbers."""
    code = MEASURED.format(tests=str(Path(__file__).parents[1])) + code.format(**values)
    environment = {**os.environ, "ISOGLOSS_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [float(word) for word in done.stdout.split()], done.stderr


def pairs(folder, count):
    """Pairs of as many words as those of XNLI have."""
    folder.mkdir()
    labels = ["entailment", "neutral", "contradiction"]
    for split, lines in (("train", count), ("dev", 60), ("test", 60)):
        with (folder / f"{split}-en.tsv").open("w", encoding="utf-8") as file:
            file.write("premise\thypothesis\tlabel\n")
            for i in range(lines):
                words = [WORDS[(i * (j + 7) + j * j + len(split)) % len(WORDS)] for j in range(34)]
                file.write(f"{split} {i} {' '.join(words[:22])}\t{' '.join(words[22:])} {i}\t{labels[i % 3]}\n")
    card = {
        "name": "pairs", "kind": "classification", "source": "en", "languages": "en", "labels": labels,
        "columns": {"text": "premise", "second": "hypothesis", "label": "label"},
        "local": [{"path": "{split}-{code}.tsv", "format": "tsv"}],
    }  # fmt: skip
    (folder / "card.yaml").write_text(json.dumps(card), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("count", "most"), [(20_000, 150), pytest.param(390_000, 1500, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_pairs_take_no_more_than_they_must(tmp_path, count, most):
    spec = {
        "name": "large", "backbone": str(checkpoint(tmp_path / "model", positions=60)), "task": "custom",
        "data": {"path": str(pairs(tmp_path / "data", count))}, "source": "en", "targets": "all",
        "methods": {"linear-probe": {}},
    }  # fmt: skip
    (length, first), _ = measured(PAIRS, tmp_path, spec=spec)
    (_, again), said_again = measured(PAIRS, tmp_path, spec=spec)
    assert length == count
    assert (first < most, again < most) == (True, True), (first, again)
    assert "tokenising" not in said_again  # it is in the cache


CELLS = """
from pathlib import Path
from isogloss import store as stores
from isogloss.reports.run_group import run_groups
from isogloss.reports.score_table import score_tables
from isogloss.store import Store
from experiment.test_large_data import finish
stores.LARGE = {large}
store = Store(Path({folder!r}))
finish(store, "m0", 0, {rows})
store.gather()
before = peak()
for number in range(1, {cells}):
    finish(store, "m%d" % (number // 5), number % 5, {rows})
    if number % 8 == 0:
        store.gather()
store.gather()
score_tables(store)
print(peak() - before)
"""


def finish(store, method, seed, count):
    """Store a cell with so many predictions."""
    if store.spec() is None:
        store.begin(resolved(methods={f"m{n}": {} for n in range(9)}), {})
    named = {"method": method, "seed": seed}
    codes = ["eng-Latn", "deu-Latn"]
    predictions = pl.DataFrame(
        {
            **{name: [value] * count for name, value in named.items()},
            "language": [codes[i * 10 // count > 0] for i in range(count)],
            "split": ["test"] * count,
            "example": [f"example {i}" for i in range(count)],
            "gold": ["abc"[i % 3] for i in range(count)],
            "predicted": ["abc"[(i * i + seed) % 3] for i in range(count)],
            "score": [(i * 7919 % 10007) / 10007 for i in range(count)],
        },
        schema=PREDICTIONS,
    )
    score = {"backbone": "b", "task": "t", "source": "eng-Latn", **named, "metric": "accuracy", "value": 0.5, "n": 9}
    scores = [{**score, "language": code, "split": "test"} for code in codes]
    scores.append({**score, "language": "eng-Latn", "split": "dev"})
    tables = {"scores": rows(SCORES, scores), "predictions": predictions, "history": rows(HISTORY, [])}
    record = RunRecord(**{**RECORD, **named, "name": method, "variant": {}, "test_data": dict.fromkeys(codes, "x")})
    store.put(FinishedCell(record, {}, tables))


def test_predictions_of_many_cells_are_never_all_in_memory(tmp_path):
    count, cells = 100_000, 40  # 10 MB each
    (grown,), _ = measured(CELLS, tmp_path, large=1 << 16, folder=str(tmp_path / "run"), rows=count, cells=cells)
    whole = pl.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert whole.select("method", "seed").unique(maintain_order=True).rows() == [
        (f"m{number // 5}", number % 5) for number in range(cells)
    ]
    assert len(whole) == count * cells
    assert grown < 150, grown


def test_a_large_table_says_what_a_small_one_does(tmp_path, monkeypatch):
    store = Store(tmp_path / "run")
    for seed in range(3):
        finish(store, "m0", seed, 60)
    store.gather()
    small = store.table("predictions"), [str(table) for table in map(shown, score_tables(store))]
    monkeypatch.setattr(stores, "LARGE", 1)
    assert [len(part) for part in store.parts("predictions")] == [60] * 3
    assert_frame_equal(pl.concat(store.parts("predictions")), small[0])
    assert [str(table) for table in map(shown, score_tables(store))] == small[1]
    finish(store, "m1", 0, 60)  # and is killed before it is gathered
    store.snapshot().mend()
    assert len(pl.read_parquet(tmp_path / "run" / "predictions.parquet")) == 240


def shown(table):
    return [[str(cell) for cell in column.cells] for column in table.columns], table.caption


@pytest.mark.parametrize("large", ["none", "one", "both"])
def test_reports_read_large_tables_as_small_ones(tmp_path, monkeypatch, large):
    one = directory(tmp_path / "one", targets=3, seeds=3)
    other = directory(tmp_path / "other", targets=3, seeds=2, seed=1)
    sizes = [(folder / "predictions.parquet").stat().st_size for folder in (one, other)]
    names = ["gap-intervals", "scores-intervals", "significance"]

    def tables():
        (group,) = run_groups([one, other])
        return [group.table(name) for name in names], group.collapsed

    expected, said = tables()
    monkeypatch.setattr(stores, "LARGE", {"none": max(sizes), "one": min(sizes), "both": 1}[large])
    found, said_now = tables()
    for before, now in zip(expected, found, strict=True):
        assert_frame_equal(before, now)
    assert said == said_now
