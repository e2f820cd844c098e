"""What is asked and answered over HTTP, as pydantic models: the documentation of the service is made of them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json

from isogloss.errors import IsoglossError, unknown
from isogloss.interop.serve.refusal import RefusedError
from isogloss.runtime.checked import Checked, check
from isogloss.runtime.visible import json_line

EXAMPLE: dict[str, Any] = {"texts": ["naipenda sana"], "language": "sw"}
SHOWN = 60  # characters of a name that came

# The first mistake is told: to collect those of a long list would take more memory than the list.
Pair = Annotated[list[str], Field(fail_fast=True)]


class PredictRequest(Checked):
    """Texts to label."""

    model_config = ConfigDict(strict=True, json_schema_extra={"examples": [EXAMPLE]})

    texts: Annotated[list[str | Pair], Field(fail_fast=True)] = Field(
        description="one text each; of pairs and questions the two texts in a list, or with a tab between"
    )
    model: Annotated[str, Field(max_length=500)] | None = Field(
        None, description="its name, as `/models` has it; may be left out where one alone is served"
    )
    language: Annotated[str, Field(max_length=100)] | None = Field(
        None,
        description="any code of the texts' language: written into the answers, and chooses the words of a verbalizer "
        "that has some for it",
    )
    scores: bool = Field(False, description="give the scores of all classes too")
    threshold: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="the least score with which a text is labelled; below it, it has no label"
    )


class PredictResponse(BaseModel):
    """Their labels."""

    model: str = Field(description="the name of the model that answered")
    answers: list[dict[str, Any]] = Field(
        description="one for each text, in order: what `isogloss predict` gives; `label` (of tagging `labels`, of "
        "questions `answer`) and `score`, from 0 to 1"
    )
    cut: int = Field(description="texts that are longer than the model takes, of which the beginning alone was read")


class ServedModelCard(BaseModel):
    """A model that is served."""

    name: str = Field(description="what a request calls it")
    also: list[str] = Field(description="other names of it")
    method: str = Field(description="how it was trained")
    seed: int = Field(description="of its training")
    kind: str = Field(description="of task")
    inputs: list[str] = Field(description="what a text consists of")
    labels: list[str] = Field(description="what it tells apart; of questions the two ends of an answer")
    languages: list[str] = Field(description="in which it was scored, the source among them")
    backbone: str = Field(description="that it stands on")
    dtype: str = Field(description="what the backbone computes in")
    temperature: float = Field(description="its scores were divided by it before they were made probabilities")
    shares: list[str] = Field(description="models whose texts go through a forward pass with its own")


class ModelsResponse(BaseModel):
    """All models that are served."""

    models: list[ServedModelCard] = Field(description="by name")


class HealthResponse(BaseModel):
    """Whether the service works."""

    status: str = Field(description="`ok`, or with status 503 what is wrong")


class ErrorResponse(BaseModel):
    """Why a request was refused."""

    error: str = Field(description="one line: what came, what was expected, how to mend it")


def predict_request(body: bytes) -> PredictRequest:
    """What a body asks for.

    Raises:
        RefusedError: it is not JSON (400), or JSON of something else (422).
    """
    try:
        # Names alone are kept for the next request: of texts nothing stays.
        raw = from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        expected = f"expected JSON such as {json_line(EXAMPLE)}"
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the body is not JSON ({str(error)[:80]}); {expected}") from None
    try:
        fields = PredictRequest.model_fields
        if isinstance(raw, dict) and (strange := next((name for name in raw if name not in fields), None)) is not None:
            raise unknown("key", strange[:SHOWN], fields)
        return check(PredictRequest, raw, where="body")
    except IsoglossError as error:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
