"""Groups of languages: which there are, who belongs to them, and their averages in the table."""

import pytest

from isogloss.data.cards import cards
from isogloss.errors import IsoglossError
from isogloss.experiment.data import languages, open_spec
from isogloss.languages.groups import check, members
from isogloss.languages.language import Language, facts
from isogloss.spec import Spec

SPEC = {"name": "x", "task": "sib200", "methods": {"linear-probe": {}}}


def test_every_language_of_every_card_has_a_family():
    codes = {code for card in cards().values() for code in card.languages}
    assert [code for code in sorted(codes) if not Language.parse(code).family] == []


def test_no_language_has_two_families():
    members_ = [iso for family in facts()["families"].values() for iso in family.split()]
    assert len(members_) == len(set(members_))
    assert set(facts()["well_resourced"].split()) <= set(members_)
    for iso in members_:
        assert Language.parse(iso).iso == iso


@pytest.mark.parametrize(
    ("code", "family"),
    [
        ("fi", "Uralic"), ("eu", "Basque"), ("mt", "Afro-Asiatic"), ("tr", "Turkic"), ("ja", "Japonic"),
        ("yue", "Sino-Tibetan"), ("sw", "Atlantic-Congo"), ("mg", "Austronesian"), ("th", "Tai-Kadai"),
        ("ht", "Indo-European"), ("vi", "Austroasiatic"), ("ka", "Kartvelian"),
    ],
)  # fmt: skip
def test_families(code, family):
    assert Language.parse(code).family == family


@pytest.mark.parametrize(
    ("text", "usual"), [("family:uralic", "family:Uralic"), ("script:cyrl", "script:Cyrl"), ("low-resource",) * 2]
)
def test_groups_are_named_as_usual(text, usual):
    assert check(text) == usual


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("family:Uralik", "unknown family 'Uralik'; did you mean 'Uralic'"),
        ("script:Cyrillic", "names no script; expected an ISO 15924 code"),
        ("famly:Uralic", "unknown group of languages 'famly:Uralic'; did you mean 'family:…'"),
    ],
)
def test_an_unknown_group_is_named(text, message):
    with pytest.raises(IsoglossError, match=message):
        Spec(**SPEC, targets=[text])


def test_members():
    some = [Language.parse(code) for code in ("en", "fi", "hu", "ru", "uk", "yo", "sr-Latn")]

    def codes(group):
        return [str(language) for language in members(group, some)]

    assert codes("family:Uralic") == ["fin-Latn", "hun-Latn"]
    assert codes("script:Cyrl") == ["rus-Cyrl", "ukr-Cyrl"]
    assert codes("low-resource") == ["yor-Latn"]


def test_targets_may_be_groups_and_languages():
    spec = Spec(**SPEC, targets=["family:uralic", "de", "family:Basque"])
    meant = languages(spec, open_spec(spec))
    source, targets = meant.source, meant.targets
    assert str(source) == "eng-Latn"
    assert [str(target) for target in targets] == ["deu-Latn", "est-Latn", "eus-Latn", "fin-Latn", "hun-Latn"]
    one = Spec(**SPEC, targets="script:Geor")
    assert [str(target) for target in languages(one, open_spec(one)).targets] == ["kat-Geor"]
    none = Spec(**SPEC, targets=["script:Hang"], source="ko")
    with pytest.raises(IsoglossError, match="sib200 has no language of script:Hang besides the source"):
        languages(none, open_spec(none))


def test_the_source_is_no_target():
    spec = Spec(**SPEC, targets=["en", "de"])
    with pytest.raises(IsoglossError, match="targets: eng-Latn is the source, which is scored as it is; leave it out"):
        languages(spec, open_spec(spec))
