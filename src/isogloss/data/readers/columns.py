"""The columns of a file by their names: those that are wanted are there, and each name means one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from isogloss.data.raw_row import listed
from isogloss.errors import IsoglossError

UNNAMED = {"", "_", "-"}  # what a column that nobody asks for may be called, and several be called alike


def check_columns(where: str, wanted: Sequence[str], columns: Collection[str]) -> None:
    """Whether the columns hold those that are wanted, and none twice.

    Raises:
        IsoglossError: one is missing, or two have the same name.
    """
    for column in wanted:
        if column not in columns:
            raise IsoglossError(f"{where} has no column {column!r}; it has {listed(columns)}")
    if len(set(columns)) < len(columns):
        for column, count in Counter(columns).items():
            if count > 1 and not (column in UNNAMED and column not in wanted):
                raise IsoglossError(f"{where} has the column {column!r} {count} times; name each differently")
