"""Pages of reference that are made from the program itself, so that they cannot say anything else than it does.

On a page stands, as a block of code, `{generated}` and what is wanted: `model` or `source` with `package.module:Name`,
`methods`, `commands`, `tasks`, `presets`, `backbones`, `languages`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from typer.models import ArgumentInfo, OptionInfo

WORDS = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "`true` or `false`", "Path": "a path",
    "Any": "anything", "dict": "keys and values",
}  # fmt: skip


def generated(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Put what a program says in the place of each marker on a page, before the page is read.

    Args:
        _app: of Sphinx.
        _page: its name.
        source: the page's text, in a list of one.
    """
    source[0] = MARKER.sub(lambda found: "\n".join(PARTS[found[1]](*found[2].split())), source[0])


def model(where: str) -> Iterator[str]:
    """Every key of a pydantic model, and a section for each of its parts that have keys of their own.

    Args:
        where: `package.module:Model`.
    """
    whole = found(where)
    name = whole.__name__.lower()
    yield from entries(whole, anchor=f"{name}-")
    for prefix, part in parts(whole):
        anchor = f"{name}-{prefix.replace('.', '-')}"
        yield from ["", f"({anchor})=", f"## `{prefix}`", "", first(part.__doc__), ""]
        yield from entries(part, prefix=f"{prefix}.", anchor=f"{anchor}-")


def methods() -> Iterator[str]:
    """What all methods have in common, and a section for each with what is its own."""
    common = found("isogloss.methods.settings:Settings")
    yield from [
        "",
        "(all-methods)=",
        "## All methods",
        "",
        first(common.__doc__),
        "",
        *entries(common, anchor="all-methods-", required="each method has its own"),
    ]
    for prefix, part in parts(common):
        yield from ["", f"(all-methods-{prefix})=", f"### `{prefix}`", "", first(part.__doc__), ""]
        yield from entries(part, prefix=f"{prefix}.")
    for module in modules("isogloss.methods"):
        if hasattr(module, "METHOD"):
            name = module.METHOD.name
            yield from ["", f"(method-{name})=", f"## `{name}`", "", *str(module.__doc__).splitlines(), ""]
            yield from entries(module.METHOD.settings, but=common)


def commands() -> Iterator[str]:
    """A section for each command, from the signatures that typer reads."""
    for command in found("isogloss.cli.commands:app").registered_commands:
        function: Any = command.callback
        name = command.name or function.__name__.replace("_", "-")
        parameters = [Parameter(*one) for one in declared(function)]
        arguments = " ".join(one.usage for one in parameters if one.argument)
        yield from ["", f"(command-{name})=", f"## `isogloss {name}`", "", str(function.__doc__), ""]
        yield from ["```text", f"isogloss {name} [OPTIONS] {arguments}".strip(), "```", ""]
        for one in parameters:
            yield from definition(one.term, one.info.help or "")


def source(where: str) -> Iterator[str]:
    """A class or function as it is written.

    Args:
        where: `package.module:Name`.
    """
    text = inspect.getsource(found(where)).rstrip()
    yield from ["```python", f"# src/{where.partition(':')[0].replace('.', '/')}.py", text, "```"]


@dataclass(frozen=True)
class Parameter:
    """An argument or an option of a command.

    Args:
        name: of the function's parameter.
        annotation: what it takes.
        info: what typer is told of it.
        default: where it is left out; `inspect.Parameter.empty` where it may not be.
    """

    name: str
    annotation: Any
    info: ArgumentInfo | OptionInfo
    default: Any

    @property
    def argument(self) -> bool:
        """Whether it is known by its place."""
        return isinstance(self.info, ArgumentInfo)

    @property
    def usage(self) -> str:
        """An argument as help shows it."""
        name = self.info.metavar or self.name.strip("_").upper()
        name = f"{name}…" if self.several and not name.endswith("…") else name
        return name if self.default is inspect.Parameter.empty else f"[{name}]"

    @property
    def several(self) -> bool:
        """Whether it may come more than once."""
        return "a list" in kind(self.annotation)

    @property
    def term(self) -> str:
        """What it is called, takes, and is when left out."""
        if self.argument:
            return f"`{self.usage}`"
        name = (self.info.param_decls or [f"--{self.name.strip('_').replace('_', '-')}"])[0]
        value = self.info.metavar or kind(self.annotation).removeprefix("a list of ").removesuffix("s")
        shown = [f"`{name}`" if self.annotation is bool else f"`{name}` {value}"]
        if self.default not in (None, False, ""):
            shown.append(f"left out: `{self.default}`")
        return " · ".join([*shown, "may be given several times"] if self.several else shown)


def declared(function: Any) -> Iterator[tuple[str, Any, ArgumentInfo | OptionInfo, Any]]:
    """The parameters of a command's function that typer is told of."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        annotation, *told = get_args(hints[name])
        info = next(one for one in told if isinstance(one, (ArgumentInfo, OptionInfo)))
        yield name, annotation, info, parameter.default


def tasks() -> Iterator[str]:
    """Every data set that has a card."""
    for name, card in found("isogloss.data.cards:cards")().items():
        yield from [f"(task-{name})=", f"## `{name}`", "", f"{card.title}.", ""]
        yield from definition("Kind", card.kind)
        yield from definition("Languages", f"{len(card.languages)}, usually trained in `{card.source}`")
        yield from definition("Scores", ", ".join(card.metrics))
        if card.train:
            yield from definition("Trains on", f"[`{card.train}`](#task-{card.train})")
        yield from definition("Comes from", "; ".join(origins(card)))
        yield from definition("Licence", card.licence)
        if card.citation:
            yield from definition("Paper", card.citation)


def presets() -> Iterator[str]:
    """Every packaged experiment."""
    spec, yaml = importlib.import_module("isogloss.spec"), importlib.import_module("isogloss.runtime.yaml")
    rows = []
    for name, path in spec.presets().items():
        raw = yaml.load(path)
        backbone = raw.get("backbone", spec.Spec.model_fields["backbone"].default)
        methods = ", ".join(f"`{method}`" for method in raw["methods"])
        backbones = ", ".join(f"`{one}`" for one in (backbone if isinstance(backbone, list) else [backbone]))
        rows.append((f"`{name}`", f"[`{raw['task']}`](#task-{raw['task']})", backbones, methods))
    return table(("preset", "task", "backbone", "methods"), rows)


def backbones() -> Iterator[str]:
    """What to begin with, what is embedded, and the families that load."""
    recommended = found("isogloss.backbones.recommended:RECOMMENDED")
    yield from table(
        ("backbone", "parameters", "languages", "licence", "what for"),
        [(f"`{one.name}`", f"{one.parameters:,} M", one.languages, one.licence, one.use) for one in recommended],
    )
    yield ""
    loading = importlib.import_module("isogloss.backbones.loading")
    rows = [(f"`{name}`", first(module.__doc__), f"`{module.EXTRA}`") for name, module in loading.EMBEDDED.items()]
    yield from table(("embedded backbone", "what it is", "extra"), rows)
    families: dict[str, tuple[str, list[str], bool]] = {}
    for module in modules("isogloss.backbones.families"):
        if hasattr(module, "FAMILY"):
            family = module.FAMILY
            families[module.__name__] = (first(module.__doc__), sorted(family.model_types), family.causal)
    yield ""
    yield from table(
        ("family", "reads", "`model_type` in `config.json`"),
        [
            (doc, "left to right" if causal else "both ways", ", ".join(f"`{kind}`" for kind in kinds))
            for doc, kinds, causal in families.values()
        ],
    )


def languages() -> Iterator[str]:
    """Every language of any data set."""
    language = found("isogloss.languages.language:Language")
    where: dict[str, list[str]] = {}
    for card in found("isogloss.data.cards:cards")().values():
        for code in card.languages:
            where.setdefault(code, []).append(card.name)
    return table(
        ("code", "language", "data sets"),
        [(f"`{code}`", language.parse(code).name, ", ".join(names)) for code, names in sorted(where.items())],
    )


def found(where: str) -> Any:
    """What stands at `package.module:Name`."""
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


def modules(package: str) -> list[ModuleType]:
    """The modules of a package."""
    folder = importlib.import_module(package)
    return [importlib.import_module(f"{package}.{found.name}") for found in pkgutil.iter_modules(folder.__path__)]


def origins(card: Any) -> list[str]:
    """Where a data set may come from."""
    found = ["a package"] if card.generator else []
    if card.hub:
        found.append(f"the hub, `{card.hub.id}`")
    if card.local:
        paths = dict.fromkeys(f"`{layout.path}` ({layout.format})" for layout in card.local)
        found.append(f"[a folder](distributed.md), {' or '.join(paths)}")
    return found


def parts(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """The models inside a model, by where they stand."""
    for name, field in model.model_fields.items():
        for inner in models(field.annotation):
            yield f"{prefix}{name}", inner
            yield from parts(inner, f"{prefix}{name}.")


def models(annotation: Any) -> list[type[BaseModel]]:
    """The models in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) if part is not annotation for model in models(part)]


def entries(
    model: type[BaseModel],
    *,
    prefix: str = "",
    anchor: str = "",
    but: type[BaseModel] | None = None,
    required: str = "**required**",
) -> Iterator[str]:
    """A model's fields: what each is called, takes, is when left out, and says.

    Args:
        model: of pydantic.
        prefix: what stands before the names.
        anchor: what stands before the names of fields that have a section of their own, in its anchor.
        but: a model whose fields are left out where they are no different.
        required: what is said of fields without a default.
    """
    for name, field in model.model_fields.items():
        if name in getattr(model, "FILLED_IN", ()):  # nobody writes it
            continue
        if but is not None and name in but.model_fields and same(field, but.model_fields[name]):
            continue
        own = f"[keys of its own](#{anchor}{name})"
        plain = [kind(part) for part in get_args(field.annotation) if get_origin(part) is Literal]
        shown = " or ".join([*plain, own]) if models(field.annotation) else takes(field)
        usual = f" · {required}" if field.is_required() else left_out(field)
        yield from [f"`{prefix}{name}` · {shown}{usual}", f": {said(field.description)}", ""]


def same(one: FieldInfo, other: FieldInfo) -> bool:
    """Whether two fields say and default to the same."""
    return (one.default, one.description, one.annotation) == (other.default, other.description, other.annotation)


def left_out(field: FieldInfo) -> str:
    """What a field is where it is not given."""
    if field.default_factory is not None or field.default in (None, "", [], {}):
        return ""
    value = str(field.default).lower() if isinstance(field.default, bool) else field.default
    return f" · left out: `{value}`"


def takes(field: FieldInfo) -> str:
    """What a field takes, in words."""
    bounds = [
        f"{sign} {value:g}"
        for part in field.metadata
        for sign, name in ((">", "gt"), ("≥", "ge"), ("<", "lt"), ("≤", "le"))
        if (value := getattr(part, name, None)) is not None
    ]
    return " ".join([kind(field.annotation), ", ".join(bounds)]).strip()


def kind(annotation: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(kind(part) for part in arguments if part is not NoneType))
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin is list:
        return f"a list of {plural(kind(arguments[0]))}"
    if origin is dict:
        inner = kind(arguments[1])
        return "keys and values" if inner in ("anything", "text", "keys and values") else f"keys, each with {inner}"
    return WORDS.get(getattr(annotation, "__name__", str(annotation)), f"`{annotation}`")


def plural(words: str) -> str:
    """Many of what the words say one of."""
    return {"text": "texts", "a whole number": "whole numbers", "a number": "numbers"}.get(words, words)


def said(description: str | None) -> str:
    """A description as a sentence."""
    text = description or ""
    plain = re.match(r"[a-z]+(?![\w/.`-])", text)  # a word, and no name of something
    return f"{text[:1].upper() if plain else text[:1]}{text[1:]}." if text else "Not described."


def first(doc: str | None) -> str:
    """The first paragraph of a docstring."""
    return " ".join((doc or "").strip().split("\n\n")[0].split())


def definition(term: str, text: str) -> list[str]:
    """One entry of a list of definitions."""
    return [term, f": {' '.join(text.split())}", ""]


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table in Markdown."""
    yield from ["", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


PARTS: dict[str, Callable[..., Iterator[str]]] = {
    "model": model, "methods": methods, "commands": commands, "source": source, "tasks": tasks, "presets": presets,
    "backbones": backbones, "languages": languages,
}  # fmt: skip
MARKER = re.compile(rf"^```\{{generated\}} ({'|'.join(PARTS)})([^\n]*)\n```$", re.MULTILINE)


def setup(app: Sphinx) -> dict[str, bool]:
    """Have pages completed as they are read."""
    app.connect("source-read", generated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
