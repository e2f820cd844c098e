"""The examples read, are what their pages say, and run as a user would run them."""

import re
import shutil
from pathlib import Path

import pytest

from isogloss.api import report, run
from isogloss.data.card_draft import draft
from isogloss.data.dataset import open_data
from isogloss.experiment.data import read_data
from isogloss.reports.score_table import ScoreTable
from isogloss.runtime import yaml
from isogloss.spec import read_spec
from isogloss.store import Store
from models import checkpoint

ROOT = Path(__file__).parents[2]
OWN = ROOT / "examples" / "own-csv"


@pytest.fixture
def spec(monkeypatch):
    """As a user reads it, from the root of a clone."""
    monkeypatch.chdir(ROOT)
    return read_spec(str(OWN / "messages.yaml"))


def test_the_card_is_what_is_drafted_of_the_files(tmp_path):
    shutil.copytree(OWN / "messages", tmp_path / "messages", ignore=shutil.ignore_patterns("card.yaml"))
    written = draft(tmp_path / "messages").read_text(encoding="utf-8")
    assert written == (OWN / "messages" / "card.yaml").read_text(encoding="utf-8")
    assert "# No labels, so that they are predicted and not scored: sw" in written


def test_the_page_counts_its_rows_rightly(spec):
    data = open_data("custom", path=spec.data.path)
    rows = re.findall(r"\| `messages/(\w+)/(\w+)\.csv` \| (\d+) \| (\w+)", (OWN / "README.md").read_text("utf-8"))
    assert len(rows) == len(list(OWN.rglob("*.csv"))) == 5
    for code, split, count, labels in rows:
        examples = data.examples(data.card.language(code), split, "any")
        assert (len(examples), examples.labelled) == (int(count), labels == "yes")


def test_it_runs_and_says_where_there_are_no_labels(spec, tmp_path):
    assert [str(part.language) for part in read_data(spec).unlabelled] == ["swh-Latn"]
    methods = {name: {**settings, "epochs": 1} for name, settings in spec.methods.items()}
    small = {"backbone": str(checkpoint(tmp_path / "model")), "methods": methods, "seeds": [0], "device": "cpu"}
    run(spec.model_copy(update=small), tmp_path / "run")
    table = str(ScoreTable(Store(tmp_path / "run")))
    assert re.search(r"Swahili +swh-Latn +no labels +no labels", table)
    assert "Languages without labels" in report(tmp_path / "run").read_text(encoding="utf-8")


def test_the_table_in_the_pages_has_the_methods_of_the_spec(spec):
    page = (ROOT / "docs" / "how-to" / "languages-without-labels.md").read_text(encoding="utf-8")
    assert all(method in page for method in spec.methods)
    assert yaml.load(OWN / "messages.yaml")["name"] == "messages"
