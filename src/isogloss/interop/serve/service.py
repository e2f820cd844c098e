"""From a request to its answer: read within limits, checked, put into the queue, waited for as long as anybody does."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Any

from starlette.requests import ClientDisconnect, Request

from isogloss.interop.serve import faults
from isogloss.interop.serve.access import Access
from isogloss.interop.serve.batcher import Answers, Batcher, Pending
from isogloss.interop.serve.limits import Limits
from isogloss.interop.serve.messages import PredictRequest, predict_request
from isogloss.interop.serve.metrics import Metrics
from isogloss.interop.serve.models import ServedModels
from isogloss.interop.serve.refusal import GONE, RefusedError, busy
from isogloss.languages.language import Language

MOST_DIGITS = 15  # of a body's length
CLOSE = {"Connection": "close"}  # a connection on which half a body has come is good for nothing more


class Service:
    """Models, and what answers requests for them.

    Args:
        models: by name.
        limits: of requests.
        access: who may ask.
        log: whether each request is told of in a line: path, status and time, never what it says.
    """

    def __init__(self, models: ServedModels, limits: Limits, access: Access, *, log: bool = False) -> None:
        self.models, self.limits, self.access, self.log = models, limits, access, log
        self.metrics = Metrics()
        self.batcher = Batcher(limits, self.metrics, self.fault)
        self._under_way = 0  # requests to label

    def fault(self, error: BaseException) -> None:
        """Count a fault, and say where it is."""
        self.metrics.failed.inc()
        faults.say(error)

    async def answered(self, request: Request) -> tuple[str, Answers]:
        """The name of the model that a request asks for, and its answers.

        Raises:
            IsoglossError: it cannot be answered.
        """
        until = time.monotonic() + self.limits.seconds
        if self._under_way >= self.limits.requests:
            raise busy(f"{self._under_way:,} requests are under way, and there may be {self.limits.requests:,}", 1)
        self._under_way += 1
        try:
            pending = self._pending(predict_request(await self._body(request, until)), until)
            answers = await self._answers(request, pending) if pending.parts else Answers([], 0)
        finally:
            self._under_way -= 1
        return pending.served.name, answers

    async def _body(self, request: Request, until: float) -> bytes:
        """The body of a request, of which no more is read than it may have."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected a body of JSON; send `Content-Type: application/json`"
            )
        most = self.limits.body
        too_large = RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body is larger than {most:,} bytes; send fewer texts in a request",
        )
        length = request.headers.get("content-length", "")
        if length.isdigit() and (len(length) > MOST_DIGITS or int(length) > most):
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(until - time.monotonic()):
                async for piece in request.stream():
                    body += piece
                    if len(body) > most:
                        raise too_large
        except TimeoutError:
            said = f"the body did not come within {self.limits.seconds:g} seconds; send it at once"
            raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, said, CLOSE) from None
        except ClientDisconnect:
            raise _gone() from None
        return bytes(body)

    def _pending(self, asked: PredictRequest, until: float) -> Pending:
        """What a request asks for, checked."""
        served = self.models.find(asked.model)
        language = None if asked.language is None else str(Language.parse(asked.language))
        served.model.check(scores=asked.scores, threshold=asked.threshold)
        self.limits.check_count(len(asked.texts))
        every = []
        for number, text in enumerate(asked.texts, start=1):
            self.limits.check_length([text] if isinstance(text, str) else text, number)
            every.append(served.model.parts(text, number))
        return Pending(served, every, language, asked.scores, asked.threshold, until)

    async def _answers(self, request: Request, pending: Pending) -> Answers:
        """The answers to a request, unless time is up or whoever asked has hung up."""
        self.batcher.put(pending)
        answer = asyncio.wrap_future(pending.future)
        gone = asyncio.ensure_future(_hung_up(request))
        either: set[asyncio.Future[Any]] = {answer, gone}
        try:
            await asyncio.wait(either, timeout=pending.until - time.monotonic(), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if gone.done():
                raise _gone()
            raise RefusedError(
                HTTPStatus.GATEWAY_TIMEOUT,
                f"there was no answer within {self.limits.seconds:g} seconds; send fewer texts, or try again later",
            )
        finally:
            if not answer.done():
                self.batcher.leave(pending)
            answer.cancel()
            gone.cancel()


async def _hung_up(request: Request) -> None:
    """Wait until whoever asked has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _gone() -> RefusedError:
    return RefusedError(GONE, "whoever asked has hung up", CLOSE)
