"""JSON files that isogloss has written and anybody may have changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from isogloss.errors import IsoglossError
from isogloss.runtime.files import read_bytes


def load(file: Path) -> Any:
    """The contents of a JSON file.

    Raises:
        MissingError: there is none.
        IsoglossError: it cannot be read or is not JSON.
    """
    try:
        return json.loads(read_bytes(file))
    except (ValueError, RecursionError) as error:
        raise IsoglossError(f"{file} is not JSON: {error}") from error


def load_mapping(file: Path) -> dict[str, Any]:
    """Its keys and values; none where it is gone, damaged or something else."""
    try:
        value = load(file)
    except IsoglossError:
        return {}
    return value if isinstance(value, dict) else {}
