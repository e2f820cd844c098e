"""What is to be labelled, before any of it is: whether each is the text, or the texts, that a model was trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

from isogloss.errors import IsoglossError

SHOWN = 60  # characters of a text in an error


def parts_of(text: Any, where: str, inputs: Sequence[str]) -> list[str]:
    """The parts of an example, each with something in it.

    Args:
        text: a text; of pairs and of questions the two texts, with a tab between or in a list.
        where: what an error calls it.
        inputs: what an example consists of.

    Raises:
        IsoglossError: it is empty, no text, or has not as many parts.
    """
    parts: list[Any] = list(text) if isinstance(text, list | tuple) else [text]
    if isinstance(text, str) and len(inputs) > 1:
        parts = text.split("\t")
    for part in parts:
        if not isinstance(part, str):
            raise IsoglossError(f"{where} is {type(part).__name__}; expected a text")
        if not writable(part):
            raise IsoglossError(f"{where} is no text that can be written as UTF-8: {part[:SHOWN]!a}")
    parts = [str(part) for part in parts]  # NumPy's texts are of a type of their own
    if parts and not any(part.strip() for part in parts):
        raise IsoglossError(f"{where} is empty; expected a text")
    if len(parts) != len(inputs) or not all(part.strip() for part in parts):
        between = " with a tab between" if len(inputs) > 1 else ""
        raise IsoglossError(f"{where} is not a {' and a '.join(inputs)}{between}: {str(text)[:SHOWN]!r}")
    return parts


def writable(text: str) -> bool:
    """Whether it is whole: half of a surrogate pair is no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_threshold(threshold: Any) -> None:
    """Whether it is a probability that an answer may have to reach.

    Raises:
        IsoglossError: it is not.
    """
    if threshold is None:
        return
    number = isinstance(threshold, Real) and not isinstance(threshold, bool)
    if not number or math.isnan(threshold) or not 0 <= threshold <= 1:
        raise IsoglossError(f"threshold is {threshold!r}; expected a number from 0 to 1, such as 0.5")


def no_classes(inputs: Sequence[str]) -> IsoglossError:
    """The error of asking for the probability of every class where there are none.

    Args:
        inputs: what an example consists of.
    """
    return IsoglossError(
        f"scores of all classes are of classification and tagging; the answer to a {' and a '.join(inputs)} is a part "
        "of the text, so leave them out"
    )
