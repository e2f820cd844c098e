"""Slots of a sentence as tags of its words: from spans of characters to BIO."""

from __future__ import annotations

import regex

from isogloss.errors import IsoglossError

# Scripts that set no spaces between words: each of their letters, with its marks, is a word.
SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
WORD = regex.compile(
    rf"[{SPACELESS}--\p{{M}}]\p{{M}}*"
    rf"|[[\p{{L}}\p{{M}}\p{{N}}]--[{SPACELESS}]]+(?:['\u2019\-][[\p{{L}}\p{{M}}\p{{N}}]--[{SPACELESS}]]+)*"
    r"|\S",
    regex.VERSION1,
)
SLOT = regex.compile(r"\[([^\[\]:]+):([^\[\]]*)\]")

SlotSpan = tuple[int, int, str]  # first character, the one behind the last, slot


def tagged(text: str, spans: list[SlotSpan]) -> tuple[list[str], list[str]]:
    """The words of a text and their tags.

    A word belongs to a slot if it shares a character with it, so that endings stay with their words.

    Args:
        text: a sentence.
        spans: its slots, none over another.
    """
    words, tags, last = [], [], None
    for match in WORD.finditer(text):
        inside = next((span for span in spans if span[0] < match.end() and match.start() < span[1]), None)
        words.append(match.group())
        tags.append("O" if inside is None else f"{'I' if inside == last else 'B'}-{inside[2]}")
        last = inside
    return words, tags


def annotated(text: str, where: str) -> tuple[str, list[SlotSpan]]:
    """A text and its slots, from MASSIVE's notation: `wake me at [time : five am]`.

    Raises:
        IsoglossError: brackets do not match (`where` is named).
    """
    plain, spans, at = "", [], 0
    for match in SLOT.finditer(text):
        plain += text[at : match.start()]
        slot, words = match.group(1).strip(), match.group(2).strip()
        spans.append((len(plain), len(plain) + len(words), slot))
        plain += words
        at = match.end()
    plain += text[at:]
    if "[" in plain or "]" in plain:
        raise IsoglossError(f"{where}: brackets do not match in {text[:200]!r}; expected [slot : words]")
    if not all(slot for _, _, slot in spans):
        raise IsoglossError(f"{where}: a slot has no name in {text[:200]!r}; expected [slot : words]")
    return plain, spans
