"""Cards: what a data set is, where it lies and how it is read. One YAML file each, found by listing the folder."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from isogloss.data.card_bounds import refuse_wild
from isogloss.data.card_checks import check_card
from isogloss.data.layouts import SPLITS, Columns, Hub, Local, Only, Split, Strict, Text, distinct_codes
from isogloss.errors import IsoglossError, unknown
from isogloss.languages.language import Language
from isogloss.runtime import yaml
from isogloss.runtime.checked import check

__all__ = ["CUSTOM", "SPLITS", "Card", "Split", "cards", "find", "read_card"]

CUSTOM = "custom"  # the task whose card is the user's own
EXPECTED_LANGUAGES = "expected codes, such as `en de`, or codes with the data set's own: {en: english}"


def _codes(value: object) -> object:
    """Languages may be listed by the data set's own codes, or mapped where those mislead."""
    if isinstance(value, str):
        value = value.split()
    if isinstance(value, list) and all(isinstance(code, str) for code in value):
        value = {code: code for code in value}
    if not isinstance(value, dict) or not value:
        raise ValueError(EXPECTED_LANGUAGES)
    return {form: value[code] for form, code in distinct_codes(value).items()}


def _layouts(value: object) -> object:
    """One layout may stand without a list."""
    return [value] if isinstance(value, dict) else value


class Card(Strict):
    """A data set and its task."""

    name: Text
    title: Text = ""
    kind: Text = Field(description="of task: a name in `isogloss.data.kinds`")
    source: Text = Field(description="the language it is usually trained in")
    parallel: bool = Field(False, description="whether an id means the same example in every language")
    metrics: list[Text] = Field([], description="the first is what selection goes by; left out: the usual of the kind")
    labels: list[Text] = Field([], description="in the order of the head's classes; questions have none of their own")
    aliases: dict[Text, Text] = Field(default_factory=dict, description="other spellings found in files")
    columns: Columns
    local: Annotated[list[Local], BeforeValidator(_layouts)] = Field(
        [],
        description="one layout or a list; a split is read from the first of them that has it and whose file is there",
    )
    hub: Hub | None = None
    train: Text | None = Field(None, description="the data set to train and select on, where this one only tests")
    only: Only | None = Field(None, description="where one file holds all languages: which rows are whose")
    generator: Text | None = Field(
        None, description="a module that makes the data, instead of files; only in cards that come with isogloss"
    )
    drop: list[Text] = Field([], description="labels that mark a row as void; such rows are left out and counted")
    void: dict[Text, list[Text]] = Field(
        {}, description="values by column that mark a row as void, such as '' for an empty one; left out and counted"
    )
    licence: Text = "not stated"
    citation: Text = ""
    languages: Annotated[dict[str, Text], BeforeValidator(_codes)] = Field(
        description="canonical form to the data set's code"
    )

    @model_validator(mode="before")
    @classmethod
    def _usual_metrics(cls, raw: Any) -> Any:
        from isogloss.data.kinds.registry import data_kinds  # whose modules need to know what a card is

        if isinstance(raw, dict) and (kind := data_kinds().get(str(raw.get("kind")))) is not None:
            raw = {"metrics": list(kind.metrics), **raw}
            if kind.labels:
                raw["labels"] = list(kind.labels)
        return raw

    @field_validator("kind")
    @classmethod
    def _known(cls, name: str) -> str:
        from isogloss.data.kinds.registry import data_kinds

        if name not in data_kinds():
            raise ValueError(f"there is no kind {name!r}; known: {', '.join(data_kinds())}")
        return name

    @model_validator(mode="after")
    def _sound(self) -> Card:
        from isogloss.data.kinds.registry import data_kinds

        kind = data_kinds()[self.kind]
        if not self.metrics or not set(self.metrics) <= set(kind.metrics):
            raise ValueError(f"metrics of {self.kind} are {', '.join(kind.metrics)}; came: {self.metrics}")
        if len(set(self.labels)) < 2 or len(set(self.labels)) != len(self.labels):  # noqa: PLR2004
            raise ValueError(f"labels have to be at least two, each once; came: {self.labels}")
        kind.check(self)
        check_card(self)
        return self

    def code(self, language: Language) -> str:
        """What the data set calls a language of its own.

        Raises:
            IsoglossError: it does not have it.
        """
        if str(language) not in self.languages:
            raise unknown(f"language of {self.name}", str(language), self.languages)
        return self.languages[str(language)]

    def has_language(self, code: str) -> bool:
        """Whether `language` finds one.

        Raises:
            IsoglossError: it is no code of a language.
        """
        Language.parse(code)
        try:
            self.language(code)
        except IsoglossError:
            return False
        return True

    def language(self, code: str) -> Language:
        """The data set's language that a user means: where one side names no region, any region fits (`en-US`, `en`).

        Raises:
            IsoglossError: it has none such, or several.
        """
        asked = Language.parse(code)
        if str(asked) in self.languages:
            return asked
        alike = [Language.parse(known) for known in self.languages]
        alike = [known for known in alike if replace(known, region="") == replace(asked, region="")]
        fitting = [known for known in alike if not (known.region and asked.region)]
        if len(fitting) == 1:
            return fitting[0]
        raise unknown(f"language of {self.name}", str(asked), self.languages)


@cache
def cards() -> dict[str, Card]:
    """Every card by its name."""
    folder = Path(str(resources.files("isogloss.data") / "cards"))
    return {path.stem: _card(path) for path in sorted(folder.glob("*.yaml"))}


def _card(path: Path) -> Card:
    return Card.model_validate(yaml.load(path))


def read_card(raw: object, *, where: str) -> Card:
    """A user's card, from what its YAML holds.

    Raises:
        IsoglossError: something in it is wrong; the first mistake is named.
    """
    if not isinstance(raw, dict):
        raise IsoglossError(f"{where} holds {type(raw).__name__}; expected a card, such as {{name: …, kind: …}}")
    refuse_wild(raw, where)
    card = check(Card, raw, where=where)
    if card.generator is not None:  # it would run what it names
        raise IsoglossError(f"{where}: generator: only cards that come with isogloss have one; say `local`, the files")
    return card


def find(name: str) -> Card:
    """The card of that name.

    Raises:
        IsoglossError: there is none.
    """
    if name not in cards():
        raise unknown("task", name, [*cards(), CUSTOM])
    return cards()[name]
