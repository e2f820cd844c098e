"""Runs with limits: what was drawn is a fact of a cell, and runs of before limits were drawn stay what they are."""

from __future__ import annotations

import json
import shutil
from functools import partial

import polars as pl
import pytest

from isogloss import analyze, open_run, report, run
from isogloss.cli.dry_run import describe
from isogloss.errors import IsoglossError
from isogloss.experiment import workspace
from isogloss.experiment.data import read_data
from isogloss.spec import Spec
from models import LABELS, checkpoint, sib200


def by_label(folder):
    """The files sorted by label, as SIB-200's own test files are; ids stay with their sentences."""
    for file in folder.glob("*/*.tsv"):
        head, *lines = file.read_text(encoding="utf-8").splitlines()
        ordered = sorted(lines, key=lambda line: line.split("\t")[1])
        file.write_text("\n".join([head, *ordered]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("limits")
    checkpoint(folder / "model")
    by_label(sib200(folder / "data"))
    return folder


def spec(home, **given):
    raw = {
        "name": "limited", "backbone": str(home / "model"), "task": "sib200", "source": "en", "targets": ["de"],
        "methods": {"linear-probe": {"epochs": 1}}, "dtype": "float32", "device": "cpu", **given,
    }  # fmt: skip
    raw["data"] = {"path": str(home / "data"), **given.get("data", {"train_limit": 14, "test_limit": 7})}
    return Spec.model_validate(raw)


@pytest.fixture(scope="module")
def limited(home):
    return run(spec(home), home / "limited").path


@pytest.fixture(scope="module")
def of_before(home):
    """As they were made when a limit took the first rows: no fact of a cell says so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workspace, "read_data", partial(read_data, first_rows=True))
        return run(spec(home, data={"test_limit": 3}), home / "before").path


def record(folder, seed=0):
    return json.loads((folder / f"weights/linear-probe/{seed}/run.json").read_text())


def test_what_is_drawn_is_a_fact_and_is_said(limited):
    made = record(limited)
    assert made["facts"]["limits"] == {"train": 14, "test": 7, "drawn": "in proportion to labels"}
    assert made["drawn"] == {"train": {"eng-Latn": [14, 24]}, "test": {"eng-Latn": [7, 21], "deu-Latn": [7, 21]}}
    predictions = open_run(limited).predictions
    assert set(predictions["gold"]) == set(LABELS)
    examples = predictions.group_by("language").agg(pl.col("example").sort())
    assert examples["example"][0].to_list() == examples["example"][1].to_list()
    page = report(limited, out=limited.parent / "limited.html").read_text()
    assert "Of 24 train items, 14 were drawn in proportion to labels." in page
    assert "Of 21 test items a language, 7 were drawn in proportion to labels." in page


def test_more_seeds_and_languages_have_the_same_items(home, limited, tmp_path):
    folder = shutil.copytree(limited, tmp_path / "more")
    more = run(spec(home, targets=["de", "zh"], seeds=[0, 1]), folder)
    assert more.predictions.group_by("language", "seed").agg(pl.col("example").sort())["example"].n_unique() == 1
    assert record(folder)["drawn"]["test"].keys() == {"eng-Latn", "deu-Latn", "zho-Hans"}
    assert record(folder)["facts"] == record(limited)["facts"]


@pytest.mark.parametrize(
    "data", [{}, {"train_limit": 14}, {"train_limit": 14, "test_limit": 8}, {"train_limit": 13, "test_limit": 7}]
)
def test_other_limits_are_refused(home, limited, data):
    for refused in (lambda: run(spec(home, data=data), limited), lambda: describe(spec(home, data=data), limited)):
        with pytest.raises(IsoglossError, match=r"made differently \(limits\.") as error:
            refused()
        assert "\n" not in str(error.value)


def test_a_run_without_limits_has_no_fact_of_them(home, tmp_path):
    assert "limits" not in record(run(spec(home, data={}), tmp_path / "whole").path)["facts"]
    assert record(tmp_path / "whole")["drawn"] == {}
    with pytest.raises(IsoglossError, match=r"limits.test: None → 7; test data of deu-Latn"):
        run(spec(home, data={"test_limit": 7}), tmp_path / "whole")


def test_runs_of_before_open_report_and_are_analysed_as_before(of_before, tmp_path):
    folder = shutil.copytree(of_before, tmp_path / "before")
    assert set(open_run(folder).predictions["gold"]) == {LABELS[0]}  # that is what was wrong
    assert "limits" not in record(folder)["facts"]
    assert set(analyze(folder, "tokenization")["tokenization"].tables["tokenization"]["texts"]) == {3}
    assert "Limits took the first rows of each split" in report(folder).read_text()


def test_runs_of_before_are_not_extended_and_it_is_said_why(home, of_before):
    for data in ({"test_limit": 3}, {"test_limit": 7, "train_limit": 14}):
        for refused in (
            lambda data=data: run(spec(home, data=data, seeds=[1]), of_before),
            lambda data=data: describe(spec(home, data=data), of_before),
        ):
            with pytest.raises(IsoglossError, match=r"a limit took the first rows .* choose another --out") as error:
                refused()
            assert "\n" not in str(error.value)


def test_a_dry_run_says_the_limits(home, tmp_path, capsys):
    describe(spec(home), tmp_path / "new")
    shown = capsys.readouterr().out
    assert "limits      train 14, test 7; where a split has more, drawn in proportion to labels" in shown
