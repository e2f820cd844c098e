"""What the fields of a card have to have in common."""

from __future__ import annotations

import itertools
import posixpath
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from isogloss.data import patterns, split_slices
from isogloss.errors import IsoglossError, unknown
from isogloss.languages.language import Language

if TYPE_CHECKING:
    from isogloss.data.cards import Card
    from isogloss.data.layouts import Only


def check_card(card: Card) -> None:
    """Whether a card means one thing.

    Raises:
        ValueError: it does not; says which field, and how to mend it.
    """
    if not card.name.strip():
        raise ValueError("name is empty; expected what the data set is called")
    _labels(card)
    _columns(card)
    _languages(card)


def _labels(card: Card) -> None:
    by_bare: dict[str, str] = {}
    for label in card.labels:
        if not label.strip():
            raise ValueError("labels: one is empty; expected a text (rows without a label are left out by `drop`)")
        if (other := by_bare.setdefault(unicodedata.normalize("NFC", label.strip()), label)) != label:
            if other.strip() != label.strip():  # which look the same
                raise ValueError(
                    f"labels: {other!a} and {label!a} are the same letters in two of Unicode's normal forms; leave one "
                    "out, which files may write in either"
                )
            raise ValueError(f"labels: {other!r} and {label!r} differ by white space alone; make one of them an alias")
    known = known_labels(card.labels)
    for alias, label in card.aliases.items():
        if label not in known:
            raise ValueError(f"aliases: {alias!r}: {unknown('label', label, known)}")
        other = next((name for name in card.aliases if name != alias and name.strip() == alias.strip()), alias)
        if card.aliases[other] != label:
            raise ValueError(f"aliases: {other!r} and {alias!r} differ by white space alone and mean two labels")


def known_labels(labels: Sequence[str]) -> set[str]:
    """What may be said for a label: itself, or of tags with a prefix, what stands behind it."""
    return {*labels, *(label.partition("-")[2] for label in labels if "-" in label)}


def _columns(card: Card) -> None:
    columns = card.columns
    roles = {name: column for name in ("text", "second", "label") if (column := getattr(columns, name)) is not None}
    for one, other in itertools.combinations(roles, 2):
        if roles[one] == roles[other] and not (card.kind == "tagging" and (one, other) == ("text", "label")):
            raise ValueError(f"columns: {one} and {other} are both {roles[one]!r}; each needs a column of its own")


def _languages(card: Card) -> None:
    try:
        Language.parse(card.source)
    except IsoglossError as error:
        raise ValueError(f"source: {error}") from error
    where: dict[str, str] = {}
    for language, code in card.languages.items():
        if not code.strip():
            raise ValueError(f"languages: {language} has no code; expected what the data set calls it")
        if (other := where.setdefault(code, language)) != language:
            raise ValueError(f"languages: {other} and {language} are both {code!r}; leave one out")
    for layout in card.local:
        codes = card.languages | layout.codes
        if strange := set(layout.codes) - set(card.languages):
            raise ValueError(f"local.codes: {unknown('language', min(strange), card.languages)}")
        for code, part in itertools.product(codes.values(), layout.splits.values()):
            layout.paths(code, split_slices.name(part))
        _told_apart("local.path", layout.path, layout.only or card.only, codes)
    if card.hub is not None:
        _told_apart("hub.config", card.hub.config or "", card.hub.only or card.only, card.languages)


def _told_apart(field: str, pattern: str, only: Only | None, codes_of: Mapping[str, str]) -> None:
    """Two languages must not be the same rows."""
    codes, owner = list(codes_of.values()), dict[str, str]()
    for language, code in codes_of.items():  # `./en` is where `en` is
        filled = posixpath.normpath(patterns.fill(pattern, code=code))
        if (other := owner.setdefault(filled, language)) != language:
            break
    else:
        return
    if only is None and "{code" in pattern:
        raise ValueError(
            f"{field}: {other} and {language} are both {filled!r}; leave one out, or say by `only` which rows are whose"
        )
    if only is None:
        raise ValueError(
            f"{field} has no {{code}}, so that all languages would be the same rows; put it in, or say by `only` which "
            "rows are whose"
        )
    values = sorted(patterns.fill(only.pattern, code=code) for code in codes)
    for one, other in itertools.pairwise(values):
        if one == other:
            raise ValueError(f"only: {only.pattern!r} is {one!r} of more than one language; put {{code}} in")
        if only.begins is not None and other.startswith(one):
            raise ValueError(f"only.begins: what begins with {other!r} begins with {one!r} too; add what follows it")
