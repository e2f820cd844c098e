"""One test walks over all cards."""

import re

import pytest

from isogloss.data.cards import SPLITS, cards, find, read_card
from isogloss.data.dataset import open_data
from isogloss.data.kinds.kind import DataKind
from isogloss.data.kinds.registry import data_kinds
from isogloss.data.readers.registry import readers
from isogloss.errors import IsoglossError
from isogloss.languages.language import Language
from isogloss.tasks.registry import TASKS


@pytest.mark.parametrize("name", sorted(data_kinds() | TASKS))
def test_every_kind_of_data_has_a_task_with_its_metrics(name):
    kind = data_kinds()[name]
    assert isinstance(kind, DataKind)
    assert set(kind.metrics) == set(TASKS[name].metrics)


@pytest.mark.parametrize("name", sorted(cards()))
def test_a_card_is_sound(name):
    card = find(name)
    assert card.name == name
    assert card.title
    assert card.citation
    assert card.licence != "not stated"
    assert card.language(card.source)
    assert str(Language.parse(card.source)) in card.languages
    assert len(set(card.labels)) == len(card.labels) > 1
    assert set(card.aliases.values()) <= {*card.labels, *(label.partition("-")[2] for label in card.labels)}
    assert card.local or card.hub or card.generator
    assert len(set(card.languages.values())) == len(card.languages)
    if card.hub is not None:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", card.hub.id)  # the hub no longer takes bare ids
        assert card.hub.revision is None or re.fullmatch(r"[0-9a-f]{40}|refs/convert/parquet", card.hub.revision)
        assert card.train is not None or set(card.hub.splits) == set(SPLITS)
    assert {layout.format for layout in card.local} <= set(readers())
    if card.train is not None:
        trainer = find(card.train)
        assert trainer.language(card.source)
        assert set(trainer.labels) <= set(card.labels)
    tags = {label for label in card.labels if label[1:2] == "-"}
    assert {label[2:] for label in tags if label[0] == "B"} == {label[2:] for label in tags if label[0] == "I"}
    for code in card.languages:
        assert str(Language.parse(code)) == code


OWN = {"name": "own", "kind": "tagging", "source": "en", "labels": ["O", "B-X"], "languages": "en"}
COLUMNS = {"columns": {"text": "a", "label": "b"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": ["span_f1"]}, "metrics of tagging are span-f1, accuracy, macro-f1; came: .'span_f1'."),
        ({"metrics": []}, "metrics of tagging are"),
        ({"labels": ["O", "B-first name"]}, "tags hold no white space; came: 'B-first name'"),
        ({"labels": ["O"]}, "labels have to be at least two"),
        ({"kind": "qa"}, "columns.second is missing"),
        ({"kind": "parsing"}, "there is no kind 'parsing'; known: classification"),
        ({"only": {"column": "lang"}}, "give `equals` or `begins`"),
    ],
)
def test_a_card_that_could_not_be_carried_out_is_refused(changes, message):
    with pytest.raises(IsoglossError, match=message):
        read_card({**OWN, **COLUMNS, **changes}, where="here")


def test_metrics_are_the_usual_ones_where_a_card_says_nothing():
    assert read_card({**OWN, **COLUMNS}, where="here").metrics == ["span-f1", "accuracy", "macro-f1"]


def test_one_file_of_all_languages_is_told_apart_exactly(tmp_path):
    (tmp_path / "test.csv").write_text("lang,text,label\nzh,a,x\nzh-TW,b,y\n")
    card = {
        "name": "own", "kind": "classification", "source": "zh", "labels": ["x", "y"], "languages": "zh zh-TW",
        "columns": {"text": "text", "label": "label"}, "local": {"path": "test.csv", "format": "csv"},
        "only": {"column": "lang", "equals": "{code}"},
    }  # fmt: skip
    data = open_data("custom", path=tmp_path, card=card)
    assert [data.examples(language, "test").table["text"].to_list() for language in data.languages()] == [["a"], ["b"]]


def test_a_wrong_card_names_its_first_mistake():
    with pytest.raises(IsoglossError, match=r"here: kind: .*there is no kind 'regression'; known: classification"):
        read_card({**find("xnli").model_dump(), "kind": "regression"}, where="here")


WIKIPEDIAS = {
    "als": "gsw-Latn", "sq": "als-Latn", "bat-smg": "sgs-Latn", "fiu-vro": "vro-Latn", "map-bms": "jav-Latn-x-bms",
    "jv": "jav-Latn", "zh-min-nan": "nan-Latn", "be": "bel-Cyrl", "be-x-old": "bel-Cyrl-tarask", "sh": "srp-Latn",
    "zh-classical": "lzh-Hant", "zh-yue": "yue-Hant", "simple": "eng-Latn-x-simple", "en": "eng-Latn", "sr": "srp-Cyrl",
    "no": "nob-Latn", "cbk-zam": "cbk-Latn", "eml": "egl-Latn", "bh": "bho-Deva", "cdo": "cdo-Latn", "hak": "hak-Latn",
    "arc": "arc-Syrc", "pnb": "pnb-Arab", "nds": "nds-Latn", "zh": "zho-Hans", "ar": "arb-Arab", "fa": "pes-Arab",
    "ms": "zsm-Latn", "et": "est-Latn", "diq": "diq-Latn", "xmf": "xmf-Geor",
}  # fmt: skip


def test_wikianns_codes_mean_what_they_mean_on_wikipedia():
    by_code = {code: form for form, code in find("wikiann").languages.items()}
    assert len(by_code) == 176
    assert {code: by_code[code] for code in WIKIPEDIAS} == WIKIPEDIAS
    names = [Language.parse(form).name for form in find("wikiann").languages]
    assert len(set(names)) == 176
    assert not [name for name in names if "Unknown" in name or "languages" in name]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"languages": "en be be-x-old"}, "here: languages: 'be' and 'be-x-old' are both bel-Cyrl"),
        ({"languages": "en xx"}, "here: languages: unknown language 'xx'"),
        ({"source": "xx"}, "here: source: unknown language 'xx'"),
        ({"languages": {}}, "here: languages: expected codes"),
        ({"languages": 7}, "here: languages: expected codes"),
        ({"labels": ["O", True]}, r"here: labels.1: expected a text \(came: True\)"),
        ({"nope": 1}, "here: unknown key 'nope'"),
        ({"local": {"path": "a", "format": "csv", "x": 1}}, "here: local: unknown key 'x'; known: codes, columns"),
        (
            {"local": [{"path": "a", "format": "csv", "only": {"column": "a", "equal": "b"}}]},
            "here: local.0.only: unknown key 'equal'; did you mean 'equals'",
        ),
        ({"only": {"column": "lang"}}, "here: only: give `equals` or `begins`$"),
        ({"columns": {"text": "a"}}, "here: columns.label is missing; expected the label"),
        ({"local": {"path": "a{code}", "format": "xlsx"}}, "here: local.format: expected 'tsv'"),
        ({"local": [{"path": "{x}", "format": "csv"}]}, "here: local.0.path: '{x}' has {x}; only plain {code} and"),
        ({"aliases": {"Z": "B-Y"}}, "aliases: 'Z': unknown label 'B-Y'"),
        ({"generator": "os"}, "here: generator: only cards that come"),
    ],
)
def test_what_is_wrong_is_said_of_its_field(changes, message):
    with pytest.raises(IsoglossError, match=message) as error:
        read_card({**OWN, **COLUMNS, **changes}, where="here")
    assert "\n" not in str(error.value)


def test_numbers_are_texts():
    card = read_card({**OWN, **COLUMNS, "kind": "classification", "labels": [0, 1], "aliases": {2: 1}}, where="here")
    assert (card.labels, card.aliases) == (["0", "1"], {"2": "1"})


def test_a_list_of_codes_is_as_good_as_a_text():
    one, other = (read_card({**OWN, **COLUMNS, "languages": given}, where="here") for given in ("en de", ["en", "de"]))
    assert one == other


def test_rows_are_of_one_language_by_a_column_that_is_there(tmp_path):
    (tmp_path / "test.csv").write_text("text,label\na,x\n")
    card = {
        "name": "own", "kind": "classification", "source": "en", "labels": ["x", "y"], "languages": "en de",
        "columns": {"text": "text", "label": "label"}, "local": {"path": "test.csv", "format": "csv"},
        "only": {"column": "lang", "equals": "{code}"},
    }  # fmt: skip
    data = open_data("custom", path=tmp_path, card=card)
    with pytest.raises(IsoglossError, match="has no column 'lang'"):
        data.examples(Language.parse("en"), "test")


@pytest.mark.parametrize("other", ["./en", "en"])
def test_two_languages_in_one_file_are_both_named(other):
    card = {
        "name": "own", "kind": "classification", "source": "en", "labels": ["a", "b"],
        "columns": {"text": "text", "label": "label"}, "languages": {"en": "en", "de": "de"},
        "local": {"path": "{code}/{split}.tsv", "format": "tsv", "codes": {"de": other}},
    }  # fmt: skip
    with pytest.raises(IsoglossError, match=r"local\.path: eng-Latn and deu-Latn are both 'en/"):
        read_card(card, where="card.yaml")
