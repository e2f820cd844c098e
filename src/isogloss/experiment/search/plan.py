"""The searches that a spec asks for, before they are carried out: what is tried, and what is kept of them already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isogloss.errors import IsoglossError
from isogloss.experiment.provenance import difference
from isogloss.experiment.search import record as records
from isogloss.experiment.search.candidates import candidates
from isogloss.experiment.search.record import SearchRecord
from isogloss.experiment.search.space import POLICIES, SEARCH, Interval, Space, as_kept, asks, space_of
from isogloss.runtime.visible import one_line
from isogloss.spec import Spec


def spaces(spec: Spec) -> dict[str, Space]:
    """What is to be searched, by method of the spec.

    Raises:
        IsoglossError: something cannot be searched so.
    """
    return {name: space_of(name, raw) for name, raw in spec.methods.items() if asks(raw)}


@dataclass(frozen=True)
class PlannedSearch:
    """A search that may be done, or is still to be made.

    Args:
        space: what is tried.
        count: of candidates.
        record: what is kept of it; None: nothing.
        settings: that it has chosen; of the first candidate where it has not yet.
    """

    space: Space
    count: int
    record: SearchRecord | None
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        """In a line, for people."""
        name, space = self.space.name, self.space
        if self.record is not None and self.record.chosen is not None:
            return f"{name}: {self.record.sentence()}"
        what, price = ", ".join(space.forms or space.tried), min(space.budget, self.count)
        # Of points in intervals, fewer where trainings are short.
        most = "at most " if any(isinstance(values, Interval) for values in space.tried.values()) else ""
        return (
            f"{name}: {most}{self.count} candidates in {what}, for the price of at most {price:g} trainings; below "
            "stands the first"
        )


def planned(spec: Spec, out: Path) -> list[PlannedSearch]:
    """The searches of a spec, none of which is carried out.

    Raises:
        IsoglossError: something cannot be searched so, or another search is kept in the directory.
    """
    plans = []
    for space in spaces(spec).values():
        made, record = candidates(space), kept(space, out)
        chosen = 0 if record is None or record.chosen is None else record.chosen
        plans.append(PlannedSearch(space, len(made), record, (made if record is None else record.candidates)[chosen]))
    return plans


def kept(space: Space, out: Path) -> SearchRecord | None:
    """What a run directory holds of a search.

    Raises:
        IsoglossError: it is another search, or damaged.
    """
    record = records.read(out, space.name)
    if record is not None and (changes := difference(record.asked.model_dump(mode="json"), space.asked())):
        where, what = records.folder(out, space.name), one_line("; ".join(changes))
        raise IsoglossError(
            f"{where} holds another search ({what}); choose another --out or another name for the "
            "method, or delete that folder to search anew"
        )
    if record is not None and (strange := [one for one in record.candidates if not space.has(one)]):
        raise IsoglossError(
            f"{records.folder(out, space.name)} holds a candidate that is none of the search's ({strange[0]!r:.80}); "
            "delete that folder to search anew"
        )
    return record


def refuse_stale(spec: Spec, out: Path, facts: Mapping[str, Any]) -> None:
    """Refuse what a search chose on other data or another backbone than the experiment has now.

    Args:
        spec: that asks for searches; of those that are not begun yet there is nothing to refuse.
        out: the run directory.
        facts: what decides the result of every cell alike.

    Raises:
        IsoglossError: something has changed since.
    """
    now = as_kept(facts)
    for space in spaces(spec).values():
        then = {} if (record := kept(space, out)) is None else record.facts
        both = then.keys() & now.keys()
        refuse_made_differently(
            records.folder(out, space.name), {key: then[key] for key in both}, {key: now[key] for key in both}
        )


def refuse_made_differently(folder: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to go on with a search, or to use what it chose, where what decides its results has changed.

    Raises:
        IsoglossError: it has.
    """
    if changes := difference(then, now):
        raise IsoglossError(
            f"{folder} holds a search that was made differently ({one_line('; '.join(changes))}); choose another "
            "--out, or delete that folder to search anew"
        )


def with_settings(spec: Spec, chosen: Mapping[str, Mapping[str, Any]]) -> Spec:
    """The spec with settings in the place of searches."""
    methods = {
        name: raw if name not in chosen else
        {**{key: value for key, value in raw.items() if key not in {SEARCH, POLICIES}}, **chosen[name]}
        for name, raw in spec.methods.items()
    }  # fmt: skip
    return spec.model_copy(update={"methods": methods})
