"""Training in a language that the test set does not have: scores without a gap, and everything says so."""

import polars as pl
import pytest

from isogloss.analysis.analysis import AnalysisOptions
from isogloss.analysis.registry import analyses
from isogloss.analysis.run import analyze
from isogloss.api import load, report, run
from isogloss.cli.dry_run import describe
from isogloss.errors import IsoglossError
from isogloss.experiment.data import languages, open_spec, read_data
from isogloss.reports.score_table import ScoreTable
from isogloss.runtime import yaml
from isogloss.runtime.console import out
from isogloss.spec import Spec
from isogloss.store import Store
from models import LABELS, checkpoint, sib200

TARGETS = {"ay": "ayr-Latn", "gn": "grn-Latn"}
CARD = {
    "name": "elsewhere", "kind": "classification", "source": "en", "labels": list(LABELS), "languages": "ay gn",
    "columns": {"text": "text", "label": "label"}, "local": {"path": "{code}.{split}.tsv", "format": "tsv"},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    sib200(folder / "sib200", ("eng_Latn", "ayr_Latn", "grn_Latn"))
    (folder / "tests").mkdir()
    for code in TARGETS:
        rows = [f"{code} text {number}\t{LABELS[number % len(LABELS)]}" for number in range(21)]
        (folder / "tests" / f"{code}.test.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n", encoding="utf-8")
    checkpoint(folder / "model")
    return folder


LACKING = {"forecast"}  # analyses that so small a run lacks the languages for


def spec(folder, **changes):
    methods = {"deep-prompt": {"epochs": 1, "length": 2}, "fine-tuning": {"epochs": 1, "batch_size": 8}}
    given = {
        "name": "elsewhere", "backbone": str(folder / "model"), "task": "custom", "methods": methods, "seeds": [0, 1],
        "data": {"path": folder / "tests", "card": CARD, "train": {"task": "sib200", "path": folder / "sib200"}},
        "dynamics": {"every": 2, "examples": 4, "parallel": {"path": folder / "sib200", "sentences": 6}},
        "source": "en", "targets": "all", "dtype": "float32", "device": "cpu",
    }  # fmt: skip
    return Spec.model_validate({**given, **changes})


@pytest.fixture(scope="module")
def done(folder):
    run(spec(folder), folder / "run")
    return folder / "run"


def test_the_source_has_a_development_score_and_no_test_score(done):
    scores = Store(done).table("scores")
    assert set(scores["source"]) == {"eng-Latn"}
    assert set(scores.filter(split="dev")["language"]) == {"eng-Latn"}
    assert set(scores.filter(split="test")["language"]) == set(TARGETS.values())


def test_the_table_has_means_and_no_gap_and_says_why(done):
    table = str(ScoreTable(Store(done)))
    assert "mean of 2 targets" in table
    gap = next(line for line in table.splitlines() if line.strip().startswith("gap"))
    assert gap.split()[1:] == ["-", "-"]
    assert "no gap: elsewhere has no test split in English" in " ".join(table.split())


@pytest.mark.parametrize("name", [name for name in analyses() if name != "distance"])
def test_analyses_do_what_they_can(done, folder, name):
    options = AnalysisOptions(parallel=folder / "sib200")
    if name == "boundary":
        with pytest.raises(IsoglossError, match="boundaries take test examples of the source"):
            list(analyze(done, [name], options))
        return
    (outcome,) = analyze(done, [name], options, skip=True)
    assert outcome.result is not None or name in LACKING, outcome


def test_the_gap_is_nowhere_and_the_mean_is(done):
    list(analyze(done, ["gap", "significance"], AnalysisOptions()))
    every = pl.read_parquet(done / "analysis" / "gap.parquet")
    assert every["target"].null_count() == 0
    assert every["gap"].null_count() == every["source"].null_count() == len(every) == 4
    intervals = pl.read_parquet(done / "analysis" / "gap-intervals.parquet")
    assert intervals.filter(measure="target")["value"].null_count() == 0
    assert intervals.filter(pl.col("measure") != "target")["value"].null_count() == 2 * 4
    significance = pl.read_parquet(done / "analysis" / "significance.parquet")
    assert significance.filter(scope="target")["difference"].null_count() == 0
    assert significance.filter(scope="gap")["difference"].null_count() == 1


def test_the_report_says_it(done):
    text = " ".join(report([done]).read_text(encoding="utf-8").split())
    assert "no gap: elsewhere has no test split in English" in text


def test_a_stored_model_predicts(done):
    model = load(done, method="deep-prompt")
    assert model.predict(["one text"], language="gn")[0]["language"] == "grn-Latn"


def test_it_can_be_extended(folder):
    run(spec(folder, seeds=[0, 1, 2], dynamics=None), folder / "run2")
    results = run(spec(folder, seeds=[0, 1, 2, 3], dynamics=None), folder / "run2")
    assert results.scores["seed"].n_unique() == 4


def test_a_dry_run_says_it(folder):
    with out.capture() as printed:
        describe(spec(folder), folder / "nowhere")
    assert "no gap" in printed.get()


def test_the_training_set_may_be_of_ones_own(folder, tmp_path):
    own = {
        **CARD, "name": "own", "columns": {"text": "text", "label": "category"}, "languages": {"en": "eng_Latn"},
        "local": {"path": "{code}/{split}.tsv", "format": "tsv"},
    }  # fmt: skip
    data = {"path": folder / "tests", "card": CARD, "train": {"task": "custom", "path": folder / "sib200", "card": own}}
    run(spec(folder, data=data, dynamics=None, seeds=[0]), tmp_path / "run")
    stored = Store(tmp_path / "run").spec()
    assert stored.data.train.card["name"] == "own"
    assert read_data(stored).train.fingerprint == read_data(spec(folder)).train.fingerprint
    beside = tmp_path / "beside"
    beside.mkdir()
    for split in ("train", "dev", "test"):
        (beside / f"en.{split}.tsv").write_bytes((folder / "sib200" / "eng_Latn" / f"{split}.tsv").read_bytes())
    given = {**own, "local": CARD["local"], "languages": "en"}
    (beside / "card.yaml").write_text(yaml.dumps(given), encoding="utf-8")
    data["train"] = {"task": "custom", "path": beside}
    assert read_data(spec(folder, data=data)).source.iso == "eng"


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"task": "custom"}, "task custom needs data.train.path"),
        ({"task": "custom", "path": "nowhere"}, "data.train.path nowhere is no folder"),
        ({"task": "custom", "path": ".", "card": {"name": "x"}}, r"data.train.card: kind is missing"),
        ({"task": "nope"}, "unknown task 'nope'"),
    ],
)
def test_a_training_set_that_is_none_is_named(folder, train, message):
    data = {"path": folder / "tests", "card": CARD, "train": train}
    with pytest.raises(IsoglossError, match=message):
        open_spec(spec(folder, data=data))


def test_a_source_that_no_set_has_is_named(folder, monkeypatch):
    data = {"path": folder / "tests", "card": CARD}
    with pytest.raises(IsoglossError, match="source: unknown language of elsewhere 'fra-Latn'.*`data.train`"):
        languages(spec(folder, data=data, source="fr"), open_spec(spec(folder, data=data)))
    with pytest.raises(IsoglossError, match="unknown language of sib200 'xho"):
        narrow = spec(folder, source="xh")
        opened = open_spec(narrow)
        monkeypatch.delitem(opened.trainer.card.languages, "xho-Latn")
        languages(narrow, opened)


def test_the_sources_training_data_may_lie_beside_the_tests_of_others(folder, tmp_path):
    for split in ("train", "dev"):
        text = (folder / "sib200" / "eng_Latn" / f"{split}.tsv").read_text(encoding="utf-8")
        (tmp_path / f"en.{split}.tsv").write_text(text.replace("category", "label"), encoding="utf-8")
    (tmp_path / "ay.test.tsv").write_bytes((folder / "tests" / "ay.test.tsv").read_bytes())
    data = {"path": tmp_path, "card": {**CARD, "languages": "en ay gn"}}
    read = read_data(spec(folder, data=data, dynamics=None))
    assert [str(test.language) for test in read.tests] == ["ayr-Latn"]
    assert not read.scores_source
