"""What is given from Python, checked: types are not, where nobody asks a type checker."""

from __future__ import annotations

import math
from numbers import Integral, Real
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from isogloss.errors import IsoglossError
from isogloss.runtime.files import given_path

PERCENT = 100


def as_path(given: Any, what: str = "run directory") -> Path:
    """A path; an empty one would be the folder that one happens to be in."""
    if not isinstance(given, str | PathLike) or not isinstance(text := fspath(given), str):
        raise IsoglossError(f"{what} is {type(given).__name__}; expected a path")
    if not text.strip() or "\0" in text:
        raise IsoglossError(f"{what} is {text!r}; expected a path")
    return given_path(text)


def check_cell(method: Any, seed: Any) -> None:
    """A method's label and a seed, or none."""
    if method is not None and not isinstance(method, str):
        raise IsoglossError(f"method is {method!r}; expected the label of one, such as 'soft-prompt'")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, Integral)):
        raise IsoglossError(f"seed is {seed!r}; expected a whole number")


def as_number(given: Any, what: str) -> int:
    """A whole number."""
    if isinstance(given, bool) or not isinstance(given, Integral):
        raise IsoglossError(f"{what} is {given!r}; expected a whole number")
    return int(given)


def as_truth(given: Any, what: str) -> bool:
    """True or False, and nothing that could be taken for either."""
    if not isinstance(given, bool):
        raise IsoglossError(f"{what} is {given!r}; expected True or False")
    return given


def as_fraction(given: Any, what: str) -> float | None:
    """A score as tables have it, never a percentage; or none."""
    if given is None:
        return None
    number = float(given) if isinstance(given, Real) and not isinstance(given, bool) else math.nan
    if not 0 < number < 1:
        meant = f"; {number:g} % is {number / PERCENT:g}" if 1 < number < PERCENT else ""
        came = given if math.isnan(number) else f"{number:g}"
        raise IsoglossError(f"{what} is {came}; expected a fraction between 0 and 1, such as 0.8{meant}")
    return number


def as_reference(given: Any) -> str | None:
    """A method's label, or none."""
    if given is not None and not isinstance(given, str):
        raise IsoglossError(f"reference is {given!r}; expected the label of a method")
    return given
