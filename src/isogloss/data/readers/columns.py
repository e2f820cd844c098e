"""The columns of a file by their names: those that are wanted are there, and each name means one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from isogloss.data.raw_row import listed
from isogloss.errors import IsoglossError

UNNAMED = {"", "_", "-"}  # what a column that nobody asks for may be called, and several be called alike


class NoColumnError(IsoglossError):
    """A file lacks a column.

    Args:
        message: what is told of it.
        column: that is wanted, where it is known.
    """

    def __init__(self, message: str, column: str = "") -> None:
        super().__init__(message)
        self.column = column


def check_columns(where: str, wanted: Sequence[str], columns: Collection[str]) -> None:
    """Whether the columns hold those that are wanted, and none twice.

    Raises:
        IsoglossError: one is missing, or two have the same name.
    """
    for column in wanted:
        if column not in columns:
            raise NoColumnError(f"{where} has no column {column!r}; it has {listed(columns)}", column)
    if len(set(columns)) < len(columns):
        for column, count in Counter(columns).items():
            if count > 1 and not (column in UNNAMED and column not in wanted):
                raise IsoglossError(f"{where} has the column {column!r} {count} times; name each differently")
