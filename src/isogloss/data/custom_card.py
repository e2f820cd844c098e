"""The card of data of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isogloss.data.cards import Card, read_card
from isogloss.errors import IsoglossError
from isogloss.runtime import yaml


def custom_card(path: Path | None, card: dict[str, Any] | None, key: str) -> Card:
    """The card that a spec holds, or that lies beside the files as `card.yaml`.

    Args:
        path: the folder with the files.
        card: of the spec.
        key: of the spec, where both of these stand: `data` or `data.train`.

    Raises:
        IsoglossError: there is neither, or something in it is wrong.
    """
    if path is None:
        raise IsoglossError(f"task custom needs {key}.path, the folder with the files")
    if card is not None:
        return _of_files(card, f"{key}.card")
    if not path.is_dir():
        raise IsoglossError(f"{key}.path {path} is no folder; expected the folder with the files, as seen from here")
    beside = path / "card.yaml"
    if not beside.is_file():
        raise IsoglossError(
            f"task custom needs a card: {key}.card, or {beside}; `isogloss data-card {path}` drafts one"
        )
    return _of_files(yaml.load(beside), str(beside))


def _of_files(raw: object, where: str) -> Card:
    card = read_card(raw, where=where)
    if not card.local:
        raise IsoglossError(f"{where}: local is missing: how the files lie in the folder")
    return card
