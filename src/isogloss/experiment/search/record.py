"""What is kept of a search in the run directory: `search/NAME/search.json`. It is read again before it is believed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, model_validator

from isogloss.errors import IsoglossError
from isogloss.run_directory.record import safe_name
from isogloss.runtime.files import atomic_file
from isogloss.runtime.json import load_mapping
from isogloss.runtime.visible import one_line

FOLDER, FILE, CHECKPOINTS = "search", "search.json", "checkpoints"
WORDS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}  # which YAML does not read as texts
# What is written out stands in reports and terminals, and anybody may have written the file.
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,99}$")]
Settings = dict[Name, Any]


class Asked(BaseModel):
    """What the spec asked for: see `Space`."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, extra="forbid")

    method: Name
    fixed: Settings
    tried: Settings
    budget: float = Field(gt=0)
    forms: dict[Name, Settings] | None


class Pause(BaseModel):
    """A candidate, looked at."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    candidate: NonNegativeInt
    rung: NonNegativeInt
    share: float = Field(gt=0, le=1)  # of its updates
    step: NonNegativeInt
    score: float  # on the source's development data
    cost: float = Field(ge=0)  # of this part, in tokens of a forward pass
    curve: list[tuple[float, float]] = []  # epoch and score, as every training has them
    answers: list[str] | None = None  # where it is at its end


class SearchRecord(BaseModel):
    """A search, finished or on its way."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    asked: Asked
    facts: dict[str, Any]  # what decides results, of the first candidate
    candidates: list[Settings] = Field(min_length=1)
    metric: Name
    unit: float = Field(gt=0)  # tokens of a full training, the mean of the candidates
    rungs: list[tuple[Annotated[int, Field(ge=1)], Annotated[float, Field(gt=0, le=1)]]] = Field(
        min_length=1, max_length=20
    )  # how many, to what share, as planned
    pauses: list[Pause] = []
    chosen: NonNegativeInt | None = None
    tied: list[NonNegativeInt] = []  # candidates within one standard error of the best, itself among them

    @model_validator(mode="after")
    def _of_candidates(self) -> SearchRecord:
        named = {
            *self.tied,
            *(pause.candidate for pause in self.pauses),
            *([] if self.chosen is None else [self.chosen]),
        }
        if named and max(named) >= len(self.candidates):
            raise ValueError(f"there is no candidate {max(named)}")
        shares = [share for _, share in self.rungs]
        if shares != sorted(set(shares)) or shares[-1] != 1:
            raise ValueError("its rungs do not rise to the whole of a training")
        if any(pause.rung >= len(self.rungs) for pause in self.pauses):
            raise ValueError(f"there are but {len(self.rungs)} rounds")
        if len({(pause.candidate, pause.rung) for pause in self.pauses}) < len(self.pauses):
            raise ValueError("a candidate was looked at twice")
        if self.asked.forms is not None and len(self.asked.forms) != len(self.candidates):
            raise ValueError("its candidates are not its forms")
        return self

    @property
    def cost(self) -> float:
        """What it cost so far, in full trainings."""
        return sum(pause.cost for pause in self.pauses) / self.unit

    def of_rung(self, number: int) -> dict[int, Pause]:
        """Who was looked at there."""
        return {pause.candidate: pause for pause in self.pauses if pause.rung == number}

    def sentence(self) -> str:
        """What it came to, in words."""
        if self.chosen is None:
            return f"searching, {len(self.candidates)} candidates"
        given = ", ".join(f"{key}: {shown(value)}" for key, value in self.candidates[self.chosen].items())
        return f"{given}; chosen from {len(self.candidates)} candidates for the price of {self.cost:.1f} runs"


def folder(out: Path, name: str) -> Path:
    """Where a search of a run directory is kept, by what the spec calls its method."""
    return out / FOLDER / safe_name(name)


def read(out: Path, name: str) -> SearchRecord | None:
    """What is kept of a search; None where there is nothing.

    Raises:
        IsoglossError: it is not what isogloss writes there.
    """
    file = folder(out, name) / FILE
    if not file.exists():
        return None
    try:
        return SearchRecord.model_validate(load_mapping(file))
    except ValidationError as error:
        raise IsoglossError(
            f"{file} is not what isogloss writes there: {_first(error)}; to search anew, delete the folder "
            f"{file.parent}"
        ) from error


def write(out: Path, name: str, record: SearchRecord) -> None:
    """Keep it; the folder is there."""
    with atomic_file(folder(out, name) / FILE) as file:
        file.write_text(json.dumps(record.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return one_line(f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:200])


def shown(value: Any) -> str:
    """A setting as it is written in a spec."""
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w-]*", value, re.ASCII) and value.lower() not in WORDS
    return value if plain else json.dumps(value)
