"""What is said of a fault: what kind it is of and where it happened, never with what it was about.

An exception's message may quote the text that it stumbled over, and a log is read by others than whoever sent it.
"""

from __future__ import annotations

import traceback
from pathlib import Path

from isogloss.runtime.console import err


def place(error: BaseException) -> str:
    """The kind of a fault, and the line of code that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f" at {'/'.join(Path(frames[-1].filename).parts[-3:])}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{at}"


def say(error: BaseException) -> None:
    """Log a fault."""
    err.print(f"a request met a fault: {place(error)}", soft_wrap=True)
