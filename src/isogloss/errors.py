"""Mistakes a user can mend: one clear line, exit code 2, no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class IsoglossError(Exception):
    """A mistake of input. The message says what came, what was expected, and how to mend it."""


class UntoldError(IsoglossError):
    """One that this process has to tell, though it stands beside others of which one speaks for all."""


class MissingError(IsoglossError):
    """Something that may rightly not be there, such as a training split outside the source language."""


class NotApplicableError(IsoglossError):
    """What was asked for says nothing of this: no fault of what came, and others of its kind may be asked."""


@contextmanager
def named(key: str) -> Iterator[None]:
    """While the block runs, an error names the key of the spec that it is of."""
    try:
        yield
    except IsoglossError as error:
        raise type(error)(f"{key}: {error}") from error


def unknown(what: str, came: object, known: Iterable[str]) -> IsoglossError:
    """The error for a name that is not known, with the nearest one that is.

    Args:
        what: the kind of thing, such as `method`.
        came: the name that came.
        known: every name that would have been right.
    """
    names = sorted(known)
    some = 20  # of many names; all would bury the message
    few = 8  # of which all are told, though one of them is near
    near = difflib.get_close_matches(str(came), names, n=1, cutoff=0.5)
    known = "known: " + ", ".join(names[:some]) + (f" (and {len(names) - some} more)" if len(names) > some else "")
    hint = f"did you mean {near[0]!r}?{f' {known}' if len(names) <= few else ''}" if near else known
    return IsoglossError(f"unknown {what} {came!r}; {hint}")


def install(extra: str) -> str:
    """How to install what an extra brings, as an error says it: isogloss is on no package index.

    Args:
        extra: of `pyproject.toml`.
    """
    return f"in a clone of isogloss: pip install '.[{extra}]'"
