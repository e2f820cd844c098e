"""What one request may take, and all of them together: whoever sends more gets a refusal, not everybody's memory."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from pydantic import Field, PositiveInt, model_validator

from isogloss.errors import IsoglossError
from isogloss.interop.serve.refusal import RefusedError
from isogloss.runtime.checked import Checked, check


class Limits(Checked):
    """Limits of a service, each set by `--limit NAME=NUMBER`."""

    body: PositiveInt = Field(1 << 20, description="bytes of a request's body; a larger one is answered with 413")
    texts: PositiveInt = Field(256, description="texts of a request; more are answered with 422")
    characters: PositiveInt = Field(
        20_000, description="characters of a text, or of both texts of a pair; more are answered with 422"
    )
    queue: PositiveInt = Field(4096, description="texts that wait for the model; one too many is answered with 503")
    requests: PositiveInt = Field(256, description="requests under way at one time; one too many is answered with 503")
    seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        30.0, description="from a request's arrival to its answer; then 504, or 408 where its body has not come by then"
    )
    wait: Annotated[float, Field(ge=0, le=1000)] = Field(
        5.0, description="milliseconds that a request waits for others to share its forward pass"
    )

    @model_validator(mode="after")
    def _one_request_fits(self) -> Limits:
        if self.texts > self.queue:
            raise ValueError(f"queue has room for {self.queue:,} texts; expected at least {self.texts:,}, as `texts`")
        return self

    @classmethod
    def of(cls, given: Sequence[str]) -> Limits:
        """The usual limits, but for those that are given.

        Args:
            given: each `NAME=NUMBER`.

        Raises:
            IsoglossError: there is no such limit, or it is no such number.
        """
        values: dict[str, str] = {}
        for one in given:
            name, equals, value = one.partition("=")
            if not equals or not name or not value:
                raise IsoglossError(f"--limit {one!r:.80} is not of the form NAME=NUMBER, such as texts=512")
            values[name.strip()] = value.strip()
        return check(cls, values, where="--limit")

    def check_count(self, texts: int) -> None:
        """Whether a request may have so many texts.

        Raises:
            RefusedError: it may not.
        """
        if texts > self.texts:
            raise RefusedError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"texts has {texts:,} texts; expected at most {self.texts:,}: send several requests",
            )

    def check_length(self, parts: Sequence[str], number: int) -> None:
        """Whether a text may be so long.

        Args:
            parts: the text, or both texts of a pair.
            number: of the text in its request, from 1.

        Raises:
            RefusedError: it may not.
        """
        if (length := sum(map(len, parts))) > self.characters:
            raise RefusedError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"text {number} has {length:,} characters; expected at most {self.characters:,}: send its parts",
            )
