"""Data sets from the hub, by way of `datasets`: Parquet and plain files only, no loading scripts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from isogloss.data import patterns
from isogloss.data.cards import Card
from isogloss.data.cells import cell
from isogloss.data.layouts import Hub
from isogloss.data.raw_row import RawRow
from isogloss.errors import IsoglossError, install
from isogloss.runtime.console import err


@cache
def announce(name: str, repository: str, revision: str | None) -> None:
    """Say once what may be downloaded, and from where."""
    at = f"at {revision}" if revision else "in its newest revision"
    err.print(
        f"{name} comes from the hub: {repository} {at}; what is not in the cache is downloaded",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def newest(repository: str, revision: str | None) -> str | None:
    """The newest commit of a data set or of a branch of it.

    Without network it is what was asked for, and what the cache holds is taken.
    """
    from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(repository, revision=revision).sha
    # Each version of the client raises another HTTP library's errors; what is really wrong, fetching says.
    except Exception:  # noqa: BLE001
        return revision


def read_hub(
    card: Card, hub: Hub, code: str, split: str, columns: Sequence[str], *, revision: str | None
) -> list[RawRow]:
    """One split in one language.

    Args:
        card: the data set's.
        hub: where it lies.
        code: the language, as the data set calls it.
        split: as the hub calls it.
        columns: those that have to be there; the card's group comes along where it is.
        revision: the commit; an experiment takes one for all splits and languages.

    Raises:
        IsoglossError: the package `datasets` is not installed, or the split cannot be fetched or lacks a column.
    """
    try:
        import datasets
    except ImportError:
        raise IsoglossError(
            f"{card.name} ({code}, {split}) lies on the hub, and to read it takes the package datasets, which is not "
            f"installed; {install('hub')}, or set data.path to a local copy"
        ) from None
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    announce(card.name, hub.id, revision)
    refusals = (HfHubHTTPError, OfflineModeIsEnabled)
    config = patterns.fill(hub.config, code=code) if hub.config else None
    try:
        table: Any = datasets.load_dataset(hub.id, name=config, split=split, revision=revision)
    # A RuntimeError is what `datasets` says of loading scripts.
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError, *refusals) as error:
        reason = str(error).strip().splitlines()[0]
        raise IsoglossError(
            f"{card.name} ({code}, {split}) could not be fetched from {hub.id} ({reason}); without network "
            "set data.path to a local copy, or task to voice-intents"
        ) from error
    table = table.rename_columns({theirs: ours for ours, theirs in hub.columns.items() if theirs in table.column_names})
    for column in columns:
        if column not in table.column_names:
            raise IsoglossError(f"{hub.id} has no column {column!r}; it has {', '.join(table.column_names)}")
    names = {column: _names(feature) for column, feature in table.features.items()}
    wanted = [column for column in names if column in {*columns, card.columns.group}]
    rows = ((f"{hub.id} ({code}, {split}) row {n}", row) for n, row in enumerate(table.select_columns(wanted)))
    return [
        RawRow(where, {column: cell(_called(value, names[column]), where) for column, value in row.items()})
        for where, row in rows
    ]


def _names(feature: Any) -> list[str] | None:
    """The names of the classes of a column, or of the items of its lists."""
    names: list[str] | None = getattr(getattr(feature, "feature", feature), "names", None)
    return names


def _called(value: Any, names: list[str] | None) -> Any:
    """A value of a column of classes by the class's name."""
    if isinstance(value, list):
        return [_called(item, names) for item in value]
    return names[value] if names is not None and value is not None and value >= 0 else value
