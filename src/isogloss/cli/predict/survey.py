"""What a look at a file before anything is labelled finds: its columns and their kinds, and how many rows there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from isogloss.cli.predict.rows import Row
from isogloss.errors import IsoglossError

EXACT = 1 << 53  # up to which a whole number is the same as a floating-point number
LARGEST = 1 << 63


class Survey:
    """Columns as they are seen row by row.

    Args:
        columns: all there are, all of texts; None: each row has its own.
    """

    def __init__(self, columns: Sequence[str] | None) -> None:
        self.kinds: dict[str, set[str]] = {name: {"text"} for name in columns or ()}
        self.closed = columns is not None
        self.rows = 0

    @property
    def columns(self) -> list[str]:
        """By name, in the order in which they were first seen."""
        return list(self.kinds)

    def look(self, row: Row) -> None:
        """One more row."""
        self.rows += 1
        if not self.closed:
            for name, value in row.values.items():
                self.kinds.setdefault(name, set()).update(_kind(value))

    def check(self, row: Row) -> None:
        """Whether a row has no column that was not seen, as it may where not all rows could be looked at before.

        Raises:
            IsoglossError: it has one.
        """
        if not self.closed and (new := next((name for name in row.values if name not in self.kinds), None)) is not None:
            raise IsoglossError(
                f"{row.where} has {new!r}, which none of the first {self.rows:,} rows has, and a table's columns are "
                "named before its rows: write .jsonl, or read a file and not a pipe"
            )

    def named(self, answers: Iterable[str]) -> dict[str, str]:
        """What the parts of an answer are called: as usual, and where a column has that name, with `predicted_` before.

        Args:
            answers: their usual names.
        """
        names: dict[str, str] = {}
        for name in answers:
            other = name
            while other in self.kinds or other in names.values():
                other = f"predicted_{other}"
            names[name] = other
        return names

    def type_of(self, column: str) -> str:
        """What all values of a column are: `text`, `whole`, `number`, `truth`, or `json` where they are unlike."""
        kinds = self.kinds[column]
        if kinds <= {"whole", "large"} and kinds:
            return "whole"
        if kinds <= {"whole", "number"} and kinds:
            return "number"
        return next(iter(kinds)) if len(kinds) == 1 and kinds <= {"text", "truth"} else "json" if kinds else "text"


def _kind(value: Any) -> set[str]:
    """What one value is; nothing is of any kind."""
    if value is None:
        return set()
    if isinstance(value, bool):
        return {"truth"}
    if isinstance(value, int):
        return {"whole"} if abs(value) <= EXACT else {"large"} if -LARGEST <= value < LARGEST else {"json"}
    if isinstance(value, float):
        return {"number"}
    return {"text"} if isinstance(value, str) else {"json"}
