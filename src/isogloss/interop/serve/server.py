"""`isogloss serve`: what can be wrong is found before a model is loaded; then a server, until it is told to end.

This module itself is light: what is heavy is imported once all arguments are right.
"""

from __future__ import annotations

import math
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from isogloss.errors import IsoglossError, install
from isogloss.interop.serve.access import access as access_of
from isogloss.interop.serve.limits import Limits
from isogloss.interop.serve.names import named_folders
from isogloss.runtime.console import err, say
from isogloss.runtime.interrupts import SIGNALS

NEEDED = ("fastapi", "uvicorn", "prometheus_client")
MOST = 65_535  # of a port
BACKLOG = 1024
KEEP_ALIVE = 30  # seconds that a connection may be idle
SPARE = 5  # seconds beyond the longest that a request may take, in which its answer is read
CONNECTIONS = 4  # open connections for each request that may be under way: clients keep theirs


def serve(
    folders: Sequence[str], *, host: str = "127.0.0.1", port: int = 8000, method: str | None = None,
    seed: int | None = None, every: bool = False, token_file: Path | None = None, limits: Sequence[str] = (),
    log: bool = False, backbone: str | None = None,
) -> None:  # fmt: skip
    """Serve the models of run directories until SIGTERM or Ctrl-C; what is under way then is answered first.

    Args:
        folders: run directories, or `NAME=DIR`.
        host: to listen on.
        port: to listen on; 0: any that is free.
        method: a label of their methods; None: the best on the source's development data.
        seed: of their seeds; None: the best.
        every: every cell, not the best of each directory alone.
        token_file: holds the token that requests have to bring; None: the environment's, if there is one.
        limits: each `NAME=NUMBER`.
        log: whether to write a line a request.
        backbone: a folder or a hub id that the backbone of them all is taken from; None: as each directory says.

    Raises:
        IsoglossError: something of it is wrong.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise IsoglossError(f"serve needs {missing[0]}, which is not installed; {install('serve')}")
    known, named, access = Limits.of(limits), named_folders(folders), access_of(host, token_file)
    with listener(host, port) as sock:
        from isogloss.interop.serve.models import load

        models = load(named, method=method, seed=seed, every=every, backbone=backbone)
        models.warm_up()
        import uvicorn

        from isogloss.interop.serve.app import application
        from isogloss.interop.serve.service import Service

        config = uvicorn.Config(
            application(Service(models, known, access, log=log)), loop="asyncio", http="h11", ws="none", lifespan="on",
            log_config=None, access_log=False, server_header=False, proxy_headers=False, backlog=BACKLOG,
            limit_concurrency=CONNECTIONS * known.requests, timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=math.ceil(known.seconds) + SPARE,
        )  # fmt: skip
        sock.listen(BACKLOG)
        say(f"serving {_some(list(models.by_name))} on {address(sock)}")
        server = uvicorn.Server(config)
        with _ended_by_signals(server):
            server.run(sockets=[sock])
    err.print("what was under way is answered; stopped", soft_wrap=True)


def _some(names: list[str]) -> str:
    most = 10  # all of many would hide the address
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


@contextmanager
def _ended_by_signals(server: Any) -> Iterator[None]:
    """While the block runs, a signal that ends programs ends the server well.

    Uvicorn listens for these itself while it runs, and raises them again afterwards, which would be taken for a
    command that was stopped on its way.
    """

    def end(*_: object) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, end) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listener(host: str, port: int) -> socket.socket:
    """A socket at that place, which nobody can connect to before it listens.

    Raises:
        IsoglossError: there is no such place, or another program has it.
    """
    where = f"--host {host!r:.80} --port {port}"
    if not 0 <= port <= MOST:
        raise IsoglossError(f"{where}: there is no such port; expected 0 to {MOST:,}")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise IsoglossError(f"{where}: there is no such place ({error}); expected such as 127.0.0.1") from error
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(place)
    except OSError as error:
        sock.close()
        raise IsoglossError(f"{where} cannot be had ({error}); choose another --port") from error
    return sock


def address(sock: socket.socket) -> str:
    """The URL of a socket."""
    host, port, *_ = sock.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
