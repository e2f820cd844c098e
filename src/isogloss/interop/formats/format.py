"""What a format is: how a trained model leaves isogloss, and how another library takes it up again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from isogloss.interop.trained import Trained


@runtime_checkable
class Format(Protocol):
    """One file in this folder, with an instance of this in `FORMAT`."""

    name: str
    extra: str  # of isogloss, that brings the library
    libraries: tuple[str, ...]  # modules that writing and checking need
    title: str  # what is written, for people
    library: str  # that loads it, as the hub calls it

    def refusal(self, trained: Trained) -> str | None:
        """Why a model has no exact form here; None where it has one."""
        ...

    def write(self, trained: Trained, out: Path) -> None:
        """Write the model into an empty folder."""
        ...

    def scores(self, out: Path, inputs: Sequence[Sequence[str]]) -> list[Float[Tensor, "units C"]]:
        """What the other library makes of inputs, from what was written alone.

        Args:
            out: the folder.
            inputs: the parts of each: a text, a pair, a question and its passage; of tagging the words.

        Returns:
            Scores of each input's units: of classification one, of tagging the words, of questions the tokens of the
            passage, without the token that stands for "not here".
        """
        ...

    def usage(self, trained: Trained) -> str:
        """Python code of a few lines that loads what was written and labels a text; `FOLDER` stands for where it is."""
        ...
