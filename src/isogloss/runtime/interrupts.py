"""Being asked to stop: Ctrl-C, or the signal by which a cluster ends a job, waits until nothing is half done."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_requests(*, again: bool = True) -> Iterator[Callable[[], bool]]:
    """While the block runs, a first request is only noted; a second one is obeyed at once.

    Args:
        again: whether it is. Where a launcher hands on the Ctrl-C that came here too, and kills what takes too long, a
            second one says no more than the first.

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
        if again:
            restore()

    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` and shells in the background want it
            before[number] = signal.signal(number, note)
    try:
        yield lambda: came
    finally:
        restore()


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """While the block runs, a request to stop ends it by KeyboardInterrupt, and is not forgotten if a library loses it.

    Libraries make other errors of an interrupt, such as one of an import or a panic, or drop one that came while an
    object was deleted.

    Yields:
        Whether a request came.
    """
    came = False
    hook = sys.unraisablehook

    def note(*_: object) -> None:
        nonlocal came
        came = True
        raise KeyboardInterrupt

    def unraisable(ignored: Any) -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            again = threading.Timer(0.05, _thread.interrupt_main)  # once whatever dropped it is over
            again.daemon = True
            again.start()
        else:
            hook(ignored)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    sys.unraisablehook = unraisable
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, note)
    try:
        yield lambda: came
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)
