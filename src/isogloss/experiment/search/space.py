"""What a search tries: settings by name, each a list of values or an interval on the log scale."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from pydantic import Field
from pydantic_core import to_jsonable_python

from isogloss.errors import IsoglossError, named, unknown
from isogloss.experiment.cells import makes_variants
from isogloss.methods.method import Method
from isogloss.methods.registry import find
from isogloss.runtime.checked import Checked, check

SEARCH, POLICIES = "search", "policies"
BUDGET = 4.0  # trainings
INTERVAL = "{from: 1e-3, to: 1e-1}"
MOST = 256  # candidates: each of them is looked at
DEAREST = 1_000_000  # budget, of trainings; a slip above


class Interval(Checked):
    """From the least to the greatest value, both tried for."""

    WHOLE: ClassVar[bool] = False  # whether what is tried are whole numbers

    least: float = Field(alias="from", gt=0, description="the least value")
    greatest: float = Field(alias="to", gt=0, description="the greatest value")

    def holds(self, value: Any) -> bool:
        """Whether it lies within."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.least <= value <= self.greatest


class WholeInterval(Interval):
    """Of a setting that is a whole number."""

    WHOLE: ClassVar[bool] = True


@dataclass(frozen=True)
class Space:
    """What a search tries of one method of a spec.

    Args:
        name: what the spec calls the method.
        method: the method.
        fixed: settings that the spec gives.
        tried: by setting, the values of a list, or an interval.
        budget: full trainings of one candidate, passes over source dev included, that the search may cost.
        forms: whole candidates by name instead, the slowest first; all are trained to their end.
    """

    name: str
    method: Method[Any, Any]
    fixed: Mapping[str, Any]
    tried: Mapping[str, list[Any] | Interval]
    budget: float
    forms: Mapping[str, Mapping[str, Any]] | None = None

    def asked(self) -> dict[str, Any]:
        """All that decides what is searched, as it is kept: as JSON has it."""
        tried = {
            key: values if isinstance(values, list) else {"from": values.least, "to": values.greatest}
            for key, values in self.tried.items()
        }
        forms = None if self.forms is None else {name: dict(form) for name, form in self.forms.items()}
        asked = {
            "method": self.method.name, "fixed": dict(self.fixed), "tried": tried, "budget": self.budget, "forms": forms
        }  # fmt: skip
        kept: dict[str, Any] = as_kept(asked)
        return kept

    def has(self, candidate: Mapping[str, Any]) -> bool:
        """Whether settings, as JSON has them, are a candidate of this space."""
        if self.forms is not None:
            return candidate in as_kept(list(self.forms.values()))
        return candidate.keys() == self.tried.keys() and all(
            values.holds(candidate[key]) if isinstance(values, Interval) else candidate[key] in as_kept(values)
            for key, values in self.tried.items()
        )


def as_kept(value: Any) -> Any:
    """A value as it comes back from JSON: what is compared with what is kept."""
    return json.loads(json.dumps(to_jsonable_python(value, fallback=str)))


def asks(raw: Mapping[str, Any]) -> bool:
    """Whether a method of a spec leaves settings to a search."""
    return SEARCH in raw or POLICIES in raw


def space_of(name: str, raw: Mapping[str, Any]) -> Space:
    """What is to be tried of a method of a spec that leaves settings to a search.

    Args:
        name: what the spec calls it.
        raw: what stands under it.

    Raises:
        IsoglossError: nothing can be tried so.
    """
    where = f"methods.{name}"
    with named(where):
        method = find(str(raw.get("method", name)))
    if "epochs" not in method.settings.model_fields:
        raise IsoglossError(f"{where}: a {method.name} is not trained here; leave `search` out")
    fixed = {key: value for key, value in raw.items() if key not in {"method", "seeds", SEARCH, POLICIES}}
    if varied := sorted(key for key, value in fixed.items() if makes_variants(method.settings, key, value)):
        raise IsoglossError(
            f"{where}.{varied[0]} is a list, which makes variants, beside a search; expected the list inside `search`, "
            "or one value"
        )
    if POLICIES in raw:
        return _forms(name, raw, method, fixed)
    wanted = raw[SEARCH]
    if wanted is not None and wanted != "auto" and not isinstance(wanted, Mapping):
        raise IsoglossError(
            f"{where}.search is {wanted!r:.60}; expected auto, or settings with lists or intervals to try, such as "
            "{lr: {from: 1e-3, to: 1e-1}, length: [4, 16], budget: 4}"
        )
    given = dict(wanted) if isinstance(wanted, Mapping) else {}
    budget = _budget(where, given.pop("budget", BUDGET))
    if not given:
        without = {"head_lr"} if fixed.get("head") == "verbalizer" else set()  # which has no head that learns
        given = {
            key: values for key, values in method.settings.SEARCHED.items()
            if key not in without and not _is_fixed(method, key, fixed)
        }  # fmt: skip
        if not given:
            raise IsoglossError(
                f"{where}.search: there is nothing to search for {method.name}"
                f"{' that is not given' if method.settings.SEARCHED else ''}; leave `search` out"
            )
    tried = {key: _values(f"{where}.search", method, key, values, fixed) for key, values in given.items()}
    return Space(name, method, fixed, tried, budget)


def _forms(name: str, raw: Mapping[str, Any], method: Method[Any, Any], fixed: Mapping[str, Any]) -> Space:
    """The forms among which a method's own policies are chosen."""
    where, forms = f"methods.{name}", method.settings.FORMS
    if not forms:
        raise IsoglossError(f"{where}: there are no `policies` of {method.name}; leave them out, or take slow-fast")
    if SEARCH in raw:
        raise IsoglossError(f"{where} has `search` and `policies`; expected one of them")
    if raw[POLICIES] != "auto":
        raise IsoglossError(f"{where}.policies is {raw[POLICIES]!r:.60}; expected auto, or each policy's own setting")
    if twice := sorted({key for form in forms.values() for key in form} & fixed.keys()):
        raise IsoglossError(f"{where}: `policies: auto` sets {twice[0]}; expected one of them")
    return Space(name, method, fixed, {}, float(len(forms)), forms)


def _budget(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= DEAREST:
        raise IsoglossError(
            f"{where}.search.budget is {value!r:.60}; expected how many full trainings it may cost, 1 to {DEAREST:,}"
        )
    return float(value)


def _is_fixed(method: Method[Any, Any], key: str, fixed: Mapping[str, Any]) -> bool:
    fields = {field for name in fixed for field in method.settings.SHORTHANDS.get(name, (name,))}
    return not fields.isdisjoint(method.settings.SHORTHANDS.get(key, (key,)))


def _values(
    where: str, method: Method[Any, Any], key: str, values: Any, fixed: Mapping[str, Any]
) -> list[Any] | Interval:
    """The values of one setting that are tried."""
    settings = method.settings
    known = (settings.model_fields.keys() | settings.SHORTHANDS.keys()) - settings.FILLED_IN - {"average"}
    if key not in known:
        raise IsoglossError(f"{where}: {unknown('key', str(key)[:60], [*known, 'budget'])}")
    if _is_fixed(method, key, fixed):
        raise IsoglossError(f"{where}.{key} is given beside `search` as well; expected it once")
    if isinstance(values, Mapping):
        if values.keys() != {"from", "to"}:
            raise IsoglossError(f"{where}.{key} is {dict(values)!r:.60}; expected an interval such as {INTERVAL}")
        field = settings.SHORTHANDS.get(key, (key,))[0]
        kinds = {settings.model_fields[field].annotation, *get_args(settings.model_fields[field].annotation)}
        kind = WholeInterval if int in kinds and float not in kinds else Interval
        interval = check(kind, dict(values), where=f"{where}.{key}")
        if interval.least >= interval.greatest:
            raise IsoglossError(
                f"{where}.{key} goes from {interval.least:g} to {interval.greatest:g}; expected it to rise"
            )
        for bound in (interval.least, interval.greatest):
            check(settings, {**fixed, key: bound}, where=f"{where}")
        return interval
    if not isinstance(values, list) or not values:
        raise IsoglossError(
            f"{where}.{key} is {values!r:.60}; expected a list of values, or an interval such as {INTERVAL}"
        )
    if len({repr(value) for value in values}) < len(values):
        raise IsoglossError(f"{where}.{key} names a value twice; expected each once")
    for value in values:
        check(settings, {**fixed, key: value}, where=f"{where}")
    return list(values)
