"""Data sets from the hub, by way of `datasets`: Parquet and plain files only, no loading scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isogloss.data.cards import Card, Split
from isogloss.data.readers import Raw
from isogloss.errors import IsoglossError


def read_hub(card: Card, code: str, split: Split, columns: Sequence[str]) -> tuple[list[Raw], str | None]:
    """One split in one language, and the commit it came from.

    Args:
        card: with a hub id.
        code: the language, as the data set calls it.
        split: one of ours; the card says what the hub calls it.
        columns: those that have to be there.

    Raises:
        IsoglossError: it cannot be fetched, or lacks a column.
    """
    import datasets
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    hub = card.hub
    if hub is None:
        raise IsoglossError(f"{card.name} is not on the hub; give data.path")
    config = hub.config.format(code=code) if hub.config else None
    try:
        revision = hub.revision or HfApi().dataset_info(hub.id).sha
    except (OSError, HfHubHTTPError, OfflineModeIsEnabled):
        revision = None  # offline: what the cache holds is taken, and its revision is not known
    try:
        table: Any = datasets.load_dataset(hub.id, name=config, split=hub.splits[split], revision=revision)
    except (OSError, ValueError, datasets.exceptions.DatasetsError, HfHubHTTPError, OfflineModeIsEnabled) as error:
        reason = str(error).strip().splitlines()[0]
        raise IsoglossError(
            f"{card.name} ({code}, {split}) could not be fetched from {hub.id} ({reason}); without network "
            "set data.path to a local copy, or task to voice-intents"
        ) from error
    for column in columns:
        if column not in table.column_names:
            raise IsoglossError(f"{hub.id} has no column {column!r}; it has {', '.join(table.column_names)}")
    names = {
        column: feature.names for column, feature in table.features.items() if isinstance(feature, datasets.ClassLabel)
    }
    rows = []
    for number, row in enumerate(table.select_columns(list(columns))):
        values = {
            column: names[column][value] if column in names and value >= 0 else str(value)
            for column, value in row.items()
        }
        rows.append(Raw(f"{hub.id} ({code}, {split}) row {number}", values))
    return rows, revision
