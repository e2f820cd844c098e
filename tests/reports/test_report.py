"""The report as its reader sees it: opened in a browser, without a network."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html import escape

import polars as pl
import pytest
from typer.testing import CliRunner

from browsing import Visit
from isogloss.analysis.analysis import AnalysisResult
from isogloss.analysis.run import keep
from isogloss.cli.commands import app
from isogloss.errors import IsoglossError
from isogloss.methods.registry import methods
from isogloss.reports import summary
from isogloss.reports.latex import latex
from isogloss.reports.report import report
from isogloss.reports.run_group import run_groups
from isogloss.reports.score_table import ScoreTable
from isogloss.reports.summary import answer, differing
from isogloss.reports.tables import plain_table
from isogloss.store import Store
from synthetic import directory, languages

HOSTILE = "</style></script><script>window.hacked=1</script><img src=x onerror=window.hacked=1> \u202eright-to-left"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = directory(tmp_path_factory.mktemp("report") / "run", targets=12)
    done = CliRunner().invoke(app, ["report", str(folder)])
    assert done.exit_code == 0, done.output
    answer, page = done.output.splitlines()
    assert " carries " in answer
    assert page == str(folder / "report.html")
    return folder


def test_the_page_opens_alone_and_draws_everything(made, browser):
    visit = Visit(browser, made / "report.html")
    assert visit.problems == []
    assert visit.asked == [(made / "report.html").as_uri()]
    charts = visit.page.locator(".chart")
    assert charts.count() >= 5
    for place in range(charts.count()):
        assert charts.nth(place).locator("svg path, svg text").count() > 3
    text = visit.page.inner_text("main")
    assert re.search(r"carries \d+ % of English to 12 languages: accuracy", text)


def test_tables_sort_and_filter(made, browser):
    visit = Visit(browser, made / "report.html")
    heads = visit.page.locator(".filterable thead button")
    assert heads.all_inner_texts() == ["language", "code", "family", "script", "fine-tuning", "deep-prompt"]
    heads.nth(4).click()
    scores = [float(text.split(" ")[0]) for text in visit.column(5)]
    assert scores[1:] == sorted(scores[1:], reverse=True)
    assert visit.column(2)[0] == "eng-Latn"  # the source stays on top
    heads.nth(4).press("Enter")
    scores = [float(text.split(" ")[0]) for text in visit.column(5)]
    assert scores[1:] == sorted(scores[1:])
    families = visit.column(3)
    visit.page.locator("[data-filter=family]").select_option(families[3])
    assert set(visit.column(3)) == {families[3]}
    assert visit.page.locator(".count").inner_text() == f"{families.count(families[3])} of 13"
    visit.page.locator("[data-filter=family]").select_option("")
    visit.page.locator("[data-filter=text]").fill("nothing is called so")
    assert visit.column(1) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_a_phone_in_light_and_dark(made, browser, scheme):
    visit = Visit(browser, made / "report.html", viewport={"width": 375, "height": 700}, color_scheme=scheme)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 375
    ink, page = visit.page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.documentElement).backgroundColor]"
    )
    assert _contrast(ink, page) > 7  # WCAG AAA
    visit.page.locator("#theme").click()
    other = visit.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert other != page
    assert visit.problems == []


def _contrast(one, other):
    light = []
    for colour in (one, other):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        light.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(light) + 0.05) / (min(light) + 0.05)


@pytest.mark.slow
def test_hostile_text_is_text(tmp_path, browser):
    labels = [HOSTILE, "{{ 7 * 7 }}", "plain"]
    methods = ["fine-tuning", "a[lr='1e-3'] <b>$x_1$ 100%</b> \" + alert(1) + \"", "deep-prompt[length=8].x"]
    folder = directory(tmp_path / "run", labels=labels, methods=methods)
    points = pl.DataFrame(
        {"method": "fine-tuning", "seed": 0, "language": ["eng-Latn", "deu-Latn"], "example": HOSTILE, "gold": HOSTILE,
         "predicted": "plain", "pca_x": [0.0, 1.0], "pca_y": [1.0, 0.0], "tsne_x": [0.0, 1.0], "tsne_y": [1.0, 0.0]}
    )  # fmt: skip
    keep(Store(folder), "boundary", AnalysisResult({"boundary-points": points}))
    report([folder])
    visit = Visit(browser, folder / "report.html")
    assert visit.page.evaluate("window.hacked") is None
    assert visit.problems == []
    assert HOSTILE[:24] in visit.page.inner_text("#boundary-1")
    assert visit.page.locator("img").count() == 0
    assert "49" not in visit.page.locator(".answer").inner_text()
    for section in ("methods", "training", "significance"):
        drawn = visit.page.locator(f"#{section}-1 svg").all_text_contents()
        for method in methods:
            assert any(method in text for text in drawn), (section, method)
    for section, menu in (("map", "method"), ("significance", "over")):
        choice = visit.page.locator(f"#{section}-1 .chart").first.locator("select").first
        assert set(choice.locator("option").all_inner_texts()) == set(methods), menu
        choice.select_option(methods[1])
        title = visit.page.locator(f"#{section}-1 .chart").first.locator("svg .role-title-text")
        assert methods[1] in title.text_content()
    assert visit.problems == []
    for name in ("methods", "languages", "map", "learning"):
        figure = (folder / "report" / f"{name}.svg").read_text()
        assert {method for method in methods if escape(method, quote=False) in figure} == set(methods), name


def test_tables_and_figures_lie_beside_it(made):
    beside = made / "report"
    table = pl.read_csv(beside / "languages.csv")
    assert table["language"].to_list()[0] == "eng-Latn"
    assert len(table) == 13
    latex = (beside / "methods.tex").read_text()
    assert "\\toprule" in latex
    assert "\\bottomrule" in latex
    for name in ("methods", "languages", "map", "learning"):
        assert (beside / f"{name}.svg").read_text().startswith("<svg")
        assert (beside / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (beside / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert ">score of deep-prompt</text>" in (beside / "map.svg").read_text()
    heat = (beside / "languages.svg").read_text()
    drawn = sorted(float(number) for number in re.findall(r">(\d\.\d\d)</text>", heat))
    assert drawn == pytest.approx(sorted([*table["fine-tuning"], *table["deep-prompt"]]), abs=0.0051)


def test_latex_keeps_deviations_the_best_means_and_gaps(made):
    lines = (made / "report" / "languages.tex").read_text().splitlines()
    (run_group,) = run_groups([made])
    scores = {row["language"]: row for row in run_group.by_language.filter(method="fine-tuning").iter_rows(named=True)}
    own = scores["eng-Latn"]
    assert lines[5].startswith(r"\textbf{English} & eng-Latn & Indo-European & Latn & ")
    assert rf"{own['score']:.3f} $\pm$ {own['deviation']:.3f}" in lines[5]
    assert lines[1] == r"\begin{tabular}{llllrr}"
    assert all(line.count(" & ") == 5 for line in lines[5:18])
    assert all(r"\textbf{0." in line or r"\textbf{1." in line for line in lines[5:18])
    assert lines[18] == r"\midrule"
    mean = run_group.scores.filter(pl.col("language") != "eng-Latn", method="fine-tuning")["value"].mean()
    assert lines[19].startswith(r"\textbf{mean of 12 targets} & ")
    assert f"{mean:.3f} $" in lines[19]
    assert lines[20].startswith(r"\textbf{gap} & ")
    assert r"\textbf{0" not in lines[20]
    assert lines[21:] == [r"\bottomrule", r"\end{tabular}"]


def test_latex_sets_any_label_as_it_is():
    label = r"$x_1$ 100% #1 {a} ~ ^ \alpha & [b] <c>"
    text = latex(plain_table("a%\nb", pl.DataFrame({label: [label, "[c] d", "-1"], "n": [1.5, 2e-9, -3.0]})))
    escaped = (
        r"\$x\_1\$ 100\% \#1 \{a\} \textasciitilde{} \textasciicircum{} \textbackslash{}alpha \& [b] "
        r"\textless{}c\textgreater{}"
    )
    head = escaped.replace(r"x\_1", "x 1")  # heads have no underscores
    assert text.splitlines() == [
        "% Written by isogloss; booktabs. a% b", r"\begin{tabular}{lr}", r"\toprule",
        rf"{head} & count \\", r"\midrule",
        rf"{escaped} & 1.500 \\", r"{[}c] d & 2.0e-09 \\", r"-1 & $-$3.000 \\", r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip


def test_a_report_takes_neither_pandas_nor_matplotlib(made):
    code = (
        "import sys, pathlib\n"
        "for name in ('pandas', 'matplotlib', 'statsmodels', 'pyarrow', 'datasets'): sys.modules[name] = None\n"
        "from isogloss.reports.report import report\n"
        f"print(report([pathlib.Path({str(made)!r})], pathlib.Path({str(made / 'other.html')!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str(made / "other.html")


@pytest.mark.slow
def test_it_is_the_same_bytes_again(made):
    before = (made / "report.html").read_bytes()
    report([made])
    assert (made / "report.html").read_bytes() == before


@pytest.mark.slow
def test_several_directories_are_compared(made, tmp_path, browser):
    other = directory(tmp_path / "other", targets=9, seed=1)
    page = report([made, other])
    assert page == made / "comparison.html"
    visit = Visit(browser, page)
    assert visit.problems == []
    heads = visit.page.locator(".filterable thead button").all_inner_texts()
    assert heads[4:] == ["run: fine-tuning", "run: deep-prompt", "other: fine-tuning", "other: deep-prompt"]
    assert "left out of all means: 3 languages" in visit.page.inner_text(".caveats")
    (run_group,) = run_groups([made, other])
    means = run_group.table("gap-intervals").filter(measure="target")
    assert set(means["languages"]) == {9}


@pytest.mark.slow
def test_any_method_may_be_the_reference(made, tmp_path):
    other = directory(tmp_path / "other", targets=9, seed=1)
    (run_group,) = run_groups([made, other], "other: fine-tuning")
    held = run_group.table("significance-reference").filter(scope="target")
    assert held["other"].unique().to_list() == ["other: fine-tuning"]
    assert set(held["one"]) == {"run: fine-tuning", "run: deep-prompt", "other: deep-prompt"}
    assert run_group.table("significance-mixed")["reference"].unique().to_list() == ["other: fine-tuning"]
    page = report([made, other], tmp_path / "page.html", reference="other: fine-tuning").read_text()
    assert "Over other: fine-tuning, corrected over these pairs alone" in page
    report([other], reference="deep-prompt")
    mixed = pl.read_parquet(other / "analysis" / "significance-mixed.parquet")
    assert mixed["reference"].unique().to_list() == ["deep-prompt"]
    with pytest.raises(IsoglossError, match="method to hold the others against 'fine'"):
        report([made, other], tmp_path / "none.html", reference="fine")
    assert not (tmp_path / "none.html").exists()


def test_what_is_no_run_directory_is_refused_in_a_line(tmp_path):
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert done.exit_code != 0
    assert "holds no finished run" in str(done.exception)


def test_the_answer_is_what_the_tables_say(made):
    (run_group,) = run_groups([made])
    sentences = answer(run_group)
    means = run_group.scores.filter(pl.col("language") != "eng-Latn").group_by("method").agg(pl.col("value").mean())
    best = means.sort("value", descending=True)["method"][0]
    assert sentences[0].startswith(f"{best} carries ")
    assert "12 languages" in sentences[0]
    alone = pl.when(pl.col("method") == "deep-prompt").then(0.0).otherwise("value")
    beaten = answer(replace(run_group, scores=run_group.scores.with_columns(value=alone)))
    assert "The highest score, of 12 languages: fine-tuning in 12." in beaten


def test_a_method_that_always_says_the_same_is_named_first_in_table_and_answer(tmp_path):
    folder = directory(tmp_path / "run", targets=2, seeds=2, methods=["fine-tuning", "deep-prompt"])
    said = "says 'a label' to every test text in English in 1 of 2 seeds: it has learnt nothing there"
    assert said not in " ".join(str(ScoreTable(Store(folder))).split())
    cell = next(cell for cell in Store(folder).finished() if cell.record.method == "deep-prompt")
    always = cell.table("predictions").with_columns(predicted=pl.lit("a label"))
    always.write_parquet(cell.folder / "predictions.parquet")
    record = json.loads((cell.folder / "run.json").read_text())
    record.pop("tables_sha256", None)
    (cell.folder / "run.json").write_text(json.dumps(record))
    Store(folder).gather()
    (run_group,) = run_groups([folder])
    assert f"deep-prompt {said}" in answer(run_group)[0]
    assert f"deep-prompt {said}" in " ".join(str(ScoreTable(Store(folder))).split())


def test_methods_differ_in_the_weights_that_they_keep_and_not_in_what_select_says():
    def fact(method, **settings):
        spelled = methods()[method].settings.model_validate(settings).model_dump(mode="json")
        return {"method": method, "settings": spelled, "backbone": {"weights": "x"}}

    slow = fact("slow-fast")
    fine = fact("fine-tuning", epochs=slow["settings"]["epochs"])
    (line,) = summary._of_methods({"slow": slow, "fine": fine}, {}, {})
    assert line == "The methods differ in select: slow {'mean': 0.5, 'every': 4}; fine best."
    mean = fact("fine-tuning", select={"mean": 0.5}, epochs=slow["settings"]["epochs"])
    assert not list(summary._of_methods({"slow": slow, "fine": mean}, {}, {}))


def test_what_methods_differ_in_is_said_once_a_value():
    assert differing({"a": 1, "b": 1}) == ""
    assert differing({"a": "best", "b": "mean", "c": "best"}) == "b mean; a, c best"
    runs = {"x: a": "x", "x: b": "x", "y: a": "y", "y: b": "y"}
    assert differing(dict.fromkeys(runs, 1) | {"y: b": 2}, runs) == "y: b 2; x, y: a 1"


def test_pooling_limits_and_backbones_that_are_not_alike_are_told_by_name():
    settings = methods()["linear-probe"].settings.model_validate({}).model_dump(mode="json")
    words = {**settings, "head": "verbalizer"}
    common = {"method": "linear-probe", "settings": settings}
    facts = {
        "e5: probe": {**common, "backbone": {"weights": "a" * 64, "dtype": "float32", "pooling": "mean"}},
        "gemma: probe": {
            **common, "backbone": {"weights": "b" * 64, "dtype": "bfloat16", "pooling": "last"},
            "limits": {"train": 1000, "drawn": "in proportion"}, "shots": 8, "longest": 128,
        },
        "gemma: words": {
            **common, "settings": words, "backbone": {"weights": "b" * 64, "dtype": "bfloat16", "pooling": "last"},
            "limits": {"train": 1000, "drawn": "in proportion"}, "shots": 8, "longest": 128,
        },
    }  # fmt: skip
    runs = {method: method.partition(":")[0] for method in facts}
    said = list(summary._of_methods(facts, {method: f"org/{run}" for method, run in runs.items()}, runs))
    for line in (
        "pooling: e5 mean; gemma last", "precision: e5 float32; gemma bfloat16", "limits: e5 none; gemma train 1,000",
        "shots a class: e5 all; gemma 8", "tokens of a text at most: e5 as the backbone; gemma 128",
        "backbone: e5 org/e5; gemma org/gemma", "head: gemma: words verbalizer; e5, gemma: probe linear",
    ):  # fmt: skip
        assert f"The methods differ in {line}." in said
    told = summary._backbones({"a": "1" * 64, "b": "2" * 64}, {"a": "org/one", "b": "org/one"})
    assert told == {"a": "org/one 11111111", "b": "org/one 22222222"}  # the same name of other weights


@pytest.mark.slow
def test_one_seed_one_method_ties_and_unknown_numbers_are_said_as_they_are(tmp_path):
    folder = directory(tmp_path / "one", targets=3, seeds=1)
    effects = pl.DataFrame(
        {"method": "fine-tuning", "way": "rewind", "layer": [0, 1], "weights": "norms", "of": "gap",
         "effect": [0.1, 0.2], "low": float("nan"), "high": float("nan"), "seeds": 1}
    )  # fmt: skip
    keep(Store(folder), "importance", AnalysisResult({"importance-effects": effects}))
    page = report([folder]).read_text()
    assert "NaN" not in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)[-1]
    assert "with one seed in common nothing can be said about another training" in page
    alone = directory(tmp_path / "alone", targets=1, methods=["fine-tuning"])
    assert "to 1 language:" in report([alone]).read_text()
    (alone / "scores.parquet").write_bytes((alone / "scores.parquet").read_bytes())  # touched, and still the same
    (run_group,) = run_groups([alone])
    assert run_group.stale == []
    assert len(answer(run_group)) == 2  # what it carries, and what it costs


def test_runs_on_other_examples_are_not_compared(made, tmp_path):
    other = directory(tmp_path / "other", data="1")
    with pytest.raises(IsoglossError, match="not scored on the same examples of eng-Latn"):
        report([made, other])


def test_a_page_that_cannot_be_a_file_is_refused_before_anything_is_done(made, tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path, tmp_path / "file" / "x.html"):
        with pytest.raises(IsoglossError, match="no name of a file to write"):
            report([made], out)


def test_runs_without_a_common_target_have_no_mean(made, tmp_path):
    other = directory(tmp_path / "other", targets=1)
    for cell in Store(other).finished():
        for name in ("scores", "predictions"):
            file = cell.folder / f"{name}.parquet"
            pl.read_parquet(file).filter(language="eng-Latn").write_parquet(file)
        record = json.loads((cell.folder / "run.json").read_text())
        record |= {"test_data": {"eng-Latn": record["test_data"]["eng-Latn"]}, "tables_sha256": {}}
        (cell.folder / "run.json").write_text(json.dumps(record))
    Store(other).gather()
    (run_group,) = run_groups([made, other])
    assert run_group.common == []
    assert answer(run_group) == ["No target language was scored by every run: there is no mean to compare."]


@pytest.mark.slow
def test_a_method_may_have_any_name(tmp_path):
    folder = directory(tmp_path / "run", methods=["script", "name"])
    report([folder])
    assert {"method script", "method name"} < set(pl.read_csv(folder / "report" / "languages.csv").columns)


# What a process says of its own memory: what its parent is told of it includes the parent's own.
MEASURED = """
import json, pathlib, re, sys, time
from isogloss.reports.latex import latex
from isogloss.reports.report import report
report([pathlib.Path(sys.argv[1])])
status = pathlib.Path("/proc/self/status")
most = re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1] if status.exists() else 0
print(json.dumps({"most KiB": int(most), "seconds": time.process_time()}))
"""


@pytest.mark.slow
def test_a_large_run_takes_a_minute_and_two_gigabytes_at_most(tmp_path):
    """200 languages, 10 methods, 10 seeds, with predictions; the time is that of the whole command."""
    methods = ["fine-tuning", "deep-prompt", *(f"method-{number}" for number in range(8))]
    folder = directory(tmp_path / "large", targets=200, methods=methods, seeds=10, examples=100)
    assert len(languages(200)) > 190
    command = [sys.executable, "-c", MEASURED, str(folder)]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert said["seconds"] < 120  # of two cores' time
    assert said["most KiB"] < 2 * 2**20
    assert (folder / "report.html").stat().st_size < 10 * 2**20
    assert json.loads((folder / "environment.json").read_text())["tool"] == "isogloss"


def test_a_directory_that_is_only_to_be_read_is_reported_elsewhere(made, tmp_path, monkeypatch):
    monkeypatch.setattr(Store, "writable", False)
    shutil.copytree(made, tmp_path / "run")
    (tmp_path / "run" / "scores.parquet").unlink()  # it cannot be put together anew there, but here
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    page = report([tmp_path / "run"], tmp_path / "elsewhere" / "page.html")
    assert "significance" in page.read_text()
    assert (tmp_path / "elsewhere" / "page" / "gap.csv").is_file()
    with pytest.raises(IsoglossError, match="give --out"):
        report([tmp_path / "run"])
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
