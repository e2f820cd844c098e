"""Text in CC-100: what is known, what is none and what is not known."""

from isogloss.languages.cc100 import _facts, gibibytes
from isogloss.languages.language import Language, facts


def of(code):
    return gibibytes(Language.parse(code))


def test_sizes_are_of_languages_in_our_own_codes():
    sizes, unknown = _facts()
    assert len(sizes) > 90
    assert all(str(Language.parse(code)) == code and 0 < size < 301 for code, size in sizes.items())
    assert not unknown & {code.split("-")[0] for code in sizes}


def test_they_agree_with_who_is_well_resourced():
    sizes, _ = _facts()
    rich = {code.split("-")[0] for code, size in sizes.items() if size >= 1}
    assert rich | {"swe"} == set(facts()["well_resourced"].split())


def test_none_is_not_the_same_as_unknown():
    assert (of("en"), of("zh-TW"), of("pt-BR")) == (300.8, 16.6, 49.1)
    assert of("quy_Latn") == 0
    assert [of(code) for code in ("sv", "nn", "sr-Latn", "arz_Arab")] == [None] * 4
