"""Whether a card is plain data of a sensible size, before it is looked at as a card."""

from __future__ import annotations

import unicodedata

from isogloss.errors import IsoglossError

MOST_VALUES = 20_000  # of a card, lists and mappings counted as often as they stand in it
DEEPEST = 8
FREE = ("title", "licence", "citation")  # may have several lines


def refuse_wild(raw: object, where: str) -> None:
    """Whether it is plain data of a sensible size: mappings by texts, lists, texts and numbers.

    Raises:
        IsoglossError: it is nested too deep or in itself, too large, or holds what cannot be printed.
    """
    left: list[tuple[object, tuple[str, ...]]] = [(raw, ())]
    count = 0
    while left:
        value, place = left.pop()
        count += 1
        if len(place) > DEEPEST or count > MOST_VALUES:
            raise IsoglossError(f"{where}: {'.'.join(place[:3])} is nested too deep or too large to be part of a card")
        if isinstance(value, dict):
            for key, inner in value.items():
                if isinstance(key, bool) or not isinstance(key, str | int | float) or _huge(key):
                    raise IsoglossError(f"{where}: {'.'.join(place) or 'the card'} has a key that is no text")
                _refuse_unprintable(str(key), f"{where}: {'.'.join(place) or 'a key'}")
                left.append((inner, (*place, str(key))))
        elif isinstance(value, list):
            left += [(inner, (*place, str(number))) for number, inner in enumerate(value)]
        elif _huge(value):
            raise IsoglossError(f"{where}: {'.'.join(place)} is a number of too many digits")
        elif isinstance(value, str):
            _refuse_unprintable(value, f"{where}: {'.'.join(place)}", lines=place[:1] in {(name,) for name in FREE})


def _huge(value: object) -> bool:
    """Whether it is a number that Python itself would not print."""
    return isinstance(value, int) and value.bit_length() > 512  # noqa: PLR2004


def _refuse_unprintable(text: str, where: str, *, lines: bool = False) -> None:
    for character in text:
        odd = unicodedata.category(character) in {"Cc", "Cs"}
        if odd and not (lines and character in "\n\t"):
            raise IsoglossError(
                f"{where} holds the character U+{ord(character):04X}; expected a text that can be printed"
            )
