"""Whether a report looks right: nothing is cut where there is room, whatever a run consists of."""

import re

import numpy as np
import polars as pl
import pytest

import synthetic
from browsing import Visit
from isogloss.errors import IsoglossError
from isogloss.reports import summary, words
from isogloss.reports.report import report
from isogloss.reports.tables import plain_table
from isogloss.store import Store
from synthetic import directory, resolved

REAL = """eng-Latn deu-Latn fra-Latn spa-Latn ita-Latn por-Latn-BR nld-Latn pol-Latn ces-Latn slk-Latn slv-Latn hrv-Latn
srp-Cyrl bul-Cyrl ron-Latn hun-Latn ell-Grek tur-Latn rus-Cyrl ukr-Cyrl lit-Latn lvs-Latn est-Latn fin-Latn swe-Latn
nob-Latn dan-Latn isl-Latn gle-Latn eus-Latn cat-Latn glg-Latn arb-Arab heb-Hebr pes-Arab hin-Deva ben-Beng tam-Taml
tel-Telu urd-Arab tha-Thai vie-Latn ind-Latn zho-Hans zho-Hant jpn-Jpan kor-Hang swh-Latn yor-Latn hau-Latn
amh-Ethi""".split()
VARIANTS = [f"deep-prompt[length={2**number},lr=0.0{number}]" for number in range(1, 9)]
CASES = {
    "four methods": {
        "targets": 9,
        "methods": ["linear-probe", "fine-tuning", "soft-prompt", "deep-prompt"],
        "seeds": 2,
    },
    "more than seven methods": {"targets": 3, "methods": ["fine-tuning", "deep-prompt", *VARIANTS], "seeds": 2},
    "fifty languages": {"targets": 50, "seeds": 2},
    "one seed": {"targets": 7, "seeds": 1},
    "one language": {"targets": 1, "methods": ["fine-tuning"], "seeds": 1},
    "the source alone": {"targets": 0, "seeds": 2},
    "all equal": {"targets": 4, "seeds": 2},
}
CUT = """[...document.querySelectorAll(".scroll, .chart")].filter((box) => box.scrollWidth > box.clientWidth + 1)
.map((box) => `${box.getAttribute("aria-label") || box.id}: ${box.scrollWidth} > ${box.clientWidth}`)"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of each case; figures on paper are left out, since nobody looks at them here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("isogloss.reports.report.write_figures", lambda *_: None)
        patch.setattr("isogloss.analysis.run.export.save", lambda *_: None)
        patch.setattr(synthetic, "languages", lambda count: REAL[: count + 1])
        made = {}
        for name, case in CASES.items():
            with patch.context() as within:
                if name == "all equal":
                    within.setattr(np, "clip", lambda chances, *_: np.ones_like(chances))
                folder = directory(tmp_path_factory.mktemp("looks") / "run", examples=12, **case)
            made[name] = report([folder])
        return made


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_nothing_is_cut_at_1400_pixels_and_the_page_fits_a_phone(pages, browser, case):
    visit = Visit(browser, pages[case], viewport={"width": 1400, "height": 900})
    for width in (1400, 400):
        visit.page.set_viewport_size({"width": width, "height": 900})
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        if width == 1400:
            assert visit.page.evaluate(CUT) == []
    assert visit.problems == []
    text = visit.page.inner_text("main").partition("Spec of")[0]
    for wrong in ("`", "NaN", "null", "undefined", r"\b0 languages", r"\b1 (targets|languages|seeds)\b"):
        assert not re.search(wrong, text), wrong
    heads = set(visit.page.locator("thead button").all_inner_texts())
    assert not heads & {*words.HEADS, "low", "high"}
    assert not any("_" in head for head in heads)
    assert "`" not in visit.page.inner_text("[aria-label='Not carried out']")
    assert visit.page.locator("[aria-label='Not carried out'] code").count() >= 1
    visit.page.close()


@pytest.mark.slow
def test_a_map_is_as_high_as_its_width_asks_for(pages, browser):
    for width, most in ((1400, 560), (400, 640)):
        visit = Visit(browser, pages["fifty languages"], viewport={"width": width, "height": 900})
        section = visit.page.locator("#map-1 .charts").bounding_box()
        assert section["height"] < most
        assert visit.page.locator("#map-1 svg").count() == 2
        written = visit.page.locator("#map-1 svg").nth(1).text_content()
        assert all(code in written for code in ("deu", "hun", "fin"))
        visit.page.close()


@pytest.mark.slow
def test_a_page_without_targets_says_so(pages):
    text = pages["the source alone"].read_text()
    assert "sib200: English alone" in text
    assert "Only English was scored" in text
    assert "On the map" not in text


def test_a_run_without_a_finished_cell_is_no_report(tmp_path):
    stored = Store(tmp_path / "run")
    stored.begin(resolved(methods={"fine-tuning": {}}), {"python": "3", "packages": {}, "git": None})
    with pytest.raises(IsoglossError, match="holds no finished run"):
        report([tmp_path / "run"])


def test_a_plain_table_has_words_names_and_intervals():
    table = pl.DataFrame({
        "one": ["a", "b"], "scope": ["target", "gap"], "language": ["deu-Latn", None], "difference": [0.5, -3.7e-17],
        "low": [0.25, None], "high": [0.75, None], "p_holm": [1e-9, 0.5], "nothing": [None, None],
        "sure": [True, False],
    })  # fmt: skip
    shown = plain_table("title", table)
    assert shown.columns == ["method", "of", "language", "difference", "p, corrected", "sure"]
    assert [[value.text for value in row.values] for row in shown.rows] == [
        ["a", "mean target", "German", "0.500 [0.250, 0.750]", "< 0.001", "yes"],
        ["b", "gap", "", "0.000", "0.500", "no"],
    ]


def test_bounds_without_a_value_before_them_are_columns():
    shown = plain_table("title", pl.DataFrame({"method": ["a"], "low": [0.1], "high": [0.2]}))
    assert shown.columns == ["method", "low", "high"]


def test_code_is_set_as_code_and_all_else_as_text():
    assert words.told("<b>; `dynamics: {}` in `a & b`") == (
        "&lt;b&gt;; <code>dynamics: {}</code> in <code>a &amp; b</code>"
    )
    assert words.told("one ` alone") == "one ` alone"


def test_lines_break_within_labels_and_not_within_intervals():
    assert words.broken("deep-prompt[length=8,lr=0.01]") == "deep-prompt[<wbr>length=8,<wbr>lr=0.01]"
    assert words.broken("0.5 [-0.1, 0.2]") == "0.5 [-0.1,\N{NO-BREAK SPACE}0.2]"
    assert words.broken("0.5 ± 0.1") == "0.5 ±\N{NO-BREAK SPACE}0.1"
    assert words.broken("<i>,x") == "&lt;i&gt;,<wbr>x"


def test_a_comparison_tells_backbones_pooling_precision_and_limits():
    def fact(weights="a" * 64, pooling="mean", dtype="float32", **more):
        return {
            "method": "fine-tuning", "settings": {}, "train": "t" + str(more),
            "backbone": {"weights": weights, "pooling": pooling, "dtype": dtype}, **more,
        }  # fmt: skip

    one, other = fact(), fact("b" * 64, "first", "bfloat16", limits={"train": 1000, "drawn": "alike"}, shots=8)
    said = list(summary._of_methods({"m": one, "n": other}, {"m": "org/small", "n": "org/large"}, {}))
    assert "The methods differ in backbone: m org/small; n org/large." in said
    assert "The methods differ in pooling: m mean; n first." in said
    assert "The methods differ in precision: m float32; n bfloat16." in said
    assert "The methods differ in limits: m none; n train 1,000." in said
    assert "The methods differ in shots a class: m all; n 8." in said
    assert not any("training data" in line for line in said)
    same_name = list(summary._of_methods({"m": fact(), "n": fact("b" * 64)}, {"m": "org/x", "n": "org/x"}, {}))
    assert same_name == ["The methods differ in backbone: m org/x aaaaaaaa; n org/x bbbbbbbb."]
    assert list(summary._of_methods({"m": one, "n": one}, {}, {})) == []
