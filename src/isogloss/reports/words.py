"""The words of a report's tables: what columns and values are called for a reader, and where a line may break."""

from __future__ import annotations

import re
from collections.abc import Iterable

from markupsafe import Markup, escape

from isogloss.errors import IsoglossError
from isogloss.languages.language import Language
from isogloss.runtime.visible import visible

HEADS = {  # of columns whose names are for programs; of others underscores are blanks
    "one": "method", "other": "over", "scope": "of", "p_holm": "p, corrected", "p_items": "p of these models",
    "p_items_holm": "p of these models, corrected", "n": "count", "onset": "gap opens at", "learnt": "source learnt at",
    "growth": "gap grows by", "mae": "error", "baseline_mae": "error of the mean", "better": "better than the mean",
    "coverage": "in its interval", "width": "width of the interval", "ttr": "type-token ratio", "oov": "unknown tokens",
    "inside": "in the group", "outside": "outside it", "n_inside": "languages in it", "n_outside": "languages outside",
    "variance": "share of the states' variance", "faithful": "gives the model's answer",
}  # fmt: skip
VALUES = {"scope": {"target": "mean target", "language": "one language"}}
P_VALUES = {"p", "p_holm", "p_items", "p_items_holm"}
NOISE = 1e-12  # a number nearer to 0 is what rounding left
_CODE = re.compile(r"`([^`]+)`")
_BREAK = re.compile(r"(?<=\w\[)(?=\S)|(?<=\S[,/])(?=[^\s\d])")  # between settings, and never within a number
_HELD = re.compile(r"(?<=[±,]) (?=[-+\d])")


def head(column: str) -> str:
    """What a column is called."""
    return HEADS.get(column, column.replace("_", " "))


def language_names(codes: Iterable[object]) -> dict[object, str]:
    """What languages are called by their codes; one whose name another has, or that has none, by its code."""
    names: dict[object, str] = {}
    for code in codes:
        try:
            names[code] = Language.parse(str(code)).name
        except IsoglossError:
            names[code] = str(code)
    called = list(names.values())
    return {code: name if called.count(name) == 1 else str(code) for code, name in names.items()}


def told(text: str) -> Markup:
    """A sentence in HTML: what stands between backticks is code, and all else is text."""
    parts = _CODE.split(visible(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


def broken(text: str) -> Markup:
    """A name or a number in HTML, with the places where a narrow column may go on in the next line."""
    held = _HELD.sub("\N{NO-BREAK SPACE}", visible(text))  # an interval, or a deviation and its sign, stay together
    return Markup("<wbr>").join(escape(part) for part in _BREAK.split(held))
