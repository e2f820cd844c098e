"""What goes wrong: how mistakes are told apart and counted, which are typical, and where their texts come from."""

import json

import polars as pl
import pytest

from isogloss.analysis.analysis import AnalysisOptions
from isogloss.analysis.errors import tables
from isogloss.analysis.errors.passages import Passage
from isogloss.analysis.errors.span_errors import aligned
from isogloss.analysis.errors.texts import LONGEST, cut
from isogloss.analysis.errors.units import of_questions, of_spans, of_texts, of_words
from isogloss.analysis.run import analyze, carry_out
from isogloss.api import report
from isogloss.experiment.opened_run import OpenedRun
from isogloss.reports.report import cheap_analyses
from synthetic import directory
from told import told

ANSWERS = {"seed": pl.Int64, "item": pl.Int64, "example": pl.String, "gold": pl.String, "predicted": pl.String,
           "confidence": pl.Float64}  # fmt: skip
LABELS = ["off", "on", "play"]
UNIQUE = "a text that nobody else writes"


def answered(*pairs, seed=0, confidence=0.5):
    rows = [(seed, place, f"x{place}", gold, said, confidence) for place, (gold, said) in enumerate(pairs)]
    return pl.DataFrame(rows, schema=ANSWERS, orient="row")


@pytest.mark.parametrize(
    ("gold", "said", "kinds"),
    [
        ("B-PER I-PER O", "B-PER I-PER O", [None]),
        ("B-PER I-PER O", "B-PER O O", ["boundary"]),
        ("B-PER I-PER O", "B-LOC I-LOC O", ["type"]),
        ("B-PER I-PER O", "O B-LOC I-LOC", ["boundary and type"]),
        ("B-PER I-PER O", "O O O", ["missed"]),
        ("O O O", "O B-LOC O", ["invented"]),
        ("B-PER I-PER I-PER", "B-PER B-PER I-PER", ["boundary", "invented"]),  # a span is held against one other
        ("B-PER O B-LOC", "B-PER O O", [None, "missed"]),
    ],
)
def test_a_span_is_right_or_misses_in_one_way(gold, said, kinds):
    assert sorted(str(one["kind"]) for one in aligned(gold.split(), said.split())) == sorted(map(str, kinds))


def test_the_spans_that_share_the_most_words_are_held_against_each_other():
    found = list(aligned(["B-A", "I-A", "I-A", "O"], ["B-A", "B-A", "I-A", "I-A"]))
    assert [(one["first"], one["last"], one["kind"]) for one in found] == [(0, 3, "boundary"), (0, 0, "invented")]


def test_scores_of_types_are_those_of_whole_spans():
    units = of_spans(answered(("B-A I-A O B-B", "B-A O O B-B"), ("B-A O O O", "B-A O B-B O")))
    found = {row["label"]: row for row in tables.classes(units, 1).iter_rows(named=True)}
    assert (found["A"]["precision"], found["A"]["recall"], found["A"]["n"]) == (0.5, 0.5, 2)
    assert (found["B"]["precision"], found["B"]["recall"], found["B"]["f1"]) == (0.5, 1.0, pytest.approx(2 / 3))


def test_scores_of_classes_are_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    gold = ["a", "a", "a", "b", "b", "c", "d"]
    said = ["a", "b", "b", "b", "b", "a", "e"]
    found = tables.classes(of_texts(answered(*zip(gold, said, strict=True))), 1)
    expected = metrics.precision_recall_fscore_support(gold, said, labels=found["label"].to_list(), zero_division=0)
    for name, values in zip(("precision", "recall", "f1", "n"), expected, strict=True):
        assert found[name].fill_null(0).to_list() == pytest.approx(list(values))


def test_confusions_are_counted_over_seeds_and_shares_are_of_the_right_label():
    parts = [answered(("on", "off"), ("on", "off"), ("on", "on"), ("off", "on"), seed=seed) for seed in (0, 1)]
    found = tables.confusions(of_texts(pl.concat(parts)))
    assert found.select("gold", "predicted", "count").rows() == [("on", "off", 4), ("off", "on", 2)]
    assert found["share"].to_list() == [pytest.approx(2 / 3), 1.0]
    assert found["of_errors"].to_list() == [pytest.approx(2 / 3), pytest.approx(1 / 3)]


def test_words_are_confused_one_by_one():
    found = tables.confusions(of_words(answered(("DET NOUN VERB", "DET VERB VERB"), ("NOUN", "VERB"))))
    assert found.select("gold", "predicted", "count", "share").rows() == [("NOUN", "VERB", 2, 1.0)]


def test_examples_are_of_the_most_frequent_confusions_in_turn_the_surest_first():
    units = of_texts(answered(*[("on", "off")] * 4, *[("off", "on")] * 2, ("play", "on")))
    sure = pl.Series("confidence", [0.1, 0.9, 0.5, 0.7, 0.2, 0.3, 0.99])
    wrong = units.with_columns(sure, pl.lit(None, pl.Boolean).alias("source_right"))
    found = tables.typical(wrong, by_label=True)
    assert found["item"].to_list() == [1, 5, 6, 3, 4]
    again = tables.typical(wrong.sample(fraction=1, shuffle=True, seed=3), by_label=True)
    assert again.equals(found)


def test_an_item_that_more_seeds_mistake_is_more_typical():
    one = of_texts(answered(("on", "off"), ("on", "off"), seed=0, confidence=0.9))
    other = of_texts(answered(("on", "on"), ("on", "off"), seed=1, confidence=0.1))
    wrong = pl.concat([one, other]).drop_nulls("kind").with_columns(pl.lit(None, pl.Boolean).alias("source_right"))
    assert tables.typical(wrong, by_label=True).select("item", "seeds").rows() == [(1, 2), (0, 1)]


@pytest.mark.parametrize(
    ("text", "answer", "same"),
    [
        ("Ada was born in 1815. She died in 1852.", "born", True),
        ("Ada was born in 1815. She died in 1852.", "1852", False),
        ("1815年に生まれた。1852年に死んだ。", "1852年", False),
        ("Ada was born at 3.30 in 1815! Then", "3.30", True),
    ],
)
def test_an_answer_is_in_the_sentence_of_a_right_one_or_not(text, answer, same):
    start = text.index("1815")
    assert Passage(text, ["1815"], [start]).same_sentence(answer) == same


def test_answers_to_questions_miss_in_three_ways():
    passages = {
        item: Passage("Ada Lovelace met Babbage. Turing came later.", ["Ada Lovelace"], [0]) for item in range(4)
    }
    gold = json.dumps(["Ada Lovelace"])
    answers = answered((gold, "ada lovelace"), (gold, "Ada"), (gold, "Babbage"), (gold, "Turing"))
    found = of_questions(answers, "qa", "eng-Latn", passages)
    assert found["kind"].to_list() == [None, "partial", "no overlap", "wrong sentence"]
    assert found["gold"].to_list() == ["Ada Lovelace"] * 4
    blind = of_questions(answers, "qa", "eng-Latn", None)
    assert blind["kind"].to_list() == [None, "partial", "no overlap", "no overlap"]


def test_long_texts_are_cut_behind_a_word_and_without_spaces_anywhere():
    assert cut("one\n  two") == "one two"
    assert cut("word " * 200).endswith("word…")
    assert len(cut("字" * 900)) == LONGEST + 1


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """English all right but one; German takes on for off."""
    rows = {
        code: [
            {"id": str(place), "text": f"{code} {UNIQUE} {place}", "label": LABELS[place % 3]} for place in range(12)
        ]
        for code in ("en", "de", "ar")
    }

    def answers(_method, _seed, code):
        gold = [row["label"] for row in rows[code]]
        wrong = {"en": [1], "de": [1, 4, 7], "ar": []}[code]
        return ["off" if place in wrong else label for place, label in enumerate(gold)]

    return told(
        tmp_path_factory.mktemp("told") / "run", rows, answers, labels=LABELS, parallel=True, seeds=2,
        sure=lambda *_: [(0.9, 0.6)] * 12,
    )  # fmt: skip


def found(folder, **options):
    (outcome,) = analyze(folder, ["errors"], AnalysisOptions(**options))
    return outcome.result.tables


def test_texts_stand_beside_their_mistakes_and_beside_the_source_that_is_right(spoken):
    made = found(spoken)
    german = made["errors-examples"].filter(language="deu-Latn")
    assert german["text"].to_list() == [f"de {UNIQUE} {place}" for place in (1, 4, 7)]
    assert german["source_right"].to_list() == [False, True, True]
    assert german["confidence"].to_list() == pytest.approx([0.6] * 3)
    assert set(german["seeds"]) == {2}
    parallel = made["errors-parallel"]
    assert parallel["source_text"].to_list() == [f"en {UNIQUE} {place}" for place in (4, 7)]
    languages = made["errors"].sort("language").select("language", "items", "wrong", "right_in_source").rows()
    assert languages[:2] == [("arb-Arab", 12, 0.0, None), ("deu-Latn", 12, 0.25, pytest.approx(2 / 3))]
    assert made["errors-notes"].is_empty()
    assert made["errors-examples"].filter(language="eng-Latn")["source_right"].to_list() == [None]


def test_without_texts_none_stays_in_any_file(spoken, monkeypatch):
    monkeypatch.setattr("isogloss.charts.export.save", lambda *_: None)  # which takes most of the time
    monkeypatch.setattr("isogloss.reports.report.write_figures", lambda *_: None)
    report(spoken)
    held = [file for file in spoken.rglob("*") if file.is_file() and UNIQUE.encode() in file.read_bytes()]
    assert {file.suffix for file in held} >= {".html", ".csv", ".tex"}
    report(spoken, texts=False)
    held = [file for file in spoken.rglob("*") if file.is_file() and UNIQUE.encode() in file.read_bytes()]
    assert held == []
    for file in (spoken / "analysis").glob("*.parquet"):
        assert UNIQUE not in str(pl.read_parquet(file).to_dicts())
    examples = pl.read_parquet(spoken / "analysis" / "errors-examples.parquet")
    assert examples["example"].null_count() == 0
    assert "asked to be left out" in (spoken / "report.html").read_text()


def test_asking_for_another_analysis_without_texts_removes_those_of_before(spoken):
    found(spoken)
    assert (spoken / "analysis" / "errors-examples.parquet").exists()
    list(analyze(spoken, ["gap"], AnalysisOptions(texts=False)))
    assert not list((spoken / "analysis").glob("errors*"))


def test_data_that_changed_give_no_texts_but_of_the_languages_that_are_the_same(spoken):
    file = spoken.parent / "run-data" / "de" / "test.jsonl"
    before = file.read_text()
    try:
        file.write_text(before.replace(f"de {UNIQUE} 3", "another"))
        made = found(spoken)
    finally:
        file.write_text(before)
    assert made["errors-examples"].filter(language="deu-Latn")["text"].null_count() == 3
    assert made["errors-examples"].filter(language="eng-Latn")["text"].null_count() == 0
    (line,) = made["errors-notes"]["note"]
    assert line == "No texts are shown of deu-Latn: the test data are gone, or are not what was scored."


def test_data_that_are_gone_give_names_and_a_line(spoken):
    moved = (spoken.parent / "run-data").rename(spoken.parent / "elsewhere")
    try:
        made = found(spoken)
    finally:
        moved.rename(spoken.parent / "run-data")
    assert made["errors-examples"]["text"].null_count() == len(made["errors-examples"])
    (line,) = made["errors-notes"]["note"]
    assert line.startswith("No texts are shown of eng-Latn, arb-Arab, deu-Latn: ")


def test_a_report_asks_no_hub_for_texts_and_keeps_those_that_were_fetched(tmp_path, monkeypatch):
    folder = directory(tmp_path / "run", targets=1, seeds=1, examples=6, methods=["fine-tuning"])
    monkeypatch.setattr("isogloss.data.hub.announce", lambda *_: pytest.fail("the hub was asked"))
    opened_run = OpenedRun.of(folder)
    list(carry_out(opened_run, ["errors"], AnalysisOptions(fetch=False)))
    (line,) = pl.read_parquet(folder / "analysis" / "errors-notes.parquet")["note"]
    assert line.startswith("The texts lie on the hub")
    assert "errors" not in cheap_analyses(opened_run, texts=True)
    assert "errors" in cheap_analyses(opened_run, texts=False)
    (folder / "analysis" / "errors.parquet").unlink()
    assert "errors" in cheap_analyses(opened_run, texts=True)


def test_right_answers_that_are_not_known_are_no_mistakes(tmp_path):
    rows = {code: [{"id": str(place), "text": "t", "label": "on"} for place in range(4)] for code in ("en", "de")}
    folder = told(tmp_path / "run", rows, lambda *_: ["off", "on", "on", "on"], labels=LABELS)
    cell = folder / "weights" / "fine-tuning" / "0"
    table = pl.read_parquet(cell / "predictions.parquet")
    blind = pl.when(pl.col("language") == "deu-Latn").then(None).otherwise("gold")
    table.with_columns(gold=blind).write_parquet(cell / "predictions.parquet")
    record = json.loads((cell / "run.json").read_text())
    (cell / "run.json").write_text(json.dumps({**record, "tables_sha256": {}}))
    assert set(found(folder)["errors"]["language"]) == {"eng-Latn"}


def test_questions_without_texts_have_no_answers_either(tmp_path):
    passage = "Ada Lovelace met Babbage. Turing came later."
    rows = {
        code: [{"id": "1", "question": "who", "context": passage, "answers": {"text": ["Ada"], "answer_start": [0]}}]
        for code in ("en", "de")
    }
    folder = told(tmp_path / "run", rows, lambda *_: ["Turing"], kind="qa")
    shown = found(folder)["errors-examples"].filter(language="deu-Latn").row(0, named=True)
    assert (shown["gold"], shown["predicted"], shown["kind"]) == ("Ada", "Turing", "wrong sentence")
    assert shown["text"] == f"who · [Ada]{passage[3:]}"
    hidden = found(folder, texts=False)["errors-examples"].row(0, named=True)
    assert (hidden["gold"], hidden["predicted"], hidden["text"]) == (None, None, None)


def test_the_words_of_a_wrong_span_stand_in_brackets(tmp_path):
    words = "Yesterday Angela Merkel spoke".split()
    rows = {code: [{"id": "1", "words": words, "labels": ["O", "B-PER", "I-PER", "O"]}] for code in ("en", "de")}
    folder = told(
        tmp_path / "run", rows, lambda *_: ["O O B-PER O"], kind="tagging", labels=["O", "B-PER", "I-PER"]
    )  # fmt: skip
    shown = found(folder)["errors-examples"].row(0, named=True)
    assert (shown["kind"], shown["text"]) == ("boundary", "Yesterday [Angela Merkel] spoke")
