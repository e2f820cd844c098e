"""What every method can be told about training. A method file adds its own fields and defaults."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from isogloss.runtime.checked import Checked

Rate = Annotated[float, Field(gt=0, le=10)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Settings(Checked):
    """Training settings of one method. Frozen: a cell's fingerprint is made of them."""

    MOST: ClassVar[float] = 10**9
    MOST_OF: ClassVar[dict[str, int]] = {"epochs": 10**6, "length": 10**5, "rank": 10**5}

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
    select: Literal["best", "last", "mean"] = Field(
        "best", description="keep the epoch with the best source dev score, the last one, or the mean of all"
    )

    @property
    def averaged(self) -> float:
        """The share of the epochs, the last, of whose weights the mean is kept; 0 where one epoch's are."""
        return float(self.select == "mean")
