"""What users write, as pydantic models: the first mistake in one line that names the key, in words of people's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic_core import ErrorDetails

from isogloss.errors import IsoglossError, unknown

M = TypeVar("M", bound=BaseModel)
SHOWN = 60  # characters of what came
# By pydantic's kind of error; what stands in braces is in the error's context.
EXPECTED = {
    "int_type": "expected a whole number", "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number", "int_parsing_size": "expected a number of fewer digits",
    "float_type": "expected a number", "float_parsing": "expected a number",
    "finite_number": "expected a finite number", "bool_type": "expected true or false",
    "bool_parsing": "expected true or false", "string_type": "expected a text", "path_type": "expected a path",
    "list_type": "expected a list", "dict_type": "expected keys and values", "mapping_type": "expected keys and values",
    "model_type": "expected keys and values such as `{keys}`",
    "model_attributes_type": "expected keys and values such as `{keys}`",
    "literal_error": "expected {expected}", "string_pattern_mismatch": "expected a text of the pattern {pattern}",
    "too_short": "expected at least {min_length}", "too_long": "expected at most {max_length}",
    "string_too_short": "expected at least {min_length} characters",
    "string_too_long": "expected at most {max_length} characters",
    "greater_than": "expected a number greater than {gt:,}",
    "greater_than_equal": "expected a number greater than or equal to {ge:,}",
    "less_than": "expected a number less than {lt:,}",
    "less_than_equal": "expected a number less than or equal to {le:,}", "invalid_key": "expected a text as key",
}  # fmt: skip


class Checked(BaseModel):
    """A model whose numbers are numbers, and no larger than can be meant."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    MOST: ClassVar[float] = 2**63 - 1
    MOST_OF: ClassVar[dict[str, int]] = {}  # of some fields, by name

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: Any, info: Any) -> Any:
        """YAML's `true` and `yes` are no 1."""
        kinds = _kinds(cls.model_fields[str(info.field_name)].annotation)
        values = value if isinstance(value, list | tuple) else [value]
        if kinds & {int, float} and bool not in kinds and any(isinstance(one, bool) for one in values):
            raise ValueError("expected a number")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _not_absurd(cls, value: Any, info: Any) -> Any:
        most = cls.MOST_OF.get(str(info.field_name), cls.MOST)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) > most:
            raise ValueError(f"expected a number less than or equal to {most:,}")
        return value


def as_value_error(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """For a validator: its error is one of the field that it stands at."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except IsoglossError as error:
            raise ValueError(str(error)) from error

    return parsed


def check(model: type[M], raw: Any, *, where: str) -> M:
    """A validated model, or the first mistake in one line.

    Args:
        model: what it should be.
        raw: what came.
        where: names the place in the error.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise mistake(model, error, where=where) from error
    except IsoglossError as error:
        raise IsoglossError(f"{where}: {error}") from error


def mistake(model: type[BaseModel], error: ValidationError, *, where: str) -> IsoglossError:
    """The first mistake that pydantic found, in one line."""
    errors = error.errors()
    of_field = [one for one in errors if one["loc"][:1] == errors[0]["loc"][:1]]
    # Of the branches of a union, the one that came the nearest.
    first = max(of_field, key=lambda one: (len(one["loc"]), one["type"] != "literal_error"))
    if first["type"] == "extra_forbidden":
        told = unknown("key", str(first["loc"][-1])[:SHOWN], _keys(model, first["loc"]))
        return IsoglossError(": ".join(filter(None, [where, _place(first["loc"][:-1]), str(told)])))
    place = _place(first["loc"])
    if first["type"] == "missing":
        field = _model_at(model, first["loc"]).model_fields.get(str(first["loc"][-1]))
        meant = f"; expected {field.description}" if field is not None and field.description else ""
        return IsoglossError(f"{where}: {place} is missing{meant}")
    said = _said(model, first)
    came = _shown(first["input"])
    return IsoglossError(": ".join(filter(None, [where, place, said])) + ("" if came in said else f" (came: {came})"))


def _said(model: type[BaseModel], error: ErrorDetails) -> str:
    if error["type"] in {"value_error", "assertion_error"}:
        return error["msg"].partition(", ")[2]
    known = EXPECTED.get(error["type"])
    if known is None:
        return error["msg"][:1].lower() + error["msg"][1:]
    inner = _model_at(model, (*error["loc"], ""))
    keys = ", ".join(f"{key}: …" for key in list(inner.model_fields)[:1])
    return known.format(keys=keys, **error.get("ctx", {}))


def _place(location: tuple[int | str, ...]) -> str:
    """Keys with dots; pydantic also names the branch of a union that it tried, which is no key."""
    branches = {"int", "float", "str", "bool", "none"}
    parts = [str(part) for part in location]
    return ".".join(
        part for part in parts if "[" not in part and not part.startswith("constrained-") and part not in branches
    )


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python shows no number of so many digits
        return f"a {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _keys(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys that the model at `place` has."""
    return list(_model_at(model, place).model_fields)


def _model_at(model: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that holds the last key of a place."""
    for part in place[:-1]:
        field = model.model_fields.get(str(part))
        inner = [] if field is None else [kind for kind in _kinds(field.annotation) if _is_model(kind)]
        if not inner:
            break
        model = inner[0]
    return model


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _kinds(annotation: Any) -> set[Any]:
    """The types in an annotation."""
    parts = get_args(annotation)
    if not parts:
        return {annotation if isinstance(annotation, type) else type(annotation)}  # of a literal, its type
    return set().union(*(_kinds(part) for part in parts))
