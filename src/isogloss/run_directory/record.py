"""What is written of a finished cell beside its weights and tables, and how cells are called."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import to_json

from isogloss.errors import IsoglossError
from isogloss.languages.language import Language
from isogloss.run_directory.damage import DamagedError
from isogloss.runtime.json import load

LONGEST_NAME = 160  # of a folder; file systems take 255 bytes


class RunRecord(BaseModel):
    """What is written of a finished cell beside its weights and tables: `run.json`."""

    model_config = ConfigDict(frozen=True, extra="allow")  # a later version may have more to say

    method: str  # the label: the name, with the variant's settings behind it
    name: str  # in the spec
    variant: dict[str, Any]  # the settings that tell it from others of that name
    seed: int
    facts: dict[str, Any]  # all that decides the result
    test_data: dict[str, str]  # the fingerprint of each language's test split
    unlabelled: list[str] = []  # of these languages, those that have no labels: predicted, and not scored
    kind: str  # of task
    inputs: list[str] = Field(min_length=1)  # what an example consists of, for people
    labels: list[str]  # in the order of the head's classes
    trainable_parameters: int = Field(ge=0)
    backbone_parameters: int = Field(gt=0)
    selected_epoch: int
    updates: int
    skipped_updates: int  # whose gradient was not finite
    source_learnt: float | None  # the share of the updates after which the source was learnt
    # What scores are divided by to be probabilities; None: made before it was kept, or of no classes.
    temperature: float | None = Field(default=None, ge=1e-3, le=1e3)
    observed: dict[str, int] | None  # examples of each language that were looked at in training
    truncated: dict[str, int]  # texts of each split that were cut to fit
    environment: dict[str, Any]  # what it was made with
    # Of the data, by split and language or by language; nothing of these was kept before.
    drawn: dict[str, dict[str, list[int]]] = {}  # how many examples a limit has left, of how many
    lacking: dict[str, dict[str, list[str]]] = {}  # labels of the data set of which there is no example
    same: dict[str, str] = {}  # languages whose test split is another's once more
    unknown: dict[str, float] = {}  # share of tokens that the tokenizer does not know
    tokenless: dict[str, int] = {}  # texts that become no token at all
    cut: dict[str, int] = {}  # test texts that were cut to fit
    weights_sha256: str | None = None  # of the file; None: made before it was kept
    # Of the file of each table, as it is and, while languages are being added, as it is about to be.
    tables_sha256: dict[str, list[str]] = {}
    left_out: list[str] = []  # tables that stayed behind when the cell was exported

    @property
    def scored(self) -> list[str]:
        """The languages of `test_data` that have scores."""
        return [code for code in self.test_data if code not in self.unlabelled]

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, raw: Any) -> Any:
        """Records of before 0.2 have the label alone, from which name and variant are read here and nowhere else."""
        if isinstance(raw, dict) and isinstance(raw.get("method"), str) and "name" not in raw:
            name, _, variant = raw["method"].partition("[")
            facts = raw.get("facts")
            settings = facts.get("settings") if isinstance(facts, dict) else None
            settings = settings if isinstance(settings, dict) else {}
            keys = re.findall(r"(?:^|,)(\w+)=", variant)
            values = {key: settings.get(key) for key in keys}
            whole = label_of(name, values.items()) == raw["method"]
            raw = {**raw, "name": name if whole else raw["method"], "variant": values if whole else {}}
        return raw


class _Backbone(BaseModel):
    weights: str
    dtype: Literal["float32", "bfloat16"]


class _Verbalizer(BaseModel):
    vocabulary: str


class _Facts(BaseModel):
    """The facts that whatever opens a cell asks for."""

    method: str
    settings: dict[str, Any]
    backbone: _Backbone
    metrics: list[str] = Field(min_length=1)
    labels: list[str] | None = None
    source: str | None = None
    subword: str | None = None
    longest: int | None = Field(default=None, ge=1)
    verbalizer: _Verbalizer | None = None


def check_facts(record: RunRecord, folder: Path) -> None:
    """Whether a stored record says what its cell consists of.

    Raises:
        DamagedError: it does not.
    """
    try:
        _Facts.model_validate(record.facts)
    except ValidationError as error:
        raise DamagedError(folder / "run.json", f"facts.{_first(error)}") from error
    if label_of(record.name, record.variant.items()) != record.method:
        raise DamagedError(folder / "run.json", f"method: {record.method!r} is not made of its name and variant")
    if strange := [code for code in record.test_data if not _is_language(code)]:
        raise DamagedError(folder / "run.json", f"test_data: {strange[0]!r} is no language")
    if strange := [code for code in record.unlabelled if code not in record.test_data]:
        raise DamagedError(folder / "run.json", f"unlabelled: {strange[0]!r} is not in test_data")


@cache
def _is_language(code: str) -> bool:
    try:
        return str(Language.parse(code)) == code
    except IsoglossError:
        return False


def read_record(folder: Path) -> RunRecord:
    """The record of a finished cell.

    Raises:
        DamagedError: there is none, or it is not what isogloss writes.
    """
    file = folder / "run.json"
    try:
        raw = load(file)
    except IsoglossError as error:
        raise DamagedError(file, str(error).removeprefix(f"{file} ")) from error
    try:
        return RunRecord.model_validate(raw)
    except ValidationError as error:
        raise DamagedError(file, _first(error)) from error


def write_record(file: Path, record: RunRecord) -> None:
    """Write it as `read_record` reads it."""
    file.write_bytes(to_json(record.model_dump(mode="json"), indent=2, inf_nan_mode="constants") + b"\n")


def with_languages(before: RunRecord, new: RunRecord) -> dict[str, Any]:
    """What is said of the data of a cell to which languages are added."""
    by_split = {
        name: {
            split: {**getattr(before, name).get(split, {}), **getattr(new, name).get(split, {})}
            for split in {**getattr(before, name), **getattr(new, name)}
        }
        for name in ("drawn", "lacking")
    }
    return {
        **by_split,
        "unlabelled": list(dict.fromkeys([*before.unlabelled, *new.unlabelled])),
        **{name: {**getattr(new, name), **getattr(before, name)} for name in ("same", "unknown", "tokenless", "cut")},
    }


def label_of(name: str, variant: Iterable[tuple[str, Any]]) -> str:
    """A method's name with the settings of a variant: `deep-prompt[length=16,lr=0.01]`."""
    shown = ",".join(f"{key}={value}" for key, value in variant)
    return f"{name}[{shown}]" if shown else name


def in_order(records: Iterable[RunRecord], names: Sequence[str]) -> list[str]:
    """The labels of cells, each once: methods by the order of their names, variants by their values, 8 before 16.

    Args:
        records: of the cells, in any order.
        names: of the methods, as the spec has them; cells of others come last.
    """

    def rank(record: RunRecord) -> tuple[Any, ...]:
        numbers = [value for value in record.variant.values() if isinstance(value, int | float)]
        return names.index(record.name) if record.name in names else len(names), record.name, numbers, record.method

    return list(dict.fromkeys(record.method for record in sorted(records, key=rank)))


def fingerprint(facts: Mapping[str, Any]) -> str:
    """sha256 of a cell's facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def safe_name(label: str) -> str:
    """A method's label as a folder name that every file system takes; unlike labels have unlike names."""
    safe = re.sub(r"[^A-Za-z0-9._=,+-]", "_", label)
    # Brackets stand around every variant and tell nothing apart; whatever else had to go might.
    plain = re.fullmatch(r"[A-Za-z0-9._=,+-]*(\[[A-Za-z0-9._=,+-]*\])?", label) and len(label) <= LONGEST_NAME
    return safe if plain else f"{safe[:LONGEST_NAME]}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    return f"{key}: {first['msg']}" if key else str(first["msg"])
