"""Languages as values: whatever code a data set uses becomes one canonical form, `eng-Latn`.

The canonical form is an ISO 639-3 code and an ISO 15924 script, with a region only where it tells varieties apart
(`por-Latn-BR`). Where ISO has a macrolanguage and its members, the code is the one that FLORES-200 uses (NLLB Team
2022, arXiv 2207.04672, table 1), because that is what most multilingual data sets are named by.
"""

from __future__ import annotations

import re
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


@dataclass(frozen=True, order=True)
class Language:
    """One written language."""

    iso: str  # ISO 639-3
    script: str  # ISO 15924
    region: str = ""  # ISO 3166-1, or nothing; no None, so that languages sort

    @classmethod
    def parse(cls, code: str) -> Language:
        """The language that a code means: `en`, `eng_Latn`, `zh-CN`, `sr-Latn`, `pt-BR`, `iw`, ….

        Raises:
            IsoglossError: it is no code of a language.
        """
        return _parse(code)

    def __str__(self) -> str:
        return f"{self.iso}-{self.script}" + (f"-{self.region}" if self.region else "")

    @property
    def name(self) -> str:
        """The English name, with script and region where the language is not usually written so."""
        tag = langcodes.Language.get(self.iso)
        name = tag.display_name().removesuffix(" (individual language)")
        usual = Language.parse(self.iso)
        notes = []
        if self.script != usual.script:
            notes.append(langcodes.Language.make(script=self.script).script_name())
        if self.region:
            notes.append(langcodes.Language.make(territory=self.region).territory_name())
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


@lru_cache(maxsize=4096)
def _parse(code: str) -> Language:
    text = code.strip().replace("_", "-")
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]+)*", text):
        raise _no_language(code)
    try:
        tag = langcodes.Language.get(text)
        iso = tag.to_alpha3() if tag.language and tag.is_valid() else None
    except (LanguageTagError, LookupError):
        iso = None
    if iso is None:
        raise _no_language(code)
    iso = CHOICES.get(iso, iso)
    script = tag.script or USUAL_SCRIPTS.get(iso) or tag.maximize().script
    script = SCRIPTS.get(script or "", script)
    if script is None:
        raise IsoglossError(f"language {code!r}: its script is not known; write it out, such as {iso}-Latn")
    region = "" if tag.territory in REGION_MEANS_SCRIPT.get(iso, ()) else tag.territory or ""
    return Language(iso, script, region)


def _no_language(code: str) -> IsoglossError:
    """An unknown code, with the language of that name if it is one."""
    try:
        near = str(Language.parse(str(langcodes.find(code))))
    except (LookupError, IsoglossError):
        return unknown("language", code, COMMON.split())
    return IsoglossError(
        f"unknown language {code!r}; did you mean {near!r}? expected a code such as en, eng-Latn, pt-BR"
    )


# Offered as the nearest when a code is mistyped.
COMMON = (
    "af am ar az be bg bn ca cs cy da de el en es et eu fa fi fr ga gl gu ha he hi hr hu hy id ig is it ja jv ka kk km"
    " kn ko ky lo lt lv mk ml mn mr ms my nb ne nl pa pl ps pt qu ro ru si sk sl so sq sr sv sw ta te tg th tl tr uk ur"
    " uz vi xh yo zh zu"
)
