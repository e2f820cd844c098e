"""Scores as fractions from 0 to 1: pure functions of what was right and what was predicted."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np


def accuracy(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Share of labels that were predicted."""
    return float((np.asarray(gold) == np.asarray(predicted)).mean())


def macro_f1(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """F1 of each class that occurs in gold or prediction, averaged over those classes."""
    golds, predictions = np.asarray(gold), np.asarray(predicted)
    scores = []
    for label in np.union1d(golds, predictions):
        hit = int(((golds == label) & (predictions == label)).sum())
        scores.append(2 * hit / (int((golds == label).sum()) + int((predictions == label).sum())))
    return float(np.mean(scores))


def span_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """F1 of whole spans: begin, end and type have to be right (conlleval, Tjong Kim Sang and Buchholz 2000).

    Tags are `B-PER`, `I-PER`, `O` and the like, of BIO, IOB, BIOES or BILOU. Of a bare part of speech such as `NOUN`
    the first letter counts as the prefix and the rest as the type, as conlleval and seqeval read it and XTREME
    publishes it; other bare tags are refused where a card asks for this score. Without any span the score is 0, as
    theirs.
    """
    # One sequence with `O` between sentences, as theirs: a bare one-letter tag at the end reaches over.
    golds, predictions = (set(spans([tag for tags in side for tag in (*tags, "O")])) for side in (gold, predicted))
    hit = len(golds & predictions)
    return 2 * hit / (len(golds) + len(predictions)) if golds or predictions else 0.0


def spans(tags: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Begin, end (inclusive) and type of every span of a sentence, by conlleval's rules.

    A malformed sequence is read, not mended. As in conlleval and seqeval, a bare tag of one letter (`X` of UD) has no
    type of its own: at the end of a sentence or before `O` it is no span. `L-` and `U-` of BILOU are read as `E-` and
    `S-`, and nothing but `O` itself is outside.
    """
    before, kind_before, begin = "O", "", 0
    for index, tag in enumerate([*tags, "O"]):
        prefix, kind = _parted(tag)
        other = kind != kind_before
        if before in "ES" or (before in "BI" and prefix in "BSO") or (before not in "O." and other):
            yield begin, index - 1, kind_before
        if prefix in "BS" or (before in "ESO" and prefix in "EI") or (prefix not in "O." and other):
            begin = index
        before, kind_before = prefix, kind


def _parted(tag: str) -> tuple[str, str]:
    """The prefix of a tag and its type."""
    if tag[0] == "O" and tag != "O":  # such as ORG or OTHER
        return "I", tag
    prefix = {"L-": "E", "U-": "S"}.get(tag[:2], tag[0])
    return prefix, tag[1:].split("-", maxsplit=1)[-1] or "_"


def overlap_f1(gold: list[str], predicted: list[str]) -> float:
    """F1 of the words of two answers, as bags; 0 where they share none (SQuAD's official script, version 1.1)."""
    shared = sum((Counter(gold) & Counter(predicted)).values())
    return 2 * shared / (len(gold) + len(predicted)) if shared else 0.0


def squad_words(answer: str, _language: str) -> list[str]:
    """An answer's words as SQuAD compares them: lower case, no ASCII punctuation, no English articles."""
    plain = "".join(character for character in answer.lower() if character not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


# By language, what MLQA's official script leaves out besides punctuation. Its pattern for Arabic drops every `ال`.
MLQA_ARTICLES = {
    "eng": r"\b(a|an|the)\b",
    "spa": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "vie": r"\b(của|là|cái|chiếc|những)\b",
    "deu": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "arb": "ال",
}
HAN = re.compile("([\u4e00-\u9fa5])")


def mlqa_words(answer: str, language: str) -> list[str]:
    """An answer's words as MLQA compares them (Lewis et al. 2020, arXiv 1910.07475, and its official script).

    Lower case, no punctuation of any script, no articles of the language; in Chinese every Han character is a word.
    """
    plain = "".join(
        character
        for character in answer.lower()
        if character not in string.punctuation and not unicodedata.category(character).startswith("P")
    )
    iso = language.partition("-")[0]
    if iso in MLQA_ARTICLES:
        plain = re.sub(MLQA_ARTICLES[iso], " ", plain)
    return (HAN.sub(r" \1 ", plain) if iso == "zho" else plain).split()
