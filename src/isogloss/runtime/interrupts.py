"""Being asked to stop: Ctrl-C, or the signal by which a cluster ends a job, waits until nothing is half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """While the block runs, a first request is only noted; a second one is obeyed at once.

    Yields:
        Whether a request came. Outside the main thread, where Python lets no one listen, never.
    """
    came = False
    if threading.current_thread() is not threading.main_thread():
        yield lambda: came
        return
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(*_: object) -> None:
        nonlocal came
        came = True
        restore()

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` and shells in the background want it
            before[number] = signal.signal(number, note)
    try:
        yield lambda: came
    finally:
        restore()
