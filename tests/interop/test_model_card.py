"""A model card says what the store says, of anybody's labels and languages, and no text of the data."""

import json
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

import isogloss
from isogloss.interop.backbone_origin import BackboneOrigin, licence
from isogloss.interop.cell_scores import LanguageScore, card_of, method_scores
from isogloss.interop.exported_run import exported_run
from isogloss.interop.markdown import escaped, fenced
from isogloss.interop.model_card import TITLE, model_card, verdict
from isogloss.runtime import yaml
from isogloss.stats.intervals import Estimate
from isogloss.store import Store
from one_cell import one_cell
from synthetic import directory, languages

ROOT = Path(__file__).parents[2]
LOADING = 'import isogloss\nmodel = isogloss.load("org/name")\nprint(model.predict(["one text"]))'


def html(card):
    return MarkdownIt("commonmark").enable("table").render(ModelCard(card).text)


def cells_of(store, label):
    return [cell for cell in store.finished() if cell.record.method == label]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(directory(tmp_path_factory.mktemp("runs") / "run", targets=4, seeds=3))


@pytest.fixture(scope="module")
def card(store):
    return model_card(store, cells_of(store, "deep-prompt")[1], loading=LOADING, title="org/name")


def test_the_metadata_is_the_hubs(card, store):
    data = ModelCard(card).data
    assert (data.license, data.library_name, data.pipeline_tag) == ("unknown", "isogloss", "text-classification")
    assert (data.base_model, data.datasets) == ("intfloat/multilingual-e5-small", ["Davlan/sib200"])
    assert data.to_dict()["base_model_relation"] == "adapter"
    assert data.language[0] == "en"
    scores = cells_of(store, "deep-prompt")[1].table("scores").filter(split="test", metric="accuracy")
    stored = {code: round(value, 4) for code, value in scores.select("language", "value").iter_rows()}
    assert data.model_name == "org/name"
    assert {one.dataset_config for one in data.eval_results} == {code.replace("-", "_") for code in stored}
    for one in data.eval_results:
        assert one.metric_value == stored[one.dataset_config.replace("_", "-")]
        assert (one.dataset_type, one.dataset_split, one.metric_type) == ("Davlan/sib200", "test", "accuracy")


def test_the_metadata_reads_the_same_when_it_is_written_again(card):
    assert ModelCard(str(ModelCard(card))).data.to_dict() == ModelCard(card).data.to_dict()


def test_intervals_and_gap_are_those_of_the_analysis(card, store):
    tables = isogloss.analyze(store.path, "gap", methods=["deep-prompt"])["gap"].tables
    for row in tables["scores-intervals"].iter_rows(named=True):
        assert escaped(f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]") in card
    for row in tables["gap-intervals"].filter(measure="gap").iter_rows(named=True):
        assert escaped(f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]") in card


def test_a_cell_stands_beside_the_mean_over_its_seeds(store):
    of_seed = method_scores(store, "deep-prompt")
    assert list(of_seed) == [0, 1, 2]
    for scores in of_seed.values():
        own = scores.cell.table("scores").filter(split="test", metric="accuracy")
        value = dict(own.select("language", "value").iter_rows())
        assert scores.of("accuracy")[0].language == "eng-Latn"
        for score in scores.of("accuracy"):
            assert score.value == value[score.language] == pytest.approx(score.own.value)
            assert score.mean.seeds == 3
            assert score.low <= score.value <= score.high
            assert (score.low < score.high) == (score.value < 1)
    means = {scores.of("accuracy")[1].mean.value for scores in of_seed.values()}
    assert len(means) == 1


def test_what_always_answering_one_class_scores_is_known(tmp_path):
    gold = {"eng-Latn": ["a", "a", "b", "a"] * 8, "deu-Latn": ["b", "b", "a", "b"] * 8}
    store = one_cell(tmp_path / "run", gold, {"eng-Latn": gold["eng-Latn"], "deu-Latn": ["a"] * 32})
    scores = method_scores(store, "linear-probe")[0]
    assert [score.constant for score in scores.of("accuracy")] == [0.75, 0.75]
    assert [verdict(score, scores.of_source) for score in scores.of("accuracy")] == ["served", "failed"]
    card = model_card(store, store.finished()[0], loading=LOADING, title="t")
    assert "* served (1): English." in card
    assert "* failed (1): German." in card
    assert ModelCard(card).data.language == ["en"]


def score(value, low, high, constant):
    return LanguageScore("deu-Latn", "accuracy", value, 9, Estimate(value, low, high, None, 1), constant=constant)


@pytest.mark.parametrize(
    ("low", "constant", "said"),
    [(0.5, 0.5, "failed"), (0.49, 0.5, "failed"), (0.51, 0.5, "in between"), (0.73, 0.5, "served"),
     (0.71, 0.5, "in between")],
)  # fmt: skip
def test_what_is_served_and_what_is_failed_goes_by_the_lower_end(low, constant, said):
    assert verdict(score(0.8, low, 0.99, constant), score(0.9, 0.85, 0.95, 0.2)) == said


def test_without_a_score_in_the_source_only_what_fails_is_told_and_without_an_interval_the_score_decides():
    assert verdict(score(0.6, 0.51, 0.7, 0.5), None) == "served"
    assert verdict(score(1.0, None, None, 0.5), score(1.0, None, None, 0.5)) == "served"
    assert verdict(score(0.5, None, None, 0.5), None) == "failed"
    assert verdict(score(0.5, 0.4, 0.6, None), None) is None


TAGS = {"eng-Latn": ["B-X O O", "O O B-Y"] * 6, "deu-Latn": ["O B-X O", "O O O"] * 6}
TEXTS = {"eng-Latn": ['["a secret answer", "secret"]'] * 8, "deu-Latn": ['["eine geheime Antwort"]'] * 8}


def test_tags_and_questions_have_cards_too_and_no_answer_is_in_them(tmp_path):
    tagging = one_cell(
        tmp_path / "tags", TAGS, {**TAGS, "deu-Latn": ["O O O"] * 12}, kind="tagging", task="wikiann",
        labels=("O", "B-X", "B-Y"), metrics=("span-f1", "accuracy"),
    )  # fmt: skip
    scores = method_scores(tagging, "linear-probe")[0]
    assert [one.constant for one in scores.of("span-f1")] == [0.0, 0.0]
    assert scores.of("accuracy")[0].constant == pytest.approx(2 / 3)
    data = ModelCard(model_card(tagging, tagging.finished()[0], loading=LOADING, title="t")).data
    assert (data.pipeline_tag, data.metrics) == ("token-classification", ["seqeval", "accuracy"])
    said = {code: [json.loads(answers)[0] for answers in gold] for code, gold in TEXTS.items()}
    questions = one_cell(
        tmp_path / "questions", TEXTS, said, kind="qa", task="xquad", labels=("start", "end"),
        metrics=("f1", "exact-match"), inputs=["question", "passage"],
    )  # fmt: skip
    card = model_card(questions, questions.finished()[0], loading=LOADING, title="t")
    assert "secret" not in card
    assert "geheim" not in card
    assert ModelCard(card).data.pipeline_tag == "question-answering"


HOSTILE = [
    "---\nlicense: mit", "| a | b |", "<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](http://x.y/z)",
    "`a` ``b``", "# heading", "{{ 7 * 7 }}", "{% raw %}", "* star", "1. one", "www.x.y", "http://x.y", "&lt;", "$x$",
    "a\\", "\x1b[31mred", "\u202eabc", "no", "null", "2026-01-01", "'", '"', "- x: y", "@someone", "~~a~~", " ", "é́",
    "क",
]  # fmt: skip


def test_no_name_of_a_strangers_breaks_the_metadata_or_means_anything_in_the_page(tmp_path):
    gold = {"eng-Latn": HOSTILE * 2, "deu-Latn": HOSTILE * 2}
    card = {
        "name": "my task | <b>", "title": "a --- <b>title</b> | [x](javascript:1)", "kind": "classification",
        "source": "en", "labels": ["a", "b"], "columns": {"text": "text", "label": "label"},
        "local": {"path": "{code}.{split}.tsv", "format": "tsv"}, "languages": "en de",
        "licence": "<img src=x onerror=alert(1)> | y", "citation": "[me](javascript:1)\n\n---\n\n# not a heading",
    }  # fmt: skip
    store = one_cell(
        tmp_path / "run", gold, gold, task="custom", labels=HOSTILE, name="my-method",
        spec={"data": {"card": card}},
    )  # fmt: skip
    assert card_of(store.known_spec()) is not None
    for title in ("org/name", "---\nlicense: mit\n---\n# x", "a: [b", '"'):
        page = model_card(store, store.finished()[0], loading="x = '```'\n```\n# not code", title=title)
        data = ModelCard(page).data.to_dict()
        assert data["license"] == "unknown"
        assert set(data) <= {"language", "license", "library_name", "pipeline_tag", "tags", "metrics", "base_model",
                             "base_model_relation", "datasets", "model-index"}  # fmt: skip
        shown = html(page)
        assert not re.findall(r"<(script|img|b|a|del)\b(?! href=\"https://arxiv)", shown)
        assert "{{ 7 * 7 }}" in shown
        assert len(re.findall("<h1>", shown)) == 1
        assert len(re.findall("<h2>", shown)) == 7
        assert "\x1b" not in page
        assert "\u202e" not in page
        for table in re.findall(r"<table>.*?</table>", shown, re.DOTALL):
            widths = {len(re.findall(r"<t[hd]\b", row)) for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)}
            assert len(widths) == 1


def test_text_that_is_escaped_reads_as_it_was():
    for text in [*HOSTILE, *languages(3), "a_b*c", "deep-prompt[length=4]", "+x", "=x", "12) x"]:
        shown = MarkdownIt("commonmark").enable("table").render(f"{escaped(text)}\n")
        plain = re.sub(r"<[^>]+>", "", shown).strip()
        for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
            plain = plain.replace(entity, character)
        expected = re.sub(r"\s+", " ", text.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")).strip()
        assert plain == expected
    assert MarkdownIt().render(fenced("a\n```\nb")) == "<pre><code>a\n```\nb\n</code></pre>\n"


def test_an_exported_run_has_a_card_without_intervals_and_without_this_machines_paths(store, tmp_path):
    cell = cells_of(store, "fine-tuning")[0]
    exported_run(store, cell, tmp_path / "out")
    again = Store(tmp_path / "out")
    page = model_card(again, again.finished()[0], loading=LOADING, title="t")
    assert str(tmp_path) not in page
    assert "without intervals: the model has come without its test answers" in page
    assert "Which languages it serves and which it fails in is not said here" in page


def test_a_backbones_licence_is_what_its_page_says(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    assert licence(BackboneOrigin("model", folder=folder)) is None
    for text, said in [
        ("---\nlicense: apache-2.0\n---\n# x", "apache-2.0"), ("---\nlicense: [mit, x]\n---\n", "mit, x"),
        ("---\nlicense: other\nlicense_name: my own\n---\n", "my own"), ("# no metadata", None),
        ("---\n: [\n---\n", None),
        ("---\nlicense: 3\n---\n", None), ("---\n- a\n---\n", None), ("---\nlicense: other\n---\n", "other"),
    ]:  # fmt: skip
        (folder / "README.md").write_text(text)
        assert licence(BackboneOrigin("model", folder=folder)) == said
    (folder / "README.md").write_bytes(b"\xff\xfe---")
    assert licence(BackboneOrigin("model", folder=folder)) is None
    assert licence(BackboneOrigin("org/model", "org/model")) is None  # there is no network
    assert licence(BackboneOrigin("e", licence="MIT")) == "MIT"


def test_the_program_is_cited_as_it_asks_to_be():
    assert yaml.load(ROOT / "CITATION.cff")["title"] == TITLE
