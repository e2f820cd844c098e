"""Languages as values: whatever code a data set uses becomes one canonical form, `eng-Latn`.

The canonical form is an ISO 639-3 code and an ISO 15924 script, with a region only where it tells varieties apart
(`por-Latn-BR`), and a variety only where nothing else does (`bel-Cyrl-tarask`, `jav-Latn-x-bms`). Where ISO has a
macrolanguage and its members, the code is the one that FLORES-200 uses (NLLB Team 2022, arXiv 2207.04672, table 1),
because that is what most multilingual data sets are named by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import langcodes
from langcodes.tag_parser import LanguageTagError

from isogloss.errors import IsoglossError, unknown
from isogloss.runtime import yaml

# Left: a code of the same language or its macrolanguage. Right: FLORES-200's choice, which is ours.
CHOICES = {
    "aka": "aka", "ara": "arb", "aym": "ayr", "aze": "azj", "cmn": "zho", "din": "dik", "ekk": "est", "fas": "pes",
    "ful": "fuv", "kau": "knc", "kur": "kmr", "lav": "lvs", "mlg": "plt", "mon": "khk", "msa": "zsm", "nep": "npi",
    "nor": "nob", "ori": "ory", "orm": "gaz", "pus": "pbt", "que": "quy", "sqi": "als", "swa": "swh", "uzb": "uzn",
    "yid": "ydd",
}  # fmt: skip
# The script of a bare code, where CLDR's likely subtags guess another than FLORES-200 uses.
USUAL_SCRIPTS = {
    "acm": "Arab", "acq": "Arab", "ajp": "Arab", "azb": "Arab", "crh": "Latn", "pbt": "Arab", "tzm": "Tfng",
}  # fmt: skip
SCRIPTS = {"Kore": "Hang"}  # Korean is written in Hangul alone, and so named by FLORES-200
# Languages whose region stands for a script: the region is dropped once the script is known.
REGION_MEANS_SCRIPT = {"zho": {"CN", "SG", "TW"}, "srp": {"RS"}, "pan": {"IN", "PK"}}
# Variants of the IANA registry that are kept. All others are dropped from a code, as `de-1996` is German.
VARIANTS = ("tarask",)
VARIETIES = {"tarask": "Taraškievica", "x-bms": "Banyumasan", "x-simple": "simple", "x-tara": "Tarantino"}
# Codes of Wikipedias that are no tags of BCP 47, or begin with one of a family; what such a code means elsewhere stays.
WIKIPEDIAS = {
    "bat-smg": "sgs", "fiu-vro": "vro", "map-bms": "jav-Latn-x-bms", "roa-rup": "rup", "roa-tara": "nap-Latn-x-tara",
    "zh-classical": "lzh",
}  # fmt: skip
# What codes mean where they are Wikipedias', though elsewhere they mean another language or a group of them.
AMONG_WIKIPEDIAS = {"als": "gsw-Latn", "be-x-old": "bel-Cyrl-tarask", "bh": "bho-Deva", "zh-min-nan": "nan-Latn"}
LONGEST = 60  # characters of a code; what is longer is none
KEPT = 4096  # codes that are remembered, whoever asks for how many


@dataclass(frozen=True, order=True)
class Language:
    """One written language."""

    iso: str  # ISO 639-3
    script: str  # ISO 15924
    region: str = ""  # ISO 3166-1, or nothing; no None, so that languages sort
    variety: str = ""  # one of `VARIANTS`, or a name of one's own behind `x-`

    @classmethod
    def parse(cls, code: str) -> Language:
        """The language that a code means: `en`, `eng_Latn`, `zh-CN`, `sr-Latn`, `pt-BR`, `iw`, `be-tarask`, ….

        A name of one's own (`eng-Latn-x-spoken`) tells two of one language apart; it stands behind the script.

        Raises:
            IsoglossError: it is no code of a language.
        """
        return _parse(code)

    def __str__(self) -> str:
        return "-".join(part for part in (self.iso, self.script, self.region, self.variety) if part)

    @property
    def name(self) -> str:
        """The English name, with script, region and variety where the language is not usually written so."""
        tag = langcodes.Language.get(self.iso)
        name = tag.display_name().removesuffix(" (individual language)")
        usual = Language.parse(self.iso)
        notes = []
        if self.script != usual.script:
            notes.append(langcodes.Language.make(script=self.script).script_name())
        if self.region:
            notes.append(langcodes.Language.make(territory=self.region).territory_name())
        if self.variety:
            notes.append(VARIETIES.get(self.variety, self.variety.removeprefix("x-")))
        return f"{name} ({', '.join(notes)})" if notes else name

    @property
    def family(self) -> str:
        """The top-level family by Glottolog's name; empty where `language_facts.yaml` does not have it."""
        families: dict[str, str] = facts()["families"]
        return next((family for family, members in families.items() if self.iso in members.split()), "")

    @property
    def place(self) -> tuple[float, float] | None:
        """Latitude and longitude, in degrees, of where Glottolog has the language; None where that is not known."""
        return places().get(self.iso)

    @property
    def well_resourced(self) -> bool:
        """Whether CC-100 holds at least 1 GiB of its text (Conneau et al. 2020, appendix A)."""
        return self.iso in facts()["well_resourced"].split()


def distinct(codes: Iterable[str]) -> dict[str, str]:
    """Codes by the canonical form of the language that each means, in order.

    Raises:
        IsoglossError: one is no language, or two that differ mean the same; both are named, and how to tell them apart.
    """
    by_form: dict[str, str] = {}
    for code in codes:
        language = Language.parse(code)
        other = by_form.setdefault(str(language), code)
        if other != code:
            ways = [(str(language), other), (_own_form(language, code), code)]
            if other in AMONG_WIKIPEDIAS:
                ways = [(AMONG_WIKIPEDIAS[other], other), (str(language), code)]
            raise IsoglossError(
                f"{other!r} and {code!r} are both {language} ({language.name}); leave one out, or tell them apart, as "
                f"in {{{', '.join(f'{form}: {theirs}' for form, theirs in ways)}}}"
            )
    return by_form


def _own_form(language: Language, code: str) -> str:
    """A form that tells what a data set calls so from what else it has of the language."""
    if code in AMONG_WIKIPEDIAS:
        return AMONG_WIKIPEDIAS[code]
    parts = [part[:8] for part in re.findall("[a-z0-9]+", code.lower())]
    return f"{language.iso}-{language.script}-x-{'-'.join(parts)}"


@cache
def facts() -> dict[str, Any]:
    """`language_facts.yaml`."""
    contents = yaml.load(Path(str(resources.files("isogloss.languages") / "language_facts.yaml")))
    assert isinstance(contents, dict)
    return contents


@cache
def places() -> dict[str, tuple[float, float]]:
    """Where languages are at home, by ISO 639-3."""
    rows = (row.split() for row in facts()["places"].split(", "))
    return {code: (float(latitude), float(longitude)) for code, latitude, longitude in rows}


@lru_cache(maxsize=KEPT)
def _parse(code: str) -> Language:
    for name in ("_INSTANCES", "_PARSE_CACHE"):
        remembered = getattr(langcodes.Language, name, {})
        if len(remembered) > KEPT:  # all that langcodes was ever asked for, and a service is asked by strangers
            remembered.clear()
    text = code.strip().replace("_", "-")
    text = WIKIPEDIAS.get(text.lower(), text)
    if len(text) > LONGEST or not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]+)*", text):
        raise _no_language(code)
    try:
        tag = langcodes.Language.get(text)
        iso = tag.to_alpha3() if tag.language and tag.is_valid() else None
    except (LanguageTagError, LookupError):
        iso = None
    if iso is None:
        raise _no_language(code)
    if iso in _collections():
        name = langcodes.Language.get(iso).display_name()
        raise IsoglossError(f"{code!r} stands for no one language ({name}); expected the code of one")
    iso = CHOICES.get(iso, iso)
    script = tag.script or USUAL_SCRIPTS.get(iso) or tag.maximize().script
    script = SCRIPTS.get(script or "", script)
    if script is None:
        raise IsoglossError(f"language {code!r}: its script is not known; write it out, such as {iso}-Latn")
    region = "" if tag.territory in REGION_MEANS_SCRIPT.get(iso, ()) else tag.territory or ""
    variety = next((variant for variant in tag.variants or () if variant in VARIANTS), "")
    if tag.private and tag.script:  # else `be-x-old` would not be what it always was
        variety = tag.private
    return Language(iso, script, region, variety)


@cache
def _collections() -> frozenset[str]:
    """Codes that stand for several languages."""
    return frozenset(facts()["collections"].split())


def _no_language(code: str) -> IsoglossError:
    """An unknown code, with the language of that name if it is one."""
    try:
        known = len(code) <= LONGEST and code.isprintable()  # what cannot be printed is no name
        near = str(Language.parse(str(langcodes.find(code)))) if known else ""
    except (LookupError, IsoglossError):
        near = ""
    if not near:
        return unknown("language", code if len(code) <= LONGEST else f"{code[:LONGEST]}…", COMMON.split())
    return IsoglossError(
        f"unknown language {code!r}; did you mean {near!r}? expected a code such as en, eng-Latn, pt-BR"
    )


# Offered as the nearest when a code is mistyped.
COMMON = (
    "af am ar az be bg bn ca cs cy da de el en es et eu fa fi fr ga gl gu ha he hi hr hu hy id ig is it ja jv ka kk km"
    " kn ko ky lo lt lv mk ml mn mr ms my nb ne nl pa pl ps pt qu ro ru si sk sl so sq sr sv sw ta te tg th tl tr uk ur"
    " uz vi xh yo zh zu"
)
