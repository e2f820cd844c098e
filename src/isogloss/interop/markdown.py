r"""Text of others in Markdown: whatever a label or a language is called, it stands there as text and does nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from isogloss.runtime.visible import one_line, visible

# What means something inside a line or a table's cell, in CommonMark, in GitHub's and in the hub's Markdown: HTML,
# links, emphasis, code, cells, mathematics, mentions, emoji by name, and what makes links of bare addresses.
_MEANS_SOMETHING = re.compile(r"[\\`*_\[\]<>|&#~$!@{}^:]|(?<=www)\.", re.IGNORECASE)
_BEGINS_SOMETHING = re.compile(r"[-+=]|\d{1,9}(?=[.)](\s|$))")  # at the begin of a line: a list, a rule, a heading


class Written(str):
    """What is Markdown already, of ours."""

    __slots__ = ()


def escaped(value: Any) -> Written:
    """A value as text on one line, without any meaning in Markdown.

    Args:
        value: of anyone's; what is `Written` already stays.
    """
    if isinstance(value, Written):
        return value
    text = _MEANS_SOMETHING.sub(lambda found: f"\\{found[0]}", one_line(str(value)))
    if (found := _BEGINS_SOMETHING.match(text)) is not None:
        at = found.end() if found[0].isdigit() else 0
        text = f"{text[:at]}\\{text[at:]}"
    return Written(text)


def joined(values: Iterable[Any], between: str = ", ") -> Written:
    """Several values, each escaped."""
    return Written(between.join(escaped(value) for value in values))


def fenced(code: str, language: str = "") -> Written:
    """Code as a block that nothing in it can end."""
    text = visible(code).rstrip()
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Written(f"{fence}{language}\n{text}\n{fence}")


def setting(value: Any) -> str:
    """A setting's value as a spec would have it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
