"""Cards: what a data set is, where it lies and how it is read. One YAML file each, found by listing the folder."""

from __future__ import annotations

from functools import cache
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

from isogloss.data import split_slices
from isogloss.errors import IsoglossError, unknown
from isogloss.languages.language import Language
from isogloss.runtime import yaml

Split = Literal["train", "dev", "test"]
CUSTOM = "custom"  # the task whose card is the user's own
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def _codes(value: object) -> object:
    """Languages may be listed by the data set's own codes, or mapped where those mislead."""
    if isinstance(value, str):
        value = {code: code for code in value.split()}
    if isinstance(value, dict):
        return {str(Language.parse(str(code))): theirs for code, theirs in value.items()}
    return value


def _same_names() -> dict[Split, str]:
    return {"train": "train", "dev": "dev", "test": "test"}


PartOfSplit = Annotated[str, AfterValidator(split_slices.check)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Columns(_Strict):
    """Which columns of the files mean what."""

    id: str | None = Field(None, description="left out: examples are numbered as they come")
    text: str = Field(description="the text; of tagging, the words")
    second: str | None = Field(None, description="the second text of a pair; the question about a passage")
    label: str = Field(description="the label; of tagging, the tags; of questions, the answers with their places")
    group: str | None = Field(None, description="rows alike in it stay together where splits are made of parts")


class Local(_Strict):
    """How the data set lies in a folder of the user's."""

    path: str = Field(description="of one file below the folder; {code} and {split} are filled in")
    format: Literal["tsv", "csv", "jsonl", "parquet", "tokens", "conllu", "squad"]
    header: list[str] | None = Field(None, description="names of the columns, where the files have no header")
    delimiter: str | None = Field(
        None, description="of tsv and csv: what stands between values; left out: a tab, a comma"
    )
    quoting: bool | None = Field(
        None, description="of tsv and csv: whether values may stand in double quotes; left out: in csv they may"
    )
    split_column: str | None = Field(None, description="where one file holds all splits: the column that says which")
    splits: dict[Split, PartOfSplit] = Field(default_factory=_same_names)

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
                f"delimiter is {self.delimiter!r}, and of several characters only where no value is quoted: "
                "quoting: false"
            )
        return self


class Only(_Strict):
    """Which rows of a file are in a language; {code} is filled in."""

    column: str
    equals: str | None = Field(None, description="what the column holds")
    begins: str | None = Field(None, description="what the column begins with")

    @model_validator(mode="after")
    def _one_of_both(self) -> Only:
        if (self.equals is None) == (self.begins is None):
            raise ValueError("give `equals` or `begins`")
        return self

    def holds(self, value: str, code: str) -> bool:
        """Whether a row with that value is in the language of that code."""
        if self.equals is not None:
            return value == self.equals.format(code=code)
        return value.startswith((self.begins or "").format(code=code))


class Hub(_Strict):
    """Where the data set lies on the hub."""

    id: str
    revision: str | None = Field(None, description="a commit, only where one is known for certain")
    config: str | None = Field(None, description="{code} is filled in")
    splits: dict[Split, PartOfSplit] = Field(default_factory=_same_names)
    columns: dict[str, str] = Field({}, description="columns that are called otherwise there: {form: tokens}")


class Card(_Strict):
    """A data set and its task."""

    name: str
    title: str = ""
    kind: str = Field(description="of task: a name in `isogloss.data.kinds`")
    source: str = Field(description="the language it is usually trained in")
    parallel: bool = Field(False, description="whether an id means the same example in every language")
    metrics: list[str] = Field([], description="the first is what selection goes by; left out: the usual of the kind")
    labels: list[str] = Field([], description="in the order of the head's classes; questions have none of their own")
    aliases: dict[str, str] = Field(default_factory=dict, description="other spellings found in files")
    columns: Columns
    local: Local | None = None
    hub: Hub | None = None
    train: str | None = Field(None, description="the data set to train and select on, where this one only tests")
    only: Only | None = Field(None, description="where one file holds all languages: which rows are whose")
    generator: str | None = Field(None, description="a module that makes the data, instead of files")
    drop: list[str] = Field([], description="labels that mark a row as void; such rows are left out and counted")
    licence: str = "not stated"
    citation: str = ""
    languages: Annotated[dict[str, str], BeforeValidator(_codes)] = Field(
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
        return self

    def code(self, language: Language) -> str:
        """What the data set calls a language of its own.

        Raises:
            IsoglossError: it does not have it.
        """
        if str(language) not in self.languages:
            raise unknown(f"language of {self.name}", str(language), self.languages)
        return self.languages[str(language)]

    def language(self, code: str) -> Language:
        """The data set's language that a user means: where one side names no region, any region fits (`en-US`, `en`).

        Raises:
            IsoglossError: it has none such, or several.
        """
        asked = Language.parse(code)
        if str(asked) in self.languages:
            return asked
        alike = [Language.parse(known) for known in self.languages]
        alike = [known for known in alike if (known.iso, known.script) == (asked.iso, asked.script)]
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
    return read_card(yaml.load(path), where=str(path))


def read_card(raw: object, *, where: str) -> Card:
    """A card from what its YAML holds.

    Raises:
        IsoglossError: something in it is wrong; the first mistake is named.
    """
    try:
        return Card.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise IsoglossError(f"{where}: {field}: {first['msg']}" if field else f"{where}: {first['msg']}") from error


def find(name: str) -> Card:
    """The card of that name.

    Raises:
        IsoglossError: there is none.
    """
    if name not in cards():
        raise unknown("task", name, [*cards(), CUSTOM])
    return cards()[name]
