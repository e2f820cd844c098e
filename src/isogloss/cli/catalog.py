"""What there is: tasks, methods, backbones, presets, languages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich import box
from rich.table import Table

from isogloss.data.cards import Card, cards
from isogloss.languages.language import Language
from isogloss.runtime import yaml
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
    folder = f"{card.local.path} ({card.local.format})" if card.local else None
    hub = f"hub: {card.hub.id}" if card.hub else None
    return "\n".join(filter(None, ["a package" if card.generator else None, hub, folder]))


def methods() -> Table:
    """Every method and its own settings."""
    from isogloss.methods.registry import methods as found
    from isogloss.methods.settings import Settings

    table = Table("method", "setting", "default", "what for", box=box.SIMPLE_HEAD)
    for name, method in {"(all)": None, **found()}.items():
        settings = Settings if method is None else method.settings
        for key, field in settings.model_fields.items():
            if (
                method is not None
                and key in Settings.model_fields
                and field.default == Settings.model_fields[key].default
            ):
                continue
            default = "" if field.is_required() or field.default in (None, "") else str(field.default)
            table.add_row(name, key, default, field.description or "")
            name = ""  # noqa: PLW2901 - named once
        table.add_section()
    return table


def backbones() -> Table:
    """The embedded backbones, and the families that load from the hub or a folder."""
    from isogloss.backbones.families.registry import families
    from isogloss.backbones.loading import EMBEDDED

    rows = [(name, f"comes with the extra `{module.EXTRA}`") for name, module in EMBEDDED.items()]
    return _table(
        ("backbone", "what it is"),
        [*rows, ("a hub id, a checkpoint folder or a GGUF file", "of the families " + ", ".join(families()))],
    )


def presets_() -> Table:
    """Every packaged experiment."""
    specs = {name: yaml.load(path) for name, path in presets().items()}
    return _table(
        ("preset", "task", "backbone", "methods"),
        [(name, s["task"], s.get("backbone", ""), ", ".join(s["methods"])) for name, s in specs.items()],
    )


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
