"""What there is: tasks, methods, backbones, presets, languages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources

from pydantic.fields import FieldInfo
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding

import isogloss
from isogloss.backbones.recommended import RECOMMENDED
from isogloss.data.cards import Card, cards
from isogloss.languages.language import Language
from isogloss.runtime import yaml
from isogloss.runtime.cache import cache_folder
from isogloss.runtime.console import label
from isogloss.runtime.files import atomic_file
from isogloss.runtime.shell_table import ShellTable
from isogloss.spec import presets

NARROW = 120  # columns of a terminal below which things with many facts are paragraphs, not rows
INDENT = 4  # columns


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> ShellTable:
    table = ShellTable(*columns)
    for row in rows:
        table.add_row(*row)
    return table


@dataclass(frozen=True)
class Listing:
    """Things by their names: a table, or where the terminal is too narrow for one, a paragraph each.

    Args:
        columns: the heads.
        rows: a thing each, its name first.
        paragraphs: what stands under each name, line by line, where there are no columns.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    paragraphs: Sequence[Sequence[str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As the width asks for."""
        if options.max_width >= NARROW:
            yield _table(self.columns, self.rows)
            return
        for (name, *_), lines in zip(self.rows, self.paragraphs, strict=True):
            yield console.render_str(name, style="bold", overflow="fold")
            for line in lines:
                yield Padding(console.render_str(line, overflow="fold"), (0, 0, 0, INDENT))


def tasks() -> Listing:
    """Every data set that has a card."""
    rows, paragraphs = [], []
    for card in cards().values():
        many, origins = len(card.languages), _origins(card)
        rows.append((card.name, card.kind, card.source, str(many), "\n".join(origins), card.title, card.licence))
        counted = f"{many} language{'s' if many > 1 else ''}"
        paragraphs.append(
            (card.title, " · ".join([card.kind, f"source {card.source}", counted, *origins, card.licence]))
        )
    return Listing(("task", "kind", "source", "languages", "from", "what it is", "licence"), rows, paragraphs)


def _origins(card: Card) -> list[str]:
    """Where a data set may come from: a package, the hub, a folder of files."""
    folder = f"{card.local[0].path} ({card.local[0].format})" if card.local else None
    hub = f"hub: {card.hub.id}" if card.hub else None
    return [origin for origin in ("a package" if card.generator else None, hub, folder) if origin]


def methods() -> ShellTable:
    """Every method, and under it its own settings."""
    table = ShellTable("method", "default", "what for")
    for name, settings in method_settings().items():
        table.add_row(label(name, style="bold"))
        for key, default, description in settings:
            table.add_row(f"  {key}", default, description)
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


def backbones() -> ShellTable:
    """Backbones to begin with, and the families that load from the hub, a folder or a GGUF file."""
    from isogloss.backbones.families.registry import families

    others = "a hub id, a checkpoint folder or a GGUF file of these families: " + ", ".join(families())
    table = ShellTable(caption=label(f"Parameters, languages and licences by the models' own cards. Or {others}."))
    table.add_column("backbone")
    for head in ("param.", "lang.", "licence"):
        table.add_column(head, justify="left" if head == "licence" else "right", no_wrap=True)
    for one in RECOMMENDED:
        table.add_row(label(f"{one.name}\n  {one.use}"), f"{one.parameters:,} M", one.languages, one.licence)
    return table


def presets_() -> Listing:
    """Every packaged experiment."""
    specs = {name: yaml.load(path) for name, path in presets().items()}
    rows = [(name, s["task"], _together(s.get("backbone", "")), ", ".join(s["methods"])) for name, s in specs.items()]
    paragraphs = [
        (" · ".join(filter(None, (task, *backbones.splitlines()))), methods) for _, task, backbones, methods in rows
    ]
    return Listing(("preset", "task", "backbone", "methods"), rows, paragraphs)


def _together(backbones: str | list[str]) -> str:
    return backbones if isinstance(backbones, str) else "\n".join(backbones)


def languages() -> ShellTable:
    """Every language of any data set."""
    where: dict[str, list[str]] = {}
    for card in cards().values():
        for code in card.languages:
            where.setdefault(code, []).append(card.name)
    return _table(
        ("code", "language", "data sets"),
        [(code, Language.parse(code).name, ", ".join(names)) for code, names in sorted(where.items())],
    )


LISTS: dict[str, Callable[[], RenderableType]] = {
    "tasks": tasks, "methods": methods, "backbones": backbones, "presets": presets_, "languages": languages,
}  # fmt: skip
