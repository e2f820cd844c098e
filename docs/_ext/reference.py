"""Pages of reference that are made from the program itself, so that they cannot say anything else than it does.

Directives, each without contents: `model` with a pydantic model's place, `methods`, `commands`, `catalog` with the name
of a list, and `source` with the place of a class.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from docutils import nodes
from docutils.statemachine import StringList
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.models import ArgumentInfo, OptionInfo

WORDS = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "`true` or `false`", "Path": "a path",
    "Any": "anything", "dict": "keys and values",
}  # fmt: skip


class Generated(SphinxDirective):
    """What all of these directives do: write MyST, which is read as if it stood on the page."""

    optional_arguments = 1

    def lines(self) -> Iterator[str]:
        """The text, line by line."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """The nodes of the text."""
        made = nodes.section()
        text = StringList("\n".join(self.lines()).splitlines(), source=self.get_source_info()[0])
        self.state.nested_parse(text, self.content_offset, made, match_titles=True)
        return made.children


class Model(Generated):
    """Every key of a pydantic model, and of the parts of it that have keys of their own."""

    required_arguments = 1  # package.module:Model
    optional_arguments = 0

    def lines(self) -> Iterator[str]:
        """The keys at the top, then a section for each part."""
        module, _, name = self.arguments[0].partition(":")
        whole = getattr(importlib.import_module(module), name)
        yield from entries(whole)
        for prefix, model in parts(whole):
            anchor = f"{name.lower()}-{prefix.replace('.', '-')}"
            yield from ["", f"({anchor})=", f"## `{prefix}`", "", first(model.__doc__), ""]
            yield from entries(model, prefix=f"{prefix}.")


class Methods(Generated):
    """Every method with its settings, and what all have in common."""

    def lines(self) -> Iterator[str]:
        """A section a method."""
        common = importlib.import_module("isogloss.methods.settings").Settings
        yield from ["", "(all-methods)=", "## All methods", "", first(common.__doc__), "", *entries(common)]
        for name, module in sorted(
            (module.METHOD.name, module) for module in modules("isogloss.methods") if hasattr(module, "METHOD")
        ):
            settings = module.METHOD.settings
            yield from ["", f"(method-{name})=", f"## `{name}`", "", *str(module.__doc__).splitlines(), ""]
            yield from entries(settings, but=common)


class Commands(Generated):
    """Every command with its arguments and options, from the signatures that typer reads."""

    def lines(self) -> Iterator[str]:
        """A section a command."""
        for command in importlib.import_module("isogloss.cli.commands").app.registered_commands:
            function: Any = command.callback
            name = command.name or function.__name__.replace("_", "-")
            parameters = [Parameter(*one) for one in declared(function)]
            arguments = " ".join(one.usage for one in parameters if one.argument)
            yield from ["", f"(command-{name})=", f"## `isogloss {name}`", "", str(function.__doc__), ""]
            yield from ["```", f"isogloss {name} [OPTIONS] {arguments}".strip(), "```", ""]
            for one in parameters:
                yield from definition(one.term, one.info.help or "")


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


class Source(Generated):
    """A class or function as it is written in the source; the argument is its module and name."""

    required_arguments = 1  # package.module:Name
    optional_arguments = 0

    def lines(self) -> Iterator[str]:
        """The source, as code."""
        module, _, name = self.arguments[0].partition(":")
        text = inspect.getsource(getattr(importlib.import_module(module), name))
        yield from ["```python", f"# src/{module.replace('.', '/')}.py", text.rstrip(), "```"]


class Catalog(Generated):
    """What `isogloss list` lists."""

    required_arguments = 1
    optional_arguments = 0

    def lines(self) -> Iterator[str]:
        """One of the lists."""
        return getattr(self, f"_{self.arguments[0]}")()

    def _tasks(self) -> Iterator[str]:
        for name, card in importlib.import_module("isogloss.data.cards").cards().items():
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

    def _presets(self) -> Iterator[str]:
        spec, yaml = importlib.import_module("isogloss.spec"), importlib.import_module("isogloss.runtime.yaml")
        rows = []
        for name, path in spec.presets().items():
            raw = yaml.load(path)
            backbone = raw.get("backbone", spec.Spec.model_fields["backbone"].default)
            methods = ", ".join(f"`{method}`" for method in raw["methods"])
            rows.append((f"`{name}`", f"[`{raw['task']}`](#task-{raw['task']})", f"`{backbone}`", methods))
        return table(("preset", "task", "backbone", "methods"), rows)

    def _backbones(self) -> Iterator[str]:
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

    def _languages(self) -> Iterator[str]:
        language = importlib.import_module("isogloss.languages.language").Language
        where: dict[str, list[str]] = {}
        for card in importlib.import_module("isogloss.data.cards").cards().values():
            for code in card.languages:
                where.setdefault(code, []).append(card.name)
        return table(
            ("code", "language", "data sets"),
            [(f"`{code}`", language.parse(code).name, ", ".join(names)) for code, names in sorted(where.items())],
        )


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
        found.append(f"a folder, `{card.local.path}` ({card.local.format})")
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


def entries(model: type[BaseModel], *, prefix: str = "", but: type[BaseModel] | None = None) -> Iterator[str]:
    """A model's fields: what each is called, takes, is when left out, and says.

    Args:
        model: of pydantic.
        prefix: what stands before the names.
        but: a model whose fields are left out where they are no different.
    """
    for name, field in model.model_fields.items():
        if but is not None and name in but.model_fields and same(field, but.model_fields[name]):
            continue
        shown = takes(field)
        yield from [f"`{prefix}{name}` · {shown}{left_out(field)}", f": {said(field.description)}", ""]


def same(one: FieldInfo, other: FieldInfo) -> bool:
    """Whether two fields say and default to the same."""
    return (one.default, one.description, one.annotation) == (other.default, other.description, other.annotation)


def left_out(field: FieldInfo) -> str:
    """What a field is where it is not given."""
    if field.is_required():
        return " · **required**"
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


def kind(annotation: Any) -> str:  # noqa: PLR0911 - a kind a line
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
    if models(annotation):
        return "keys of its own"
    return WORDS.get(getattr(annotation, "__name__", str(annotation)), f"`{annotation}`")


def plural(words: str) -> str:
    """Many of what the words say one of."""
    return {"text": "texts", "a whole number": "whole numbers", "a number": "numbers"}.get(words, words)


def said(description: str | None) -> str:
    """A description as a sentence."""
    text = description or ""
    return f"{text[:1].upper()}{text[1:]}." if text else "Not described."


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


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    for name, directive in {
        "model": Model,
        "methods": Methods,
        "commands": Commands,
        "catalog": Catalog,
        "source": Source,
    }.items():
        app.add_directive(name, directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
