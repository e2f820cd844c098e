"""Pieces of the rows that are too long, put in their places among all the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from isogloss.preprocessing.features import Features
from isogloss.preprocessing.ragged import spliced, starts_of


class Pieces:
    """What stands for the rows that are too long: of each one piece or more. All others stay as they are."""

    def __init__(self) -> None:
        self._of_rows: list[list[dict[str, np.ndarray]]] = []

    def begin(self) -> None:
        """The next row that is too long."""
        self._of_rows.append([])

    def add(self, tokens: np.ndarray, types: np.ndarray | None, **units: np.ndarray) -> None:
        """One more piece of it.

        Args:
            tokens: of the piece.
            types: of these.
            units: `spans` and what else there is of each of its units.
        """
        typed = {} if types is None else {"types": types}
        self._of_rows[-1].append({"tokens": tokens, **typed, **units})

    def replacing(self, features: Features, long: np.ndarray) -> dict[str, Any]:
        """`tokens`, `types` and `starts` of all rows, these pieces in the places of the rows that are too long."""
        values = {"tokens": features.tokens, "types": features.types}
        changed = {
            name: spliced(array, features.lengths, long, self._joined(name)) if array is not None else None
            for name, array in values.items()
        }
        lengths = self.of_pieces(features.lengths, long, lambda piece: len(piece["tokens"]))
        return {**changed, "starts": starts_of(lengths)}

    def of_units(self, name: str, values: np.ndarray, counts: np.ndarray, long: np.ndarray) -> np.ndarray:
        """What there is of the units of all rows.

        Args:
            name: of it.
            values: of the units as they were.
            counts: units of each row as they were.
            long: the rows that are too long.
        """
        return spliced(values, counts, long, self._joined(name))

    def of_pieces(
        self, values: np.ndarray, long: np.ndarray, of_piece: Callable[[dict[str, np.ndarray]], int]
    ) -> np.ndarray:
        """A number of each row, of the long ones a number of each piece."""
        new = [np.asarray([of_piece(piece) for piece in pieces], dtype=values.dtype) for pieces in self._of_rows]
        return spliced(values, np.ones(len(values), dtype=np.int64), long, new)

    def owners(self, rows: int, long: np.ndarray) -> np.ndarray:
        """The example of each row and piece, where each example was one row."""
        new = [np.full(len(pieces), row) for row, pieces in zip(long, self._of_rows, strict=True)]
        return spliced(np.arange(rows), np.ones(rows, dtype=np.int64), long, new)

    def _joined(self, name: str) -> list[np.ndarray]:
        return [np.concatenate([piece[name] for piece in pieces]) for pieces in self._of_rows]
