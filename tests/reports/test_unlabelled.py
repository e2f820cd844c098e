"""What a reader of the report sees of languages without labels."""

import polars as pl
import pytest

from browsing import Visit
from isogloss.analysis.analysis import AnalysisResult
from isogloss.analysis.run import keep
from isogloss.languages.language import Language
from isogloss.reports import ship
from isogloss.reports.report import report
from isogloss.reports.run_group import run_groups
from isogloss.store import Store
from synthetic import directory, languages

TARGETS, WITHOUT = 13, 3
CODES = languages(TARGETS)[-WITHOUT:]
NAMES = {Language.parse(code).name for code in CODES}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Ten scored targets and three without labels, of which the forecast is known."""
    folder = directory(tmp_path_factory.mktemp("unlabelled") / "run", targets=TARGETS, unlabelled=WITHOUT)
    methods = ["fine-tuning", "deep-prompt"]
    rows = [
        {"method": method, "language": code, "expected": 0.5, "low": 0.41, "high": 0.62, "outside": 0}
        for method in methods
        for code in CODES
    ]
    checked = [
        {"method": method, "language": code, "score": 0.6, "expected": 0.55, "low": 0.4, "high": 0.7, "baseline": 0.5}
        for method in methods
        for code in languages(TARGETS)[1:-WITHOUT]
    ]
    error = {"mae": 0.031, "baseline_mae": 0.052, "p": 0.01, "better": True, "coverage": 0.9, "width": 0.2}
    tables = {
        "forecast": pl.DataFrame(rows),
        "forecast-check": pl.DataFrame(checked),
        "forecast-error": pl.DataFrame([{"method": method, **error, "languages": 10} for method in methods]),
    }
    keep(Store(folder), "forecast", AnalysisResult(tables))
    report([folder])
    return folder


@pytest.mark.parametrize("width", [1400, 400])
def test_the_section_holds_them_and_no_other_table_does(made, browser, width):
    visit = Visit(browser, made / "report.html", viewport={"width": width, "height": 900})
    section = visit.page.locator("#unlabelled-1")
    rows = section.locator("table").nth(0).locator("tbody tr").all_inner_texts()
    assert len(rows) == WITHOUT * 2
    assert {name for name in NAMES for row in rows if name in row} == NAMES
    assert all("0.50 [0.41, 0.62]" in row.replace("\N{NO-BREAK SPACE}", " ") for row in rows)
    by = section.locator("table").nth(1).locator("tbody tr").all_inner_texts()
    assert any("forecast" in row and "3.1" in row and "5.2" in row for row in by)
    assert any("agreement between seeds" in row for row in by)
    assert not {"True", "False", "None", "nan"} & set(section.inner_text().split())
    assert "`" not in section.inner_text()
    assert not NAMES & set(visit.column(1))
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.problems == []


def test_the_answer_in_words_names_them_and_what_is_expected(made, browser):
    answer = Visit(browser, made / "report.html").page.locator(".answer").inner_text()
    assert "Predicted without labels, and in no score, mean or gap:" in answer
    assert all(name in answer for name in NAMES)
    assert "the forecast expects there, with 90 % intervals:" in answer
    assert "0.50 [0.41, 0.62]" in answer


def test_figures_of_scores_are_without_them(made):
    for name in ("languages", "map"):
        assert not any(language in (made / "report" / f"{name}.svg").read_text() for language in NAMES)
    held = pl.read_csv(made / "report" / "signs.csv")
    assert set(held.filter(labels="no labels")["language"]) == set(CODES)


def test_they_need_labels_before_they_can_ship(made):
    (run_group,) = run_groups([made])
    table = ship.with_decisions(run_group, 0.6).decisions
    without = table.filter(pl.col("language").is_in(CODES))
    assert set(without["language"]) == set(CODES)
    assert set(without["decision"]) == {"needs labels"}
    assert set(without["score"]) == {0.5}
    assert without["wrong"].is_null().all()
    assert len(table) == TARGETS
