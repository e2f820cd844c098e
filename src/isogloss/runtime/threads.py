"""How threads wait for one another on a busy machine: asleep after a moment, unless the user says otherwise.

OpenMP's threads spin at every barrier. Where another program has the core that they wait for, the spinning only keeps
that core from coming free: with a few busy programs beside it a run falls to a twentieth of its speed. To sleep at once
costs up to a sixth on an idle machine. So they spin for about a millisecond: longer than from one operator to the next,
and little to lose where a core is taken (`benchmarks/waiting.py` measures it). OpenMP reads its variables once, when
torch loads it.
"""

from __future__ import annotations

import os
import sys

# GNU's OpenMP goes by its own variable before the standard one, which is all that others know.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "20000"}
# Whoever sets one of these has decided. The last two are Intel's and LLVM's.
DECIDED_BY = (*WAITING, "KMP_BLOCKTIME", "KMP_LIBRARY")

_too_late = False  # torch was there before isogloss, and nobody had decided


def let_wait() -> None:
    """Set how threads wait, in this process and those it starts, if torch has not been loaded yet."""
    global _too_late  # noqa: PLW0603 - of the process, as the variables are
    if any(name in os.environ for name in DECIDED_BY):
        return
    if "torch" in sys.modules:
        _too_late = True
    else:
        os.environ.update(WAITING)


def say_if_spinning(threads: int) -> None:
    """Say in a line, once in a process, how to have it otherwise where threads spin; before something is computed.

    Args:
        threads: that compute; one alone waits for none.
    """
    global _too_late  # noqa: PLW0603
    if not _too_late or threads == 1:
        return
    _too_late = False
    from isogloss.runtime.console import err

    err.print(
        "torch was imported before isogloss: its threads spin while they wait, which is slow beside other programs; "
        "import isogloss before torch, or set OMP_WAIT_POLICY=PASSIVE",
        soft_wrap=True,
    )
