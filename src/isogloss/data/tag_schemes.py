"""Schemes of tags that mark spans: which are read, and which labels are of none of them.

BIO, IOB, BIOES and BILOU write a span's type behind a prefix: `B-PER I-PER O`, `B-PER E-PER S-LOC`, `B-PER L-PER
U-LOC`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

SPAN_TAG = re.compile(r"O|[BIESLU]-\S+")
# Of parts of speech, XTREME publishes what seqeval makes of them as spans; a card that asks for it gets the same.
PARTS_OF_SPEECH = frozenset({
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM",
    "VERB", "X", "_",
})  # fmt: skip


def strange_tag(labels: Iterable[str]) -> str | None:
    """The first label that is no tag of a span, if there is one."""
    return next((label for label in labels if not SPAN_TAG.fullmatch(label)), None)


def mark_spans(labels: Iterable[str]) -> bool:
    """Whether the labels are tags of spans, of one at least."""
    labels = list(labels)
    return strange_tag(labels) is None and set(labels) != {"O"}
