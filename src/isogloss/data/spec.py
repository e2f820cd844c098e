"""Where an experiment's data lies and how much of it is used, as the user writes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from isogloss.runtime.checked import Checked
from isogloss.runtime.fields import Folder

Part = Annotated[str, Field(pattern=r"^(train|dev|test)(\[(\d{1,9}%?)?:(\d{1,9}%?)?\])?$")]


class TrainSpec(Checked):
    """Another data set to train on."""

    task: str = Field(
        description="a data set by its card, of the same kind and with no other labels; or `custom`, with one's own"
    )
    card: dict[str, Any] | None = Field(
        None, description="what its files are, where it is `custom`; left out: the `card.yaml` beside them"
    )
    path: Folder | None = Field(None, description="a folder in its own layout; left out: the hub or a package")


class DataSpec(Checked):
    """Where the data lies and how much of it is used."""

    path: Folder | None = Field(
        None, description="a folder in the data set's own layout; left out: the hub or a package"
    )
    card: dict[str, Any] | None = Field(None, description="what the files are, where the task is `custom`")
    train: TrainSpec | None = Field(
        None, description="train and select on another data set; left out: what the card says where it only tests"
    )
    splits: dict[Literal["train", "dev", "test"], Part] = Field(
        {}, description="parts of the data set's splits that stand for others: {train: 'dev[:80%]', dev: 'dev[80%:]'}"
    )
    labels: dict[str, str] = Field({}, description="labels that are read as others: {OTH: O}")
    shots: PositiveInt | None = Field(
        None, description="so many examples of each class to train on and to select on, drawn by the seed of a run"
    )
    train_limit: PositiveInt | None = Field(
        None,
        description="at most so many source examples to train on, drawn in proportion to labels (tagging: evenly over "
        "the file, questions: in proportion to articles), the same ones for every method and seed",
    )
    dev_limit: PositiveInt | None = Field(
        None, description="at most so many source examples to select on, drawn like those to train on"
    )
    test_limit: PositiveInt | None = Field(
        None,
        description="at most so many examples to score in each language, drawn alike; where the data are parallel, the "
        "source's, and the same ones in every language",
    )
    unseen: Literal["refuse", "keep"] = Field(
        "refuse", description="test labels that training never shows: refuse them, or keep them, never to be predicted"
    )
    subword: Literal["first", "last"] | None = Field(
        None, description="which sub-word of a word is tagged; left out: the first, on a decoder the last"
    )
    longest: Annotated[int, Field(ge=16)] | None = Field(
        None, description="most tokens of a row; left out: what the model takes, and 384 for questions with passages"
    )


class ParallelSpec(Checked):
    """Sentences that say the same in several languages."""

    task: str = Field("sib200", description="a data set whose card says that it is parallel")
    path: Folder | None = Field(None, description="a folder in its own layout; left out: the hub or a package")
    sentences: Annotated[int, Field(ge=4)] = Field(32, description="of each language, the first that all have")
