"""What can ship, and what goes wrong, as a reader of the report sees it."""

import re

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from browsing import Visit
from isogloss.api import open_run, report
from isogloss.cli.commands import app
from isogloss.errors import IsoglossError
from isogloss.experiment.opened_run import OpenedRun
from isogloss.reports.run_group import run_groups
from isogloss.reports.ship import with_decisions, with_unlabelled
from told import told

LABELS = ["off", "on", "play"]
HOSTILE = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
ARABIC = "أطفئ المصباح في غرفة المعيشة"
COUNT = 120
SHARES = {"en": 0.97, "de": 0.95, "ar": 0.6, "fi": 0.8, "sw": 0.3}  # that are right


def rows(code):
    text = ARABIC if code == "ar" else f"{HOSTILE} {code} " + "word " * 90
    return [{"id": str(place), "text": f"{text} {place}", "label": LABELS[place % 3]} for place in range(COUNT)]


def right(code, seed):
    return np.random.default_rng([seed, len(code), *code.encode()]).permutation(COUNT) < SHARES[code] * COUNT


def answers(_method, seed, code):
    return [
        row["label"] if good else LABELS[(LABELS.index(row["label"]) + 1) % 3]
        for row, good in zip(rows(code), right(code, seed), strict=True)
    ]


def sure(_method, seed, code):
    """In Arabic, what is right is what the model is sure of; in Finnish, all is alike."""
    return [(0.99, 0.97 if good and code != "fi" else 0.5) for good in right(code, seed)]


@pytest.fixture(autouse=True, scope="module")
def no_figures():
    """As files, which takes most of the time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("isogloss.charts.export.save", lambda *_: None)
        patched.setattr("isogloss.reports.report.write_figures", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ship") / "run"
    told(folder, {code: rows(code) for code in SHARES}, answers, labels=LABELS, parallel=True, seeds=3, sure=sure)
    done = CliRunner().invoke(app, ["report", str(folder), "--good-enough", "0.8"])
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def decided(made):
    (run_group,) = run_groups([made])
    return with_decisions(run_group, 0.8)


def test_languages_are_sorted_by_what_can_be_done_with_them(decided):
    found = {row["language"]: row for row in decided.decisions.iter_rows(named=True)}
    assert {code: row["decision"] for code, row in found.items()} == {
        "deu-Latn": "ship", "arb-Arab": "ship with a threshold", "fin-Latn": "needs labels",
        "swh-Latn": "ship with a threshold",
    }  # fmt: skip
    arabic = found["arb-Arab"]
    assert arabic["threshold"] == pytest.approx(0.8)
    assert arabic["coverage"] == pytest.approx(0.6)
    assert arabic["above"] == 1
    assert found["deu-Latn"]["wrong"] < 0.05 > arabic["wrong"]
    assert found["fin-Latn"]["wrong"] > 0.05
    assert decided.decisions["decision"].to_list()[:3] == ["ship", "ship with a threshold", "ship with a threshold"]


def test_a_language_without_labels_needs_some_and_says_what_is_forecast(decided):
    unlabelled = pl.DataFrame({"language": ["xho-Latn", "ayr-Latn"], "expected": [0.7, None], "low": [0.5, None],
                               "high": [0.9, None]})  # fmt: skip
    table = with_unlabelled(decided.decisions, unlabelled)
    rows = table.filter(pl.col("language").is_in(["xho-Latn", "ayr-Latn"]))
    assert rows["decision"].to_list() == ["needs labels"] * 2
    assert rows.select("name", "score", "n").rows() == [("Xhosa", 0.7, 0), ("Central Aymara", None, 0)]
    assert len(table) == len(decided.decisions) + 2


def test_without_a_confidence_there_is_no_threshold(tmp_path):
    both = {code: rows(code) for code in ("en", "ar")}
    folder = told(tmp_path / "run", both, answers, labels=LABELS)
    (run_group,) = run_groups([folder])
    assert with_decisions(run_group, 0.8).decisions["decision"].to_list() == ["don't"]
    assert with_decisions(run_group, 0.3).decisions["decision"].to_list() == ["ship"]


def test_the_section_comes_when_it_is_asked_for_and_goes_again(made):
    page = open_run(made).report(good_enough=0.8).read_text()
    assert 'id="ship-1"' in page
    assert "isogloss report" in page
    assert "--good-enough 0.8" in page
    assert pl.read_csv(made / "report" / "ship.csv")["language"].to_list()[0] == "deu-Latn"
    assert "ship with a threshold" in (made / "report" / "ship.tex").read_text()
    assert 'id="ship-1"' not in report(made).read_text()
    assert not (made / "report" / "ship.csv").exists()
    assert not (made / "report" / "ship.tex").exists()


@pytest.mark.parametrize("given", [80, 80.0, 0, 1, -0.5, float("nan"), True, "0.8"])
def test_good_enough_is_a_fraction(given):
    with pytest.raises(IsoglossError, match=r"good_enough is .*; expected a fraction between 0 and 1, such as 0\.8"):
        report("nowhere", good_enough=given)


def test_a_percentage_is_told_as_a_fraction():
    done = CliRunner().invoke(app, ["report", "nowhere", "--good-enough", "85"])
    assert str(done.exception).endswith("85 % is 0.85")


def test_the_page_shows_what_can_ship_and_what_goes_wrong(made, browser):
    report(made, good_enough=0.8)
    visit = Visit(browser, made / "report.html")
    assert visit.problems == []
    told = "At accuracy 0.8, with fine-tuning, the best on English development data: 1 can ship, 2 can ship with a"
    assert told in visit.page.inner_text(".answer")
    table = visit.page.locator("#ship-1 tbody tr")
    assert table.first.inner_text().split("\t")[:2] == ["German", "ship"]
    how = visit.page.locator("#ship-1 details.part")
    how.locator("> summary").click()
    assert "Don't: the chance" in how.inner_text()
    parts = visit.page.locator("#errors-1 details.part")
    titles = parts.locator("> summary").all_inner_texts()
    assert titles[0].startswith("English: ")
    assert re.fullmatch(
        r"Swahili: 70 % of texts wrong, most often \w+ → \w+; \d+ % of these right in English", titles[1]
    )
    parts.nth(1).locator("> summary").click()
    text = parts.nth(1).locator("table").first.locator("tbody th").first
    assert text.is_visible()
    assert text.inner_text().startswith(f"{HOSTILE} sw word")
    assert text.inner_text().endswith("…")
    assert len(text.inner_text()) < 300
    assert visit.page.evaluate("window.hacked") is None
    assert visit.page.locator("img").count() == 0


def test_text_that_is_written_from_the_right_is_set_from_the_right(made, browser):
    visit = Visit(browser, made / "report.html", viewport={"width": 400, "height": 800})
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 400
    visit.page.evaluate("document.querySelectorAll('#errors-1 details').forEach((one) => { one.open = true; })")
    arabic = visit.page.locator("#errors-1 tbody th", has_text=ARABIC).first
    assert arabic.evaluate("(cell) => getComputedStyle(cell).direction") == "rtl"
    english = visit.page.locator("#errors-1 tbody th", has_text="en word").first
    assert english.evaluate("(cell) => getComputedStyle(cell).direction") == "ltr"
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 400


def test_confidence_is_held_against_what_is_right(made):
    table = pl.read_parquet(made / "analysis" / "calibration.parquet")
    arabic = table.filter(language="arb-Arab")
    errors = dict(arabic.select("temperature", "ece").iter_rows())
    share = float(np.mean([right("ar", seed).mean() for seed in range(3)]))
    assert errors["before the temperature"] == pytest.approx(0.99 - share, abs=1e-6)
    assert errors["after the temperature"] == pytest.approx(share * 0.03 + (1 - share) * 0.5, abs=1e-6)
    together = table.filter(language="all targets")
    assert together["n"].to_list() == [COUNT * 3 * 4] * 2


def test_the_method_is_the_best_on_source_development_data(tmp_path):
    both = {code: rows(code)[:30] for code in ("en", "de")}

    def worse_in_english(method, _seed, code):
        bad = (code == "en") == (method == "fine-tuning")
        return ["on" if bad else row["label"] for row in both[code]]

    folder = told(
        tmp_path / "run", both, worse_in_english, labels=LABELS, methods=("fine-tuning", "deep-prompt")
    )  # fmt: skip
    (run_group,) = run_groups([OpenedRun.of(folder)])
    assert run_group.best == "deep-prompt"  # though the other one is better in German
    decided = with_decisions(run_group, 0.6).decisions
    assert decided.select("decision", "score").rows()[0][0] == "don't"


@pytest.mark.parametrize("codes", [["en"], ["en", "de"]])
def test_a_run_in_which_all_is_right_and_one_without_a_target_have_a_page(tmp_path, codes):
    some = {code: rows(code)[:20] for code in codes}
    folder = told(tmp_path / "run", some, lambda *_: [row["label"] for row in some["en"]], labels=LABELS)
    page = report(folder, good_enough=0.8).read_text()
    assert "0 % of texts wrong" in page
    said = "There is no target language" if len(codes) == 1 else "1 can ship, of 1 language."
    assert said in page
