"""Cards: what a data set is, where it lies and how it is read. One YAML file each, found by listing the folder."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from isogloss.data import patterns, split_slices
from isogloss.data.card_checks import check_card
from isogloss.data.card_errors import first_mistake, refuse_wild
from isogloss.errors import IsoglossError, unknown
from isogloss.languages.language import Language, distinct
from isogloss.runtime import yaml

Split = Literal["train", "dev", "test"]
CUSTOM = "custom"  # the task whose card is the user's own
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


EXPECTED_LANGUAGES = "expected codes, such as `en de`, or codes with the data set's own: {en: english}"


def _text(value: object) -> object:
    """A name or label may be written as a number."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _codes(value: object) -> object:
    """Languages may be listed by the data set's own codes, or mapped where those mislead."""
    if isinstance(value, str):
        value = value.split()
    if isinstance(value, list) and all(isinstance(code, str) for code in value):
        value = {code: code for code in value}
    if not isinstance(value, dict) or not value:
        raise ValueError(EXPECTED_LANGUAGES)
    return {form: value[code] for form, code in _distinct(value).items()}


def _own_codes(value: object) -> object:
    return value if not isinstance(value, dict) else {form: value[code] for form, code in _distinct(value).items()}


def _distinct(codes: dict[Any, Any]) -> dict[str, Any]:
    """Codes by the canonical form of each, as they stand in the card."""
    by_text = {str(code): code for code in codes}
    try:
        return {form: by_text[code] for form, code in distinct(by_text).items()}
    except IsoglossError as error:  # which would not be told where it is
        raise ValueError(str(error)) from error


def _same_names() -> dict[Split, str]:
    return {"train": "train", "dev": "dev", "test": "test"}


def _some(splits: dict[Split, str]) -> dict[Split, str]:
    if not splits:
        raise ValueError("it names no split; expected such as {train: train, dev: dev, test: test}")
    return splits


def _once(names: list[str]) -> list[str]:
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"the column {twice!r} comes twice; give each a name of its own")
    return names


def _renamed_once(columns: dict[str, str]) -> dict[str, str]:
    _once(list(columns.values()))
    return columns


def _layouts(value: object) -> object:
    """One layout may stand without a list."""
    return [value] if isinstance(value, dict) else value


Text = Annotated[str, BeforeValidator(_text)]
Pattern = Annotated[Text, AfterValidator(patterns.check)]
OfCode = Annotated[Text, AfterValidator(partial(patterns.check, fields=("code",)))]
PartOfSplit = Annotated[Text, AfterValidator(split_slices.check)]
Splits = Annotated[dict[Split, PartOfSplit], AfterValidator(_some)]
Renamed = Annotated[dict[Text, Text], AfterValidator(_renamed_once)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Columns(_Strict):
    """Which columns of the files mean what."""

    id: Text | None = Field(None, description="left out: examples are numbered as they come")
    text: Text = Field(description="the text; of tagging, the words")
    second: Text | None = Field(None, description="the second text of a pair; the question about a passage")
    label: Text = Field(description="the label; of tagging, the tags; of questions, the answers with their places")
    group: Text | None = Field(None, description="rows alike in it stay together where splits are made of parts")


class Only(_Strict):
    """Which rows of a file are in a language; {code} is filled in."""

    column: Text = Field(description="of the files, beside those of the examples")
    equals: OfCode | None = Field(None, description="what the column holds")
    begins: OfCode | None = Field(None, description="what the column begins with")

    @model_validator(mode="after")
    def _one_of_both(self) -> Only:
        if (self.equals is None) == (self.begins is None):
            raise ValueError("give `equals` or `begins`")
        return self

    @property
    def pattern(self) -> str:
        """What the column holds or begins with."""
        return self.equals if self.equals is not None else self.begins or ""

    def holds(self, value: str, code: str) -> bool:
        """Whether a row with that value is in the language of that code."""
        filled = patterns.fill(self.pattern, code=code)
        return value == filled if self.equals is not None else value.startswith(filled)


class Local(_Strict):
    """How the data set, or some splits of it, lies in a folder of the user's."""

    path: Pattern = Field(description="of one file below the folder; {code} and {split} are filled in")
    format: Literal["tsv", "csv", "jsonl", "parquet", "tokens", "conllu", "squad"]
    folder: Text | None = Field(
        None, description="that its archive unpacks to: `data.path` is that folder or the one around it"
    )
    header: Annotated[list[Text], AfterValidator(_once)] | None = Field(
        None, description="names of the columns, where the files have no header; without the id's, rows are numbered"
    )
    delimiter: Text | None = Field(
        None, description="of tsv and csv: what stands between values; left out: a tab, a comma"
    )
    quoting: bool | None = Field(
        None, description="of tsv and csv: whether values may stand in double quotes; left out: in csv they may"
    )
    split_column: Text | None = Field(None, description="where one file holds all splits: the column that says which")
    splits: Splits = Field(default_factory=_same_names, description="what the files call each split")
    columns: Renamed = Field({}, description="columns that are called otherwise here: {premise: sentence1}")
    codes: Annotated[dict[str, Text], BeforeValidator(_own_codes)] = Field(
        {}, description="languages that are called otherwise here: {en: english}"
    )
    only: Only | None = Field(None, description="where one file holds all languages: which rows are whose")
    prefix: Text | None = Field(
        None, description="of files of words: what ends a prefix that each word has and that is left out (`en:house`)"
    )

    @model_validator(mode="after")
    def _delimited(self) -> Local:
        if self.delimiter is None and self.quoting is None:
            return self
        if self.format not in {"tsv", "csv"}:
            raise ValueError(f"delimiter and quoting are of the formats tsv and csv; the format is {self.format}")
        if self.delimiter is not None and (not self.delimiter or set(self.delimiter) & set('"\r\n')):
            raise ValueError(
                f"delimiter is {self.delimiter!r}; expected what stands between values, no quote or line end"
            )
        if len(self.delimiter or ",") > 1 and (self.format == "csv" if self.quoting is None else self.quoting):
            raise ValueError(
                f"delimiter is {self.delimiter!r}: several characters go only where no value is quoted (quoting: false)"
            )
        return self

    def paths(self, code: str, split: str) -> list[str]:
        """Where the file of a split in a language may lie below the folder.

        Raises:
            ValueError: one of them would lead out of it.
        """
        path = patterns.below(patterns.fill(self.path, code=code, split=split))
        return [path] if self.folder is None else [path, patterns.below(f"{self.folder}/{path}")]


class Hub(_Strict):
    """Where the data set lies on the hub."""

    id: Text
    revision: Text | None = Field(None, description="a commit, only where one is known for certain")
    config: OfCode | None = Field(None, description="{code} is filled in")
    splits: Splits = Field(default_factory=_same_names, description="what the hub calls each split")
    columns: Renamed = Field({}, description="columns that are called otherwise there: {form: tokens}")
    only: Only | None = Field(None, description="where one configuration holds all languages: which rows are whose")


class Card(_Strict):
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
    try:
        card = Card.model_validate(raw)
    except ValidationError as error:
        raise first_mistake(error, Card, raw, where) from error
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
