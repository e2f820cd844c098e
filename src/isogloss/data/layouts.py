"""Where a data set lies, as its card says: the layouts of its files, and its place on the hub."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from isogloss.data import patterns, split_slices
from isogloss.errors import IsoglossError
from isogloss.languages.language import distinct

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


def _text(value: object) -> object:
    """A name or label may be written as a number."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _own_codes(value: object) -> object:
    return value if not isinstance(value, dict) else {form: value[code] for form, code in distinct_codes(value).items()}


def distinct_codes(codes: dict[Any, Any]) -> dict[str, Any]:
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


Text = Annotated[str, BeforeValidator(_text)]
Pattern = Annotated[Text, AfterValidator(patterns.check)]
OfCode = Annotated[Text, AfterValidator(partial(patterns.check, fields=("code",)))]
PartOfSplit = Annotated[Text, AfterValidator(split_slices.check)]
Splits = Annotated[dict[Split, PartOfSplit], AfterValidator(_some)]
Renamed = Annotated[dict[Text, Text], AfterValidator(_renamed_once)]


class Strict(BaseModel):
    """What a card is made of: no keys but those that it knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Columns(Strict):
    """Which columns of the files mean what."""

    id: Text | None = Field(None, description="left out: examples are numbered as they come")
    text: Text = Field(description="the text; of tagging, the words")
    second: Text | None = Field(None, description="the second text of a pair; the question about a passage")
    label: Text = Field(description="the label; of tagging, the tags; of questions, the answers with their places")
    group: Text | None = Field(None, description="rows alike in it stay together where splits are made of parts")


class Only(Strict):
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


class Local(Strict):
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


class Hub(Strict):
    """Where the data set lies on the hub."""

    id: Text
    revision: Text | None = Field(None, description="a commit, only where one is known for certain")
    config: OfCode | None = Field(None, description="{code} is filled in")
    splits: Splits = Field(default_factory=_same_names, description="what the hub calls each split")
    columns: Renamed = Field({}, description="columns that are called otherwise there: {form: tokens}")
    only: Only | None = Field(None, description="where one configuration holds all languages: which rows are whose")
