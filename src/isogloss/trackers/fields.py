"""What a spec says of trackers, checked at the door."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from isogloss.errors import IsoglossError
from isogloss.trackers.registry import settings_of


def _named(value: object) -> object:
    """Trackers may be listed by their names alone: `[mlflow]`, `mlflow`."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: {} for name in value}
    return {name: {} if given is None else given for name, given in value.items()} if isinstance(value, dict) else value


def _known(named: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    try:
        settings_of(named)
    except IsoglossError as error:
        raise ValueError(str(error)) from error
    return named


Trackers = Annotated[dict[str, dict[str, Any]], BeforeValidator(_named), AfterValidator(_known)]
