"""Draw sentences from hassil's templates, one at a time, with the spans of their slots.

hassil can enumerate a template; some have millions of sentences. Here each choice is drawn from a hash of a key, so
that the same key gives the same sentence on every machine and in every version of Python.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hassil.expression import Alternative, Expression, Group, ListReference, Permutation, RuleReference, TextChunk
from hassil.parse_expression import parse_sentence
from hassil.parser import ParseError

TIGHT = frozenset(",.!?;:%\u3002\uff0c\uff1f\uff01\u3001")  # no space stands before these


class Undrawable(Exception):  # noqa: N818 - a template's property, not a failure
    """The template asks for a list or rule that nobody gives, or does not parse."""


class KeyedChoices:
    """A stream of choices that a key decides."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.count = 0

    def below(self, size: int) -> int:
        """A number from 0 to `size` - 1."""
        self.count += 1
        digest = hashlib.sha256(f"{self.key}/{self.count}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % size


@dataclass(frozen=True)
class SlotSpan:
    """Characters `start` to `end` of a sentence fill a slot."""

    start: int
    end: int
    slot: str


@dataclass(frozen=True)
class DrawnSentence:
    """A sentence and its slots, none inside another."""

    text: str
    spans: tuple[SlotSpan, ...]


@dataclass(frozen=True)
class Grammar:
    """What templates refer to: lists by name, as Home Assistant writes them, and expansion rules."""

    lists: Mapping[str, Mapping[str, Any]]
    rules: Mapping[str, str]

    def draw(self, template: str, key: str) -> DrawnSentence:
        """The sentence that a key draws from a template.

        Raises:
            Undrawable: it refers to what is not there.
        """
        pieces: list[tuple[str, str | None]] = []
        self._expand(parse(template), KeyedChoices(key), None, pieces)
        return _join(pieces)

    def _expand(
        self, part: Expression, choices: KeyedChoices, slot: str | None, pieces: list[tuple[str, str | None]]
    ) -> None:
        """Append the text that a part becomes; `slot` is the outermost slot around it."""
        if isinstance(part, TextChunk):
            pieces.append((part.original_text, slot))
        elif isinstance(part, Alternative):
            self._expand(part.items[choices.below(len(part.items))], choices, slot, pieces)
        elif isinstance(part, Permutation):
            left = list(part.items)
            while left:
                self._expand(left.pop(choices.below(len(left))), choices, slot, pieces)
                pieces.append((" ", slot))
        elif isinstance(part, Group):
            for item in part.items:
                self._expand(item, choices, slot, pieces)
        elif isinstance(part, RuleReference):
            if part.rule_name not in self.rules:
                raise Undrawable(f"<{part.rule_name}>")
            self._expand(parse(self.rules[part.rule_name]), choices, slot, pieces)
        elif isinstance(part, ListReference):
            self._fill(part, choices, slot, pieces)
        else:
            raise Undrawable(type(part).__name__)

    def _fill(
        self, part: ListReference, choices: KeyedChoices, slot: str | None, pieces: list[tuple[str, str | None]]
    ) -> None:
        # Each filling of a slot gets a name of its own here, so that two neighbours stay two spans.
        name = slot or f"{part.slot_name}#{choices.count}"
        if (bounds := part.get_inline_range()) is not None:
            start, stop, step = bounds
            pieces.append((str(start + step * choices.below((stop - start) // step + 1)), name))
            return
        entry = self.lists.get(part.list_name)
        if entry is None:
            raise Undrawable(f"{{{part.list_name}}}")
        if "range" in entry:
            start, step = int(entry["range"]["from"]), int(entry["range"].get("step", 1))
            count = (int(entry["range"]["to"]) - start) // step + 1
            pieces.append((str(start + step * choices.below(count)), name))
        elif values := entry.get("values"):
            value = values[choices.below(len(values))]
            self._expand(parse(str(value["in"] if isinstance(value, Mapping) else value)), choices, name, pieces)
        else:
            raise Undrawable(f"{{{part.list_name}}}")


_PARSED: dict[str, Expression] = {}


def parse(template: str) -> Expression:
    """A template's expression; parsed once."""
    if template not in _PARSED:
        try:
            _PARSED[template] = parse_sentence(template).expression
        except ParseError as error:
            raise Undrawable(str(error)) from error
    return _PARSED[template]


def _join(pieces: Sequence[tuple[str, str | None]]) -> DrawnSentence:
    """Put pieces together, white space made single, and find where their slots have come to stand."""
    characters: list[tuple[str, str | None]] = []
    for text, slot in pieces:
        for character in text:
            if character.isspace():
                if characters and characters[-1][0] != " ":
                    characters.append((" ", slot))
                continue
            if character in TIGHT and characters and characters[-1][0] == " ":
                characters.pop()
            characters.append((character, slot))
    while characters and characters[-1][0] == " ":
        characters.pop()
    text = "".join(character for character, _ in characters)
    spans = []
    start = 0
    for end in range(1, len(characters) + 1):
        slot = characters[start][1]
        if end == len(characters) or characters[end][1] != slot:
            inside = text[start:end]
            if slot is not None and inside.strip():
                left = start + len(inside) - len(inside.lstrip())
                spans.append(SlotSpan(left, left + len(inside.strip()), slot.split("#")[0]))
            start = end
    return DrawnSentence(text, tuple(spans))
