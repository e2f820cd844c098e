import langcodes
import pytest
from langcodes.registry_parser import parse_registry

from isogloss.data.cards import cards, find
from isogloss.errors import IsoglossError
from isogloss.languages.language import CHOICES, Language, distinct, facts


@pytest.mark.parametrize(
    ("code", "canonical"),
    [
        ("en", "eng-Latn"), ("eng_Latn", "eng-Latn"), ("ENG-latn", "eng-Latn"),
        ("zh", "zho-Hans"), ("zh-CN", "zho-Hans"), ("cmn", "zho-Hans"), ("zh-TW", "zho-Hant"), ("zho_Hant", "zho-Hant"),
        ("yue", "yue-Hant"), ("zh-HK", "zho-Hant-HK"),
        ("sr", "srp-Cyrl"), ("sr-Latn", "srp-Latn"), ("sr-RS", "srp-Cyrl"), ("sh", "srp-Latn"),
        ("no", "nob-Latn"), ("nb", "nob-Latn"), ("nn", "nno-Latn"),
        ("iw", "heb-Hebr"), ("he", "heb-Hebr"), ("in", "ind-Latn"), ("id", "ind-Latn"),
        ("pt", "por-Latn"), ("pt-BR", "por-Latn-BR"), ("por-Latn-BR", "por-Latn-BR"),
        ("ar", "arb-Arab"), ("arb_Arab", "arb-Arab"), ("sw", "swh-Latn"), ("et", "est-Latn"), ("ekk", "est-Latn"),
        ("fa", "pes-Arab"), ("qu", "quy-Latn"), ("ace_Arab", "ace-Arab"),
        ("be", "bel-Cyrl"), ("be-x-old", "bel-Cyrl"), ("be-tarask", "bel-Cyrl-tarask"),
        ("eng-Latn-x-gum", "eng-Latn-x-gum"), ("en-x-gum", "eng-Latn"), ("ca-valencia", "cat-Latn"),
        ("als", "als-Latn"), ("sq", "als-Latn"), ("bat-smg", "sgs-Latn"), ("fiu-vro", "vro-Latn"),
        ("roa-rup", "rup-Latn"), ("map-bms", "jav-Latn-x-bms"), ("zh-min-nan", "nan-Hans"), ("zh-yue", "yue-Hant"),
        ("nds-nl", "nds-Latn-NL"), ("mo", "ron-Latn"), ("zh-classical", "lzh-Hans"), ("roa-tara", "nap-Latn-x-tara"),
        ("ko", "kor-Hang"), ("kor_Hang", "kor-Hang"), ("ko-Kore", "kor-Hang"),
    ],
)  # fmt: skip
def test_any_code_becomes_one_canonical_form(code, canonical):
    assert str(Language.parse(code)) == canonical


def test_the_canonical_form_parses_to_itself():
    for card in cards().values():
        for code in card.languages:
            assert str(Language.parse(code)) == code


def test_a_bare_code_is_the_language_that_a_data_set_has():
    languages = [Language.parse(code) for code in cards()["sib200"].languages]
    for language in languages:
        if sum(other.iso == language.iso for other in languages) == 1:
            assert Language.parse(language.iso) == language


def test_every_choice_of_a_macrolanguage_is_final():
    assert all(CHOICES.get(choice, choice) == choice for choice in CHOICES.values())


def test_names():
    assert Language.parse("de").name == "German"
    assert Language.parse("sr-Latn").name == "Serbian (Latin)"
    assert Language.parse("pt-BR").name == "Portuguese (Brazil)"
    assert Language.parse("sw").name == "Swahili"
    assert Language.parse("bat-smg").name == "Samogitian"
    assert Language.parse("map-bms").name == "Javanese (Banyumasan)"
    assert Language.parse("be-tarask").name == "Belarusian (Taraškievica)"
    assert Language.parse("eng-Latn-x-gum").name == "English (gum)"
    assert Language.parse("nan-Latn").name == "Min Nan Chinese (Latin)"


@pytest.mark.parametrize(
    ("code", "hint"), [("xx", "did you mean"), ("French", "'fra-Latn'"), ("eng-Latin", "known:"), ("", "known:")]
)
def test_what_is_no_language_says_what_would_be(code, hint):
    with pytest.raises(IsoglossError, match="unknown language") as error:
        Language.parse(code)
    assert hint in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("code", "bat fiu roa map ine bh bih mul zxx mis nah roa-Latn".split())
def test_a_family_is_no_language(code):
    with pytest.raises(IsoglossError, match=rf"'{code}' stands for no one language \(.*\); expected the code of one"):
        Language.parse(code)


def test_all_collections_are_known():
    registry = {entry["Subtag"] for entry in parse_registry() if entry.get("Scope") in {"collection", "special"}}
    assert set(facts()["collections"].split()) == registry - {"bh"} | {"bih"}


@pytest.mark.parametrize(
    ("codes", "first", "second", "ways"),
    [
        ("en be be-x-old", "be", "be-x-old", "{bel-Cyrl: be, bel-Cyrl-tarask: be-x-old}"),
        ("als sq", "als", "sq", "{gsw-Latn: als, als-Latn: sq}"),
        ("sq als", "sq", "als", "{als-Latn: sq, gsw-Latn: als}"),
        ("no nn nb", "no", "nb", "{nob-Latn: no, nob-Latn-x-nb: nb}"),
        ("zh zh-CN zh-TW", "zh", "zh-CN", "{zho-Hans: zh, zho-Hans-x-zh-cn: zh-CN}"),
        ("iw he", "iw", "he", "{heb-Hebr: iw, heb-Hebr-x-he: he}"),
        ("en_US en-US", "en_US", "en-US", "{eng-Latn-US: en_US, eng-Latn-x-en-us: en-US}"),
    ],
)
def test_two_codes_of_one_language_are_both_named(codes, first, second, ways):
    with pytest.raises(IsoglossError) as error:
        distinct(codes.split())
    assert f"{first!r} and {second!r} are both {Language.parse(first)} (" in str(error.value)
    assert ways in str(error.value)
    assert len(distinct([way.split(": ")[0] for way in ways.strip("{}").split(", ")])) == 2


def test_codes_that_are_distinct_keep_their_order():
    assert distinct(["zh-TW", "zh", "zh"]) == {"zho-Hant": "zh-TW", "zho-Hans": "zh"}


def test_languages_sort_with_and_without_a_region():
    codes = [str(language) for language in sorted(map(Language.parse, ["pt-BR", "zh-TW", "pt", "zh"]))]
    assert codes == ["por-Latn", "por-Latn-BR", "zho-Hans", "zho-Hant"]


def test_a_region_matters_only_where_both_sides_name_one():
    card = find("sib200").model_copy(
        update={"languages": {"eng-Latn": "en", "por-Latn-BR": "pt-BR", "por-Latn-PT": "pt-PT", "spa-Latn-MX": "es-MX"}}
    )
    assert str(card.language("en-US")) == "eng-Latn"
    assert str(card.language("es")) == "spa-Latn-MX"
    assert str(card.language("pt-PT")) == "por-Latn-PT"
    for code in ("pt", "es-ES", "fr"):
        with pytest.raises(IsoglossError, match="unknown language of sib200"):
            card.language(code)


@pytest.mark.parametrize("code", ["\0", "en\0", "\n", "\u202e", "\ud800", " "])
def test_what_cannot_be_printed_is_no_language(code):
    with pytest.raises(IsoglossError, match="unknown language"):
        Language.parse(code)


def test_no_more_codes_are_remembered_than_that(monkeypatch):
    monkeypatch.setattr("isogloss.languages.language.KEPT", 20)
    for number in range(100):
        Language.parse(f"de-Latn-x-kept{number}")
    assert len(langcodes.Language._PARSE_CACHE) < 40
