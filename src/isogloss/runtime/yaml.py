"""YAML 1.2, where `no` is a language and `1e-3` a number; a text of anyone's is read within bounds."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node, ScalarNode
from ruamel.yaml.reader import ReaderError

from isogloss.errors import IsoglossError
from isogloss.runtime.files import read_bytes
from isogloss.runtime.visible import one_line

__all__ = ["YAMLError", "dumps", "load", "loads"]

LARGEST = 2 << 20  # bytes of a file
DEEPEST = 60  # levels
MOST = 200_000  # values, those of an alias counted wherever it stands
DIGITS = 1000  # of a whole number; Python would read one with a million in base 16, and never show it


def load(path: Path) -> Any:
    """The contents of a YAML file.

    Raises:
        IsoglossError: it cannot be read or is not YAML.
    """
    read = read_bytes(path, LARGEST)
    try:
        return loads(read.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise IsoglossError(f"{path} is not UTF-8 (byte {error.start})") from error
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise IsoglossError(f"{path}{line} is not YAML: {one_line(str(problem))}") from error


def loads(text: str) -> Any:
    """The value that a YAML text stands for.

    Raises:
        YAMLError: it stands for none, or for one that is too large or too deep.
    """
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
    except RecursionError:
        raise _wrong(f"it is nested deeper than {DEEPEST} levels") from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        letter = error.character if isinstance(error.character, int) else ord(error.character)
        raise YAMLError(f"line {line} holds U+{letter:04X}, a character that YAML does not allow") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:  # the parser's own, of what it did not expect
        raise YAMLError(one_line(str(error))) from error
    if node is None:
        return None
    _size(node, {}, [])
    try:
        return yaml.constructor.construct_document(node)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise _unreadable(node, error) from error


def dumps(value: Any) -> str:
    """A value as block-style YAML, keys in their order."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = True
    stream = io.StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()


def _children(node: Node) -> list[Node]:
    if isinstance(node, ScalarNode):
        return []
    return [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]


def _size(node: Node, known: dict[int, tuple[int, int]], above: list[int]) -> tuple[int, int]:
    """Values and levels of a node once every alias is what it stands for: a few lines can stand for billions.

    Raises:
        YAMLError: they are too many, too deep or never end, or one is no text or too long a number.
    """
    if id(node) in above:
        raise _wrong("an alias stands within what it is an alias of", node)
    if isinstance(node, ScalarNode) and any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in node.value):
        raise _wrong("a value holds a null character or half of a surrogate pair", node)
    if isinstance(node, ScalarNode) and str(node.tag).endswith(":int") and len(node.value) > DIGITS:
        raise _wrong(f"{node.value[:40]}… is a number of more than {DIGITS:,} digits", node)
    if id(node) not in known:
        below = [_size(child, known, [*above, id(node)]) for child in _children(node)] if len(above) <= DEEPEST else []
        values, levels = 1 + sum(size for size, _ in below), 1 + max((depth for _, depth in below), default=0)
        if values > MOST:
            raise _wrong(f"it holds more than {MOST:,} values", node)
        known[id(node)] = values, levels
    if len(above) + known[id(node)][1] > DEEPEST:
        raise _wrong(f"it is nested deeper than {DEEPEST} levels", node)
    return known[id(node)]


def _unreadable(node: Node, error: Exception) -> YAMLError:
    """The error at the first value that cannot be made, such as a date that is none."""
    if isinstance(node, ScalarNode):
        try:
            YAML(typ="safe", pure=True).constructor.construct_document(node)
        except Exception as own:  # noqa: BLE001 - whatever it is
            shown = node.value if len(node.value) <= 40 else f"{node.value[:40]}…"  # noqa: PLR2004
            reason = one_line(str(own)).split(";")[0]
            return _wrong(f"{shown!r} cannot be read ({reason})", node)
    for child in _children(node):
        found = _unreadable(child, error)
        if isinstance(found, MarkedYAMLError):
            return found
    return YAMLError(one_line(str(error)))


def _wrong(problem: str, node: Node | None = None) -> MarkedYAMLError:
    return MarkedYAMLError(problem=problem, problem_mark=None if node is None else node.start_mark)
