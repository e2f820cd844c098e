"""What is wrong with a card, in a line that a person can follow."""

from __future__ import annotations

import unicodedata
from typing import Any

from pydantic import BaseModel, ValidationError

from isogloss.errors import IsoglossError, unknown

MOST_VALUES = 20_000  # of a card, lists and mappings counted as often as they stand in it
DEEPEST = 8
FREE = ("title", "licence", "citation")  # may have several lines
EXPECTED = {
    "string_type": "a text", "list_type": "a list", "dict_type": "keys and values", "model_type": "keys and values",
    "model_attributes_type": "keys and values", "bool_type": "true or false", "bool_parsing": "true or false",
}  # fmt: skip


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


def first_mistake(error: ValidationError, model: type[BaseModel], raw: Any, where: str) -> IsoglossError:
    """The first of a card's mistakes, with the field it is in and how to mend it.

    Args:
        error: of the card's model.
        model: that model.
        raw: what came.
        where: the file, or the key of the spec.
    """
    first = error.errors()[0]
    place = [part for part in first["loc"] if not str(part).startswith(("[", "function-", "lax-or"))]
    if place[:2] == ["local", 0] and isinstance(raw, dict) and not isinstance(raw.get("local"), list):
        del place[1]
    field = ".".join(map(str, place))
    begin = f"{where}: {field}: " if field else f"{where}: "
    kind = first["type"]
    if kind == "extra_forbidden":
        inner = _model_at(model, first["loc"][:-1])
        return IsoglossError(f"{where}: {unknown('key of a card', field, _paths(inner, place[:-1]))}")
    if kind == "missing":
        inner = _model_at(model, first["loc"][:-1])
        described = inner.model_fields[str(place[-1])].description
        return IsoglossError(f"{where}: {field} is missing" + (f": {described}" if described else ""))
    if kind == "value_error":
        return IsoglossError(f"{begin}{first['ctx']['error']}")
    expected = first["ctx"]["expected"] if kind == "literal_error" else EXPECTED.get(kind)
    if expected is None:
        return IsoglossError(f"{begin}{first['msg']} (came: {shown(first['input'])})")
    return IsoglossError(f"{begin}expected {expected}; came: {shown(first['input'])}")


def shown(value: object) -> str:
    """A value, cut short."""
    text = ascii(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004


def _model_at(model: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that a part of a card is of."""
    for part in place:
        if part in model.model_fields:
            model = next(iter(_models(model.model_fields[str(part)].annotation)), model)
    return model


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models(inner)]


def _paths(model: type[BaseModel], place: list[int | str]) -> list[str]:
    return [".".join(map(str, [*place, name])) for name in model.model_fields]
