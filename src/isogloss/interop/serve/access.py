"""Who may ask: whoever has the token, or, where there is none, whoever is on this machine."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from isogloss.errors import IsoglossError
from isogloss.interop.serve.refusal import RefusedError
from isogloss.runtime.files import read_bytes

VARIABLE = "ISOGLOSS_TOKEN"
SHORTEST, LONGEST = 16, 1024  # characters of a token
OPEN = frozenset({"/health", "/docs", "/openapi.json"})  # these tell nothing of models, texts or use
TOKEN = re.compile(rf"[\x21-\x7e]{{{SHORTEST},{LONGEST}}}")
MAKE_ONE = "make one, such as by `openssl rand -hex 32`"


@dataclass(frozen=True)
class Access:
    """What a request has to bring.

    Args:
        host: that the service listens on.
        token: that every request has to bring; None: none.
    """

    host: str
    token: str | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return f"Access({self.host!r}, {'with' if self.token else 'without'} a token)"

    def check(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Whether a request may be answered.

        Args:
            path: of its URL.
            headers: as the server has them, names in small letters.

        Raises:
            RefusedError: it may not.
        """
        of_request: Mapping[bytes, bytes] = dict(reversed(list(headers)))  # the first of several counts
        if self.token is None:
            self._check_name(of_request.get(b"host", b""))
        elif path not in OPEN and not self._right(of_request.get(b"authorization", b"")):
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED, "the token is missing or wrong; send `Authorization: Bearer TOKEN`",
                {"WWW-Authenticate": "Bearer"},
            )  # fmt: skip

    def _right(self, sent: bytes) -> bool:
        """Whether a header holds the token; how long the answer takes says nothing of how much of it is right."""
        kind, _, given = sent.partition(b" ")
        digests = [hashlib.sha256(one).digest() for one in (given.strip(), str(self.token).encode())]
        return hmac.compare_digest(*digests) and kind.lower() == b"bearer"

    def _check_name(self, sent: bytes) -> None:
        """Whether a request was meant for this machine.

        A page of somebody's in a browser on this machine can ask in the name of a host that is made to lead here, and
        would read the answers.
        """
        try:
            name = urlsplit("//" + sent.decode("latin-1")).hostname or ""
        except ValueError:
            name = ""
        if not (loopback(name) or name == self.host.lower()):
            raise RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this service answers as {self.host} alone; serve with a token to have it answer under other names",
            )


def loopback(host: str) -> bool:
    """Whether only this machine reaches a host of that name."""
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def access(host: str, token_file: Path | None) -> Access:
    """What requests have to bring, by what the command line and the environment say.

    Args:
        host: to listen on.
        token_file: holds the token; None: the environment's, if there is one.

    Raises:
        IsoglossError: the token is none, or there is none though other machines reach the host.
    """
    token = _of_file(token_file) if token_file is not None else _of_environment()
    if token is None and not loopback(host):
        raise IsoglossError(
            f"--host {host!r:.80} is reached from other machines, and no token is set; give --token-file or set "
            f"{VARIABLE} ({MAKE_ONE}), or take --host 127.0.0.1"
        )
    return Access(host, token)


def _of_file(file: Path) -> str:
    try:
        text = read_bytes(file, 4 * LONGEST).decode("ascii")
    except UnicodeDecodeError as error:
        raise IsoglossError(f"{file} holds no token: {_expected()}") from error
    return _checked(text.strip(), str(file))


def _of_environment() -> str | None:
    text = os.environ.get(VARIABLE)
    return None if text is None else _checked(text.strip(), VARIABLE)


def _checked(token: str, where: str) -> str:
    """A token that can stand in a header; what came is not shown."""
    if TOKEN.fullmatch(token) is None:
        raise IsoglossError(f"{where} holds no token: {len(token)} characters came; {_expected()}")
    return token


def _expected() -> str:
    return f"expected {SHORTEST} to {LONGEST} letters, digits and signs of ASCII without a space; {MAKE_ONE}"
