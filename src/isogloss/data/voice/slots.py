"""`voice-slots`: the sentences of `voice-intents`, the slots of their templates as BIO tags of their words."""

from __future__ import annotations

import polars as pl

from isogloss.data.bio_tags import tagged
from isogloss.data.cards import Split
from isogloss.data.voice import intents


def examples(code: str, split: Split) -> pl.DataFrame:
    """One split in one language: id, words and tags. Errors as in `intents.examples`."""
    rows = []
    for row in intents.examples(code, split).iter_rows(named=True):
        spans = [(span["start"], span["end"], span["slot"]) for span in row["slots"]]
        words, tags = tagged(row["text"], spans)
        rows.append({"id": row["id"], "words": words, "tags": tags})
    return pl.DataFrame(rows)
