"""What every method can be told about training. A method file adds its own fields and defaults."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BeforeValidator, Field, PositiveInt, ValidationError, model_validator

from isogloss.errors import IsoglossError
from isogloss.runtime.checked import Checked, check

Rate = Annotated[float, Field(gt=0, le=10)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
SELECTIONS = ("best", "last", "mean")


class MeanOfUpdates(Checked):
    """A choice of weights: their mean over updates of the last part of a training, the last update among them."""

    mean: float = Field(gt=0, le=1, description="share of the updates, the last, over which weights are averaged")
    every: PositiveInt = Field(4, description="of these, counted from the last one, every so manieth")

    def number(self, step: int, total: int) -> int:
        """The how manieth of the updates that count an update is; 0: it is none of them.

        Args:
            step: updates done, this one included.
            total: updates of the whole training.
        """
        span = max(1, math.ceil(round(self.mean * total, 6)))  # 0.7 * 10 is a little more than 7
        if step <= total - span or (total - step) % self.every:
            return 0
        return (span - 1) // self.every + 1 - (total - step) // self.every


class Drift(NamedTuple):
    """A penalty on how far hidden states move from those of the pre-trained backbone."""

    strength: float
    layer: int | None  # behind so many layers; None: behind half of them

    def depth(self, layers: int) -> int:
        """Behind how many of a model's layers."""
        return max(1, layers // 2) if self.layer is None else self.layer


def _selection(value: Any) -> Any:
    """One of three words, or a mean over updates; told as one thing where it is neither."""
    if isinstance(value, MeanOfUpdates) or (isinstance(value, str) and value in SELECTIONS):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(  # noqa: TRY004 - pydantic tells of no other
            "expected best, last, mean (of all epochs) or a mean over updates such as {mean: 0.5}"
        )
    try:
        return check(MeanOfUpdates, dict(value), where="")
    except IsoglossError as error:
        raise ValueError(str(error).removeprefix(": ")) from error


Selection = Annotated[Literal["best", "last", "mean"] | MeanOfUpdates, BeforeValidator(_selection)]


class Settings(Checked):
    """Training settings of one method. Frozen: a cell's fingerprint is made of them."""

    MOST: ClassVar[float] = 10**9
    MOST_OF: ClassVar[dict[str, int]] = {"epochs": 10**6, "length": 10**5, "rank": 10**5}
    # One key of a spec that sets several of these fields alike; stored are the fields.
    SHORTHANDS: ClassVar[dict[str, tuple[str, ...]]] = {}
    GONE: ClassVar[frozenset[str]] = frozenset()  # fields of before, which stored cells have and no spec may
    FILLED_IN: ClassVar[frozenset[str]] = frozenset()  # fields that are found out by the run and chosen by nobody
    LATER: ClassVar[frozenset[str]] = frozenset()  # fields that facts leave out at their default, as those of before do
    NO_MEAN: ClassVar[str] = "its trainings begin apart, and the mean of what they end at was never trained"

    lr: Rate = Field(description="peak learning rate of what the method trains besides the head")
    head_lr: Rate = Field(1e-3, description="peak learning rate of the head, which starts from nothing and needs more")
    epochs: PositiveInt = Field(description="passes over the training examples")
    batch_size: PositiveInt = Field(32, description="examples of one update")
    warmup: Fraction = Field(0.1, description="share of the updates over which the rates rise from zero")
    decay: Literal["linear", "cosine", "constant"] = Field("linear", description="how the rates fall after that")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's decoupled weight decay, of matrices only")
    clip: float = Field(1.0, gt=0, description="greatest gradient norm of one update")
    dropout: Fraction = Field(0.1, description="share of the pooled state hidden from the head in training")
    head: Literal["linear", "verbalizer"] = Field(
        "linear", description="a linear head, or the model's own over its vocabulary, by the spec's `verbalizer`"
    )
    pooling: Literal["first", "mean", "last"] | None = Field(
        None, description="how a text becomes one vector; left out: as the backbone was trained"
    )
    select: Selection = Field(
        "best",
        description="keep the epoch with the best source dev score, the last one, the mean of all, or the mean over "
        "every fourth update of the last part of the training: {mean: 0.5, every: 4}",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _shorthands(cls, values: Any, validated: Callable[[Any], Any]) -> Any:
        """A mistake in a shorthand's value is told of the shorthand."""
        given = cls.SHORTHANDS.keys() & values.keys() if isinstance(values, Mapping) else set()
        if not given:
            return validated(values)
        stands_for = {name: shorthand for shorthand in given for name in cls.SHORTHANDS[shorthand]}
        try:
            return validated(cls.spelled_out(values))
        except ValidationError as error:
            told: list[Any] = [
                {**one, "loc": tuple(stands_for.get(str(place), place) for place in one["loc"])}
                for one in error.errors()
            ]
            raise ValidationError.from_exception_data(error.title, told) from error

    @classmethod
    def spelled_out(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Settings by name, with the fields that a shorthand stands for in its place.

        Raises:
            ValueError: one of these is given as well.
        """
        spelled = dict(values)
        for shorthand in cls.SHORTHANDS.keys() & spelled.keys():
            fields = cls.SHORTHANDS[shorthand]
            if twice := [name for name in fields if name in values]:
                raise ValueError(f"`{shorthand}` sets {' and '.join(fields)}; expected it alone, or no {twice[0]}")
            spelled |= dict.fromkeys(fields, spelled.pop(shorthand))
        return spelled

    def facts(self) -> dict[str, Any]:
        """What of them decides a result."""
        defaults = {name: field.default for name, field in type(self).model_fields.items() if name in self.LATER}
        dumped = self.model_dump(mode="json")
        return {name: value for name, value in dumped.items() if name not in defaults or value != defaults[name]}

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """A stored cell's settings as far as they are settings still: enough to restore it, but not to train it."""
        return {name: value for name, value in values.items() if name not in cls.GONE}

    @property
    def kept(self) -> Literal["best", "last", "mean"] | MeanOfUpdates:
        """Which weights a training keeps."""
        return self.select

    @property
    def holds(self) -> Drift | None:
        """What keeps the backbone's states near those that it was pre-trained to, if anything does."""
        return None
