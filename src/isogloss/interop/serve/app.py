"""The service over HTTP: its routes, and what stands in front of all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import isogloss
from isogloss.errors import IsoglossError
from isogloss.interop.serve.messages import (
    ErrorResponse,
    HealthResponse,
    ModelsResponse,
    PredictRequest,
    PredictResponse,
)
from isogloss.interop.serve.metrics import OTHER
from isogloss.interop.serve.page import page
from isogloss.interop.serve.refusal import FAULT, GONE, RefusedError
from isogloss.interop.serve.service import Service
from isogloss.runtime.console import err
from isogloss.runtime.visible import json_line

PATHS = frozenset({"/predict", "/models", "/health", "/metrics", "/docs", "/openapi.json"})
METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"})
# FastAPI's own would send paths, messages of exceptions and values wherever the environment says.
NO_TELEMETRY: Any = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)
NOTHING_FROM_ELSEWHERE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
REFUSALS = {
    400: "the body is not JSON", 401: "the token is missing or wrong", 404: "there is no model of that name",
    408: "the body did not come in time", 413: "the body is too large", 415: "the body is not said to be JSON",
    421: "without a token, the service answers under names of its own machine alone",
    422: "the body is JSON, but cannot be answered", 500: FAULT,
    503: "too much waits already; try again after as many seconds as Retry-After says",
    504: "there was no answer in time",
}  # fmt: skip


def application(service: Service) -> Front:
    """The service as an ASGI application, which any server of those takes.

    Args:
        service: the models and what answers for them; its thread lives as long as the application.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.batcher.start()
        try:
            yield
        finally:
            await asyncio.to_thread(service.batcher.close)

    api = FastAPI(
        title="isogloss", version=isogloss.__version__, lifespan=lifespan, openapi_url="/openapi.json", docs_url=None,
        redoc_url=None, redirect_slashes=False, telemetry=NO_TELEMETRY,
        exception_handlers={IsoglossError: _refused, HTTPException: _no_route, Exception: _fault},
    )  # fmt: skip

    async def predict(request: Request) -> Response:
        name, answers = await service.answered(request)
        return _json({"model": name, "answers": answers.answers, "cut": answers.cut})

    async def models() -> Response:
        return _json(ModelsResponse(models=service.models.cards()).model_dump())

    async def health() -> Response:
        if service.batcher.alive:
            return _json({"status": "ok"})
        return _json({"status": "nothing is answered any more; start it again"}, HTTPStatus.SERVICE_UNAVAILABLE)

    async def metrics() -> Response:
        return Response(service.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    async def docs(_: Request) -> Response:
        text = page(api.openapi(), service.limits, token=service.access.token is not None)
        return HTMLResponse(text, headers=NOTHING_FROM_ELSEWHERE)

    schema = PredictRequest.model_json_schema()
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorResponse, "description": said} for status, said in REFUSALS.items()
    }
    api.add_api_route(
        "/predict", predict, methods=["POST"], response_model=PredictResponse, responses=refusals,
        description="Label texts. Requests for models over one backbone share a forward pass.",
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}},
    )  # fmt: skip
    api.add_api_route("/models", models, response_model=ModelsResponse, description="The models that are served.")
    api.add_api_route(
        "/health", health, response_model=HealthResponse, description="Whether the service works; it needs no token."
    )
    api.add_api_route("/health", health, methods=["HEAD"], include_in_schema=False)  # as load balancers ask
    api.add_api_route("/metrics", metrics, response_class=Response, description="Figures, as Prometheus reads them.")
    api.add_route("/docs", docs, include_in_schema=False)
    return Front(api, service)


class Front:
    """What stands in front of the routes: who may ask, what is counted, and that no fault tells of a text.

    Args:
        app: the routes.
        service: whose they are.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        try:
            self.service.access.check(scope["path"], [(bytes(name), bytes(value)) for name, value in scope["headers"]])
            await self.app(scope, receive, noted)
        except RefusedError as refused:
            await _refusal(refused)(scope, receive, noted)
        except Exception as error:  # noqa: BLE001 - the server would log what the exception says
            self.service.fault(error)
            if not status:
                await _json({"error": FAULT}, HTTPStatus.INTERNAL_SERVER_ERROR)(scope, receive, noted)
        finally:
            self._tell(scope, status or GONE, time.monotonic() - began)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request, and log it where that is wanted: in words of the service's own alone."""
        path = scope["path"] if scope["path"] in PATHS else OTHER
        self.service.metrics.answered(path, status, seconds)
        if self.service.log:
            method = scope["method"] if scope["method"] in METHODS else OTHER
            err.print(f"{method} {path} {status} {1000 * seconds:.0f} ms", soft_wrap=True)


def _json(content: dict[str, Any], status: int = HTTPStatus.OK, headers: dict[str, str] | None = None) -> Response:
    return Response(json_line(content), status, headers, media_type="application/json")


def _refusal(refused: IsoglossError) -> Response:
    """A refusal; of what is wrong with a request and has no status of its own, 422."""
    known = refused if isinstance(refused, RefusedError) else None
    status = HTTPStatus.UNPROCESSABLE_ENTITY if known is None else known.status
    return _json({"error": str(refused)}, status, None if known is None else known.headers)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, IsoglossError)
    return _refusal(error)


async def _no_route(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = f"{error.detail.lower()}; /docs says what there is"
    return _json({"error": said}, error.status_code, dict(error.headers or {}))


async def _fault(_: Request, _error: Exception) -> Response:
    """The server's own handler goes on to raise it, to `Front`."""
    return _json({"error": FAULT}, HTTPStatus.INTERNAL_SERVER_ERROR)
