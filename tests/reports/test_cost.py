"""What the report says of the price of each method: what its cells have recorded, and no guess."""

import json

import polars as pl
import pytest

from isogloss.reports import cost
from isogloss.reports.latex import latex
from isogloss.reports.run_group import run_groups
from one_cell import one_cell
from synthetic import directory

GOLD = {"eng-Latn": ["a", "b"] * 20, "deu-Latn": ["a", "b"] * 20}
WRONG = {"a": "b", "b": "a"}
ON = {"backbone": {"device": "cpu"}, "cpu": {"model": "A Processor", "threads": 2}, "gpu": []}
NAMES = ("fine-tuning", "linear-probe", "deep-prompt")


def cell(folder, method, right, seconds, *, device=ON, **record):
    """One that has so many of forty right, and took so long."""
    time = {"training": seconds, "together": 1, "scoring": 2.0, "texts": 80}
    said = {code: [*gold[:right], *(WRONG[one] for one in gold[right:])] for code, gold in GOLD.items()}
    return one_cell(
        folder, GOLD, said, method=method, environment={**device, "time": time},
        spec={"methods": {name: {} for name in NAMES}}, **{"backbone_parameters": 10**8, **record},
    )  # fmt: skip


def grouped(*folders):
    """The group, with intervals that a report would have found."""
    (group,) = run_groups(list(folders))
    scores = group.scores.filter(pl.col("language") != "eng-Latn")
    rows = [
        {"method": method, "measure": "target", "value": mean, "low": mean - 0.1, "high": mean + 0.1}
        for method, mean in scores.group_by("method").agg(pl.col("value").mean()).iter_rows()
    ]
    group.tables["gap-intervals"] = pl.DataFrame(rows)
    return group


def test_the_best_and_the_cheapest_within_its_interval(tmp_path):
    for seed, seconds in enumerate((125.0, 115.0)):
        store = cell(tmp_path / "run", "fine-tuning", 36, seconds, seed=seed, trainable_parameters=10**7)
    cell(tmp_path / "run", "deep-prompt", 34, 40.0, trainable_parameters=5000)
    cell(tmp_path / "run", "linear-probe", 20, 1.0, trainable_parameters=100)  # cheaper, and shown to be worse
    group = grouped(tmp_path / "run")
    best, cheapest = cost.sentences(group)
    kept = "trains 10,000,000 numbers and keeps 0 kB a seed beside a backbone of 100 M parameters"
    assert best.startswith(f"fine-tuning, the best, {kept}; a training took 2 min 00 s")
    assert "it scores 40 texts a second on A Processor, 2 threads" in best
    assert "0.850, lies within the interval of the best is deep-prompt: it trains 5,000 numbers" in cheapest
    found = cost.costs(group)
    row = cost.cost_table(found).row(by_predicate=pl.col("method") == "fine-tuning", named=True)
    assert row["seconds_to_train"] == pytest.approx(120.0)
    assert row["bytes_kept"] == (store.folder("fine-tuning", 0) / "weights.safetensors").stat().st_size
    assert row["tokens_learnt"] == 9
    assert "time to train" in latex(cost.shown_costs(found))
    assert "Measured on A Processor, 2 threads." in cost.notes(found)


def test_a_small_backbone_is_cheaper_than_a_large_one_whatever_is_trained(tmp_path):
    for name, parameters, right in (("large", 10**9, 36), ("small", 10**8, 34)):
        file = cell(tmp_path / name, "linear-probe", right, 1.0, backbone_parameters=parameters).path / "spec.yaml"
        file.write_text(file.read_text().replace("embedded/multilingual-e5-small", f"org/{name}"))
    group = grouped(tmp_path / "large", tmp_path / "small")
    assert set(group.opened_runs) == {"large", "small"}
    assert "is small: linear-probe: it trains 1,000 numbers" in list(cost.sentences(group))[1]
    first, second = cost.by_backbone(group)
    assert first == "The best method of each backbone: linear-probe on large (0.900), linear-probe on small (0.850)."
    assert second == "By method, the backbone that is ahead: large with linear-probe (by 5.0 points)."
    assert not list(cost.by_backbone(grouped(tmp_path / "large")))


@pytest.mark.parametrize(
    "time", [None, "long", {"training": "soon"}, {"training": -1, "scoring": float("nan"), "texts": []}]
)
def test_what_was_not_recorded_is_said_and_not_guessed(tmp_path, time):
    run = directory(tmp_path / "run", targets=2, seeds=1)
    for file in run.rglob("run.json") if time is not None else ():
        record = json.loads(file.read_text())
        file.write_text(json.dumps({**record, "environment": {"time": time}}))
    group = grouped(run)
    found = cost.costs(group)
    assert [(one.training, one.speed, one.device) for one in found] == [(None, None, None)] * 2
    assert "how long it takes was not recorded when it was made" in next(iter(cost.sentences(group)))
    assert "Of runs made before times were kept there are none: fine-tuning, deep-prompt." in cost.notes(found)
    assert cost.cost_table(found)["seconds_to_train"].null_count() == 2
    assert cost.shown_costs(found).rows[0].values[-1].text == ""


def test_times_of_unlike_devices_do_not_compare_and_it_is_said(tmp_path):
    cell(tmp_path / "run", "fine-tuning", 36, 9.0)
    gpu = {**ON, "backbone": {"device": "cuda:1"}, "gpu": ["One", "Another"]}
    cell(tmp_path / "run", "linear-probe", 30, 9.0, device=gpu)
    found = cost.costs(grouped(tmp_path / "run"))
    assert {one.method: one.device for one in found} == {
        "fine-tuning": "A Processor, 2 threads", "linear-probe": "Another",
    }  # fmt: skip
    assert "Measured on unlike devices: times do not compare across them." in cost.notes(found)
    assert "on" in cost.shown_costs(found).columns


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.01, "under 0.1 s"), (0.84, "0.8 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"),
        (3599.9, "1 h 00 min"), (7500, "2 h 05 min"),
    ],
)  # fmt: skip
def test_time_for_people(seconds, shown):
    assert cost.duration(seconds) == shown
