"""YAML 1.2, where `no` is a language and `1e-3` a number."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from isogloss.errors import IsoglossError

__all__ = ["YAMLError", "dumps", "load", "loads"]


def load(path: Path) -> Any:
    """The contents of a YAML file.

    Raises:
        IsoglossError: it cannot be read or is not YAML.
    """
    try:
        return loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise IsoglossError(f"{path} could not be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise IsoglossError(f"{path} is not UTF-8 (byte {error.start})") from error
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise IsoglossError(f"{path}{line} is not YAML: {getattr(error, 'problem', None) or error}") from error


def loads(text: str) -> Any:
    """The value that a YAML text stands for."""
    return YAML(typ="safe", pure=True).load(text)


def dumps(value: Any) -> str:
    """A value as block-style YAML, keys in their order."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = True
    stream = io.StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()
