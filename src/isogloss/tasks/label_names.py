"""Which class of a model is which label of a data set: by their names, never by their numbers."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isogloss.errors import IsoglossError, unknown
from isogloss.runtime.visible import one_line

NAMELESS = re.compile(r"LABEL_\d+")  # as transformers calls classes of which nothing is known
SHOWN = 12  # names that a line has room for


@dataclass(frozen=True)
class LabelMatch:
    """The classes of a model, held against the labels of a data set.

    Args:
        rows: the number of each label's class among the model's, in the order of the labels.
        said: what a user has to know of it, a line each.
    """

    rows: list[int]
    said: list[str]


def match_labels(names: Sequence[str], labels: Sequence[str], given: Mapping[str, str]) -> LabelMatch:
    """Find the class of each label: as it is given, else of the same name, else of a name alike.

    Names are alike that differ in case and in what is neither letter nor digit, where no other is alike too. Classes
    that the data set has no label for are left out: they are never predicted.

    Args:
        names: of the model's classes, by number.
        labels: of the data set.
        given: labels by the model's names, as the user says.

    Raises:
        IsoglossError: a label has no class, or two; or a name is none.
    """
    _check(names, labels, given)
    found: dict[str, int] = {}
    for number, name in enumerate(names):
        if name in given:
            _take(found, given[name], number, names)
    for number, name in enumerate(names):
        if name not in given and name in labels:
            _take(found, name, number, names)
    alike = _alike(names, [label for label in labels if label not in found], set(found.values()))
    found |= {label: number for label, number in alike.items() if label not in found}
    if lacking := [label for label in labels if label not in found]:
        raise _missing(names, labels, lacking)
    said = []
    if alike:
        pairs = ", ".join(f"{names[number]} is {label}" for label, number in alike.items())
        said.append(f"classes are taken for labels of names alike: {pairs}")
    if extra := [name for number, name in enumerate(names) if number not in found.values()]:
        said.append(
            f"{len(extra)} of its {len(names)} classes {'is no label' if len(extra) == 1 else 'are no labels'} of the "
            f"data and never predicted: {_some(extra)}"
        )
    return LabelMatch([found[label] for label in labels], said)


def _check(names: Sequence[str], labels: Sequence[str], given: Mapping[str, str]) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise IsoglossError(f"two of its classes are called {twice[0]!r:.80}; expected names of their own")
    for name, label in given.items():
        if name not in names:
            raise unknown("class in labels", name, names)
        if label not in labels:
            raise unknown(f"label in labels.{name:.40}", label, labels)


def _take(found: dict[str, int], label: str, number: int, names: Sequence[str]) -> None:
    if label in found:
        raise IsoglossError(
            f"two of its classes are to be {label!r:.80}: {names[found[label]]!r:.80} and {names[number]!r:.80}; "
            "expected one class for each label"
        )
    found[label] = number


def _alike(names: Sequence[str], lacking: Sequence[str], taken: set[int]) -> dict[str, int]:
    """The classes of labels that nothing is called exactly, where it can be only one."""
    free: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        if number not in taken:
            free.setdefault(_plain(name), []).append(number)
    counts = Counter(map(_plain, lacking))
    return {
        label: free[plain][0]
        for label in lacking
        if (plain := _plain(label)) and counts[plain] == 1 and len(free.get(plain, [])) == 1
    }


def _plain(name: str) -> str:
    """Its letters, their marks and digits, in one case."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in folded if unicodedata.category(letter)[0] in "LMN")


def _missing(names: Sequence[str], labels: Sequence[str], lacking: Sequence[str]) -> IsoglossError:
    name, label = (one_line(one)[:40] for one in (next(iter(names), "ITS_NAME"), lacking[0]))
    example = f"labels: {{{name}: {label}, …}}"
    if names and all(NAMELESS.fullmatch(name) for name in names):
        return IsoglossError(
            f"its {len(names)} classes are called {_some(names)}, which says nothing of {_some(labels)}; "
            f"say it in the method's settings, as they were numbered in training, such as `{example}`"
        )
    return IsoglossError(
        f"it has no class for {_some(lacking)}, only {_some(names)}; if it calls them otherwise, say so in the "
        f"method's settings, such as `{example}`"
    )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"{one_line(name):.40}" for name in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
