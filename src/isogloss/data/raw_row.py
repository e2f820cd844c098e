"""What readers give and kinds of data are made of: a row as it lies in a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SENTENCE_ID = "sent_id"  # the column with the name that a file's comments give a sentence, if they do


@dataclass(frozen=True)
class RawRow:
    """One row of a file."""

    where: str  # file and line, for errors
    values: dict[str, Any]  # texts by column; of files of words, lists of texts
