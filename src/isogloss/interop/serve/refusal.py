"""Requests that are refused: a status, and one line that says what came, what was expected and how to mend it."""

from __future__ import annotations

from http import HTTPStatus

from isogloss.errors import IsoglossError

GONE = 499  # whoever asked has hung up; nobody reads this
FAULT = "this is a fault of the service; its log says where"


class RefusedError(IsoglossError):
    """A request that is not answered.

    Args:
        status: of HTTP.
        message: for whoever asked.
        headers: that go with the status, such as `Retry-After`.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


def busy(why: str, seconds: int) -> RefusedError:
    """What is asked for could be had later.

    Args:
        why: it cannot be had now.
        seconds: after which it is worth trying again.
    """
    after = {"Retry-After": str(max(1, seconds))}
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, f"{why}; try again later", after)
