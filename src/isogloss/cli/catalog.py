"""What there is: tasks, methods, backbones, presets, languages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib import resources

from pydantic.fields import FieldInfo
from rich import box
from rich.table import Table

import isogloss
from isogloss.backbones.recommended import RECOMMENDED
from isogloss.data.cards import Card, cards
from isogloss.languages.language import Language
from isogloss.runtime import yaml
from isogloss.runtime.cache import cache_folder
from isogloss.runtime.console import label
from isogloss.runtime.files import atomic_file
from isogloss.spec import presets


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*row)
    return table


def tasks() -> Table:
    """Every data set that has a card."""
    return _table(
        ("task", "kind", "source", "languages", "from", "what it is", "licence"),
        [(c.name, c.kind, c.source, str(len(c.languages)), _origins(c), c.title, c.licence) for c in cards().values()],
    )


def _origins(card: Card) -> str:
    """Where a data set may come from: a package, the hub, a folder of files."""
    folder = f"{card.local[0].path} ({card.local[0].format})" if card.local else None
    hub = f"hub: {card.hub.id}" if card.hub else None
    return "\n".join(filter(None, ["a package" if card.generator else None, hub, folder]))


def methods() -> Table:
    """Every method and its own settings."""
    table = Table("method", "setting", "default", "what for", box=box.SIMPLE_HEAD)
    for name, settings in method_settings().items():
        for first, (key, default, description) in enumerate(settings):
            table.add_row("" if first else name, key, default, description)
        table.add_section()
    return table


def method_settings() -> dict[str, list[list[str]]]:
    """The settings of each method, those that all have under `(all)`: key, default and description.

    Methods are made of torch, which takes seconds to import, so what they say of themselves is kept in the user's cache
    until one of their files changes.
    """
    folder = resources.files("isogloss.methods")
    sources = sorted(file.read_bytes() for file in folder.iterdir() if file.name.endswith(".py"))
    digest = hashlib.sha256(b"\0".join([isogloss.__version__.encode(), *sources])).hexdigest()
    file = cache_folder() / "catalog" / f"methods-{digest[:32]}.json"
    try:
        kept: dict[str, list[list[str]]] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = _method_settings()
        with suppress(OSError), atomic_file(file) as temporary:  # a cache that cannot be written is no reason to fail
            temporary.write_text(json.dumps(kept), encoding="utf-8")
    return kept


def _method_settings() -> dict[str, list[list[str]]]:
    from isogloss.methods.registry import methods
    from isogloss.methods.settings import Settings

    def row(key: str, field: FieldInfo) -> list[str]:
        default = "" if field.is_required() or field.default in (None, "") else str(field.default)
        return [key, default, field.description or ""]

    common = Settings.model_fields
    listed = {"(all)": [row(key, field) for key, field in common.items()]}
    for name, method in methods().items():
        listed[name] = [
            row(key, field)
            for key, field in method.settings.model_fields.items()
            if key not in method.settings.FILLED_IN and (key not in common or field.default != common[key].default)
        ]
    return listed


def backbones() -> Table:
    """Backbones to begin with, and the families that load from the hub, a folder or a GGUF file."""
    from isogloss.backbones.families.registry import families

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("backbone", no_wrap=True)  # it is to be typed
    for head in ("param.", "lang.", "licence"):
        table.add_column(head, justify="left" if head == "licence" else "right", no_wrap=True)
    for one in RECOMMENDED:
        table.add_row(label(f"{one.name}\n  {one.use}"), f"{one.parameters:,} M", one.languages, one.licence)
    others = "a hub id, a checkpoint folder or a GGUF file of these families: " + ", ".join(families())
    table.caption = label(f"Parameters, languages and licences by the models' own cards. Or {others}.")
    return table


def presets_() -> Table:
    """Every packaged experiment."""
    specs = {name: yaml.load(path) for name, path in presets().items()}
    return _table(
        ("preset", "task", "backbone", "methods"),
        [(name, s["task"], _together(s.get("backbone", "")), ", ".join(s["methods"])) for name, s in specs.items()],
    )


def _together(backbones: str | list[str]) -> str:
    return backbones if isinstance(backbones, str) else "\n".join(backbones)


def languages() -> Table:
    """Every language of any data set."""
    where: dict[str, list[str]] = {}
    for card in cards().values():
        for code in card.languages:
            where.setdefault(code, []).append(card.name)
    return _table(
        ("code", "language", "data sets"),
        [(code, Language.parse(code).name, ", ".join(names)) for code, names in sorted(where.items())],
    )


LISTS: dict[str, Callable[[], Table]] = {
    "tasks": tasks, "methods": methods, "backbones": backbones, "presets": presets_, "languages": languages,
}  # fmt: skip
