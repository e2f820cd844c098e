"""What a user can mend of whatever went wrong, in this process or in one that carried out a job."""

from __future__ import annotations

import os
import re
import sys

from isogloss.errors import IsoglossError
from isogloss.runtime.files import system_error

LACKS_MEMORY = "there is not enough memory; take a smaller batch_size or data.longest, or a smaller backbone"
_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory|cannot allocate memory", re.IGNORECASE)


def reason(error: BaseException) -> str | None:
    """What a user can mend of an error, in words; None where it is none of the user's."""
    if isinstance(error, IsoglossError):
        return str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error))):
        return LACKS_MEMORY
    if isinstance(error, RecursionError):
        return "something of the input is nested too deeply to be read"
    if isinstance(error, OSError) and error.errno is not None:
        where = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
        return _by_system(error.errno, where)
    number = system_error(error)
    return None if number is None else _by_system(number, "")


def _by_system(number: int, where: str) -> str:
    """What the operating system refused."""
    after = "; what was finished is stored, run again to go on" if sys.argv[1:2] == ["run"] else ""
    return f"{os.strerror(number)}{f' at {where}' if where else ''}{after}"
