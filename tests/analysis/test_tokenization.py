"""What is counted of texts and words, by hand and on real texts, and the tables of whole runs."""

import polars as pl
import pytest

from decoders import byte_tokenizer
from isogloss.analysis.analysis import AnalysisOptions
from isogloss.analysis.run import charts_of
from isogloss.analysis.tokenization import ANALYSIS, SCHEMA, comparable, encode, measured, ratios, spaceless
from isogloss.api import run
from isogloss.data.dataset import Examples, open_data
from isogloss.experiment.opened_run import OpenedRun
from isogloss.languages.language import Language
from isogloss.spec import Spec
from models import bert_tokenizer, checkpoint, sib200, tokenizer
from real_data import SHARED


@pytest.mark.parametrize("make", [tokenizer, bert_tokenizer])
def test_measures_are_those_counted_by_hand(make):
    made = make()
    table = pl.DataFrame({"id": ["1", "2"], "text": ["the cat  sat", "zebra on mat!"], "label": ["a", "b"]})
    found = measured(encode(table, made), made)
    # the cat sat | <unk> on mat <unk>
    assert found == {
        "texts": 2, "words": 6, "tokens": 7, "fertility": 7 / 6, "characters": 20 / 7, "unknown": pytest.approx(2 / 7),
        "split": pytest.approx(1 / 6), "vocabulary": 6 / len(made), "length": 3.5,
    }  # fmt: skip


def test_of_pairs_and_questions_both_texts_count():
    made = tokenizer()
    pairs = pl.DataFrame(
        {"id": ["1", "2"], "text": ["the cat", "a dog ran"], "second": ["sat", "on"], "label": ["a"] * 2}
    )
    encoded = encode(pairs, made)
    assert [made.decode(ids) for ids in encoded.tokens] == ["the cat sat", "a dog ran on"]
    asked = pl.DataFrame({"id": ["1"], "question": ["the cat"], "passage": ["one two three"]})
    assert measured(encode(asked, made), made)["words"] == 5


def test_words_that_are_given_are_the_words():
    made = tokenizer()
    table = pl.DataFrame({"id": ["1", "2"], "words": [["東京", "cat"], ["mat!", "\u00ad"]], "labels": [["X", "X"]] * 2})
    encoded = encode(table, made)
    assert encoded.words.tolist() == [1, 1, 2, 1]  # what the tokenizer makes nothing of is read as one unknown token
    assert encoded.lengths.tolist() == [2, 3]
    assert measured(encoded, made)["fertility"] == 5 / 4
    assert measured(encoded, made)["split"] == 1 / 4


def test_where_spaces_tell_no_words_apart_there_are_no_measures_of_words():
    made = byte_tokenizer()
    found = measured(encode(pl.DataFrame({"id": ["1"], "text": ["ฉันรักแมว the"], "label": ["a"]}), made), made)
    assert {name for name, value in found.items() if value is None} == {"words", "fertility", "split"}
    assert found["characters"] == 12 / found["tokens"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ฉันรักแมว", True), ("ຂ້ອຍຮັກແມວ", True), ("ខ្ញុំស្រលាញ់ឆ្មា", True), ("ငါကြောင်ကိုချစ်တယ်", True),
        ("我爱猫", True), ("我爱 cat", False), ("ネコが好き", True), ("ང་ཞི་མི་ལ་དགའ", True), ("ꦲꦏꦸꦠꦽꦱ꧀ꦤ", True),
        ("나는 고양이를 사랑한다", False),
        ("tôi yêu mèo", False), ("أحب القطط", False), ("मुझे बिल्लियाँ", False), ("ድመት እወዳለሁ", False), ("🙂🙂🙂 ok", False),
        ("123 !", False),
    ],
)  # fmt: skip
def test_which_texts_have_no_spaces_between_words(text, expected):
    assert spaceless([text]) == expected


def test_a_tokenizer_without_an_unknown_token_knows_everything():
    made = byte_tokenizer()
    made.unk_token = None
    table = pl.DataFrame({"id": ["1"], "text": ["東京 zebra"], "label": ["a"]})
    assert measured(encode(table, made), made)["unknown"] == 0


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="no real data here")
def test_words_and_whole_texts_have_the_same_tokens(e5_tokenizer):
    """Fertility is of whole texts, the share of split words of words one by one: one must not belie the other.

    All but for a zero-width character between spaces, which is nothing in a text and a word in a sentence of words.
    """
    data = open_data("sib200", path=SHARED / "sib200")
    without = []
    for language in data.languages():
        encoded = encode(data.examples(language, "test").table, e5_tokenizer)
        if encoded.words is None:
            without.append(language.script)
        else:
            assert 0 <= encoded.words.sum() - encoded.lengths.sum() <= 1, language
    assert set(without) == {"Thai", "Hans", "Jpan", "Mymr"}


def parts(ids):
    return [
        Examples(
            Language.parse(code), "test", pl.DataFrame({"id": names, "text": texts, "label": ["a"] * len(names)}), ""
        )
        for code, (names, texts) in ids.items()
    ]


def test_ratios_are_over_the_same_texts():
    tests = parts({"en": (["1", "2", "3"], ["the cat", "a", "on"]), "de": (["2", "9", "1"], ["a a a", "one", "the"]),
                   "fr": (["7"], ["cat"])})  # fmt: skip
    encoded = [encode(test.table, tokenizer()) for test in tests]
    assert ratios(tests, encoded, parallel=True) == {"eng-Latn": 1, "deu-Latn": pytest.approx(4 / 3)}
    assert ratios(tests, encoded, parallel=False) == {
        "eng-Latn": 1, "deu-Latn": pytest.approx((5 / 3) / (4 / 3)), "fra-Latn": pytest.approx(3 / 4),
    }  # fmt: skip


def test_ratios_of_two_kinds_are_not_held_against_each_other():
    table = pl.DataFrame({"language": [*"abc"], "ratio": [1.0, 2, 3], "parallel": [True, True, False]})
    assert comparable(table)["ratio"].to_list() == [1, 2, None]
    other = table.with_columns(parallel=pl.Series([True, False, False]))
    assert comparable(other)["ratio"].to_list() == [1, 2, 3]


@pytest.fixture(scope="module")
def opened_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    codes = ("eng_Latn", "deu_Latn", "zho_Hans", "fra_Latn", "gsw_Latn", "lim_Latn", "vec_Latn", "spa_Latn")
    data = sib200(folder / "data", tuple(code for code in codes if code != "gsw_Latn"))
    spec = Spec(
        name="small", backbone=str(checkpoint(folder / "model")), task="sib200", data={"path": data}, seeds=[0, 1],
        dtype="float32", device="cpu",
        methods={"linear-probe": {"epochs": 2}, "soft-prompt": {"epochs": 1, "length": 2}},
    )  # fmt: skip
    run(spec, folder / "out")
    return OpenedRun.of(folder / "out")


def test_a_run_has_tables_of_its_tokens(opened_run):
    found = ANALYSIS.find(opened_run, AnalysisOptions())
    table, related, groups = found.tables.values()
    chart = charts_of(ANALYSIS, opened_run, AnalysisOptions(), found.tables)["tokenization"]
    hollow = chart.table.filter("hollow")["language"].unique().to_list()
    assert sorted(hollow) == ["lim-Latn", "vec-Latn"]
    assert table.schema == pl.Schema(SCHEMA)
    assert table["language"][0] == "eng-Latn"
    assert table["parallel"].all()
    source = opened_run.data.tests[0].table
    assert table["words"][0] == sum(len(text.split()) for text in source["text"])
    assert table["ratio"].to_list() == pytest.approx((table["length"] / table["length"][0]).to_list())
    assert set(related["method"]) == {"linear-probe", "soft-prompt"}
    assert related.filter(measure="length")["n"].to_list() == [6] * 4
    assert related.filter(measure="unknown")["spearman"].is_null().all()  # the same in all languages
    assert set(groups["group"]) == {"low-resource"}
    assert set(groups["n_inside"]) == {2}
    length = groups.filter(of="length").row(0, named=True)
    low = table.filter(pl.col("language").is_in(["lim-Latn", "vec-Latn"]))["length"]
    assert length["inside"] == pytest.approx(low.mean())


def test_lengths_on_other_texts_are_marked(tmp_path, opened_run, monkeypatch):
    """The card says that texts are parallel; where it does not, only sentences that were given are the same."""
    data = opened_run.data.dataset
    monkeypatch.setattr(data, "card", data.card.model_copy(update={"parallel": False}))
    found = ANALYSIS.find(opened_run, AnalysisOptions())
    assert found.tables["tokenization"]["parallel"].to_list() == [False] * 7
    data = sib200(tmp_path / "given", ("eng_Latn", "deu_Latn"))
    some = ANALYSIS.find(opened_run, AnalysisOptions(parallel=data, sentences=5))
    table = some.tables["tokenization"]
    assert table.filter("parallel")["language"].to_list() == ["eng-Latn", "deu-Latn"]
    tokens = [
        sum(len(text.split()) for text in open_data("sib200", path=data).examples(language, "test").table["text"][:5])
        for language in map(Language.parse, ("en", "de"))
    ]
    assert table.filter(language="deu-Latn")["ratio"].item() == pytest.approx(tokens[1] / tokens[0])
    assert set(some.tables["tokenization-correlation"].filter(measure="ratio")["n"]) == {1}
