"""Groups of languages by name: `family:Uralic`, `script:Cyrl`, `low-resource`."""

from __future__ import annotations

from collections.abc import Iterable

from isogloss.errors import IsoglossError, unknown
from isogloss.languages.language import Language, facts

LOW_RESOURCE = "low-resource"
KINDS = ("family", "script")


def is_group(text: str) -> bool:
    """Whether it names a group, not a language."""
    return ":" in text or text == LOW_RESOURCE


def check(text: str) -> str:
    """The group's name in its usual spelling.

    Raises:
        IsoglossError: there is no such group.
    """
    if text == LOW_RESOURCE:
        return text
    kind, _, name = text.partition(":")
    if kind not in KINDS:
        raise unknown("group of languages", text, [LOW_RESOURCE, *(f"{known}:…" for known in KINDS)])
    if kind == "script":
        if len(name) != 4 or not name.isalpha():  # noqa: PLR2004 - ISO 15924
            raise IsoglossError(f"{text!r} names no script; expected an ISO 15924 code, such as script:Cyrl")
        return f"{kind}:{name.title()}"
    families = {known.casefold(): known for known in facts()["families"]}
    if name.casefold() not in families:
        raise unknown("family", name, families.values())
    return f"{kind}:{families[name.casefold()]}"


def members(group: str, languages: Iterable[Language]) -> list[Language]:
    """The languages that belong to a group, in order."""
    kind, _, name = group.partition(":")
    if kind == LOW_RESOURCE:
        return [language for language in languages if not language.well_resourced]
    return [language for language in languages if getattr(language, kind) == name]
