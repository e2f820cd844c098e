"""`python -m isogloss`, and the program `isogloss`."""

import os
import signal
import sys
from contextlib import suppress

from isogloss.runtime.interrupts import interruptible

STOPPED = 130


def main() -> None:
    """The command line; asked to stop while it is still being loaded, it stops without a word of where it was."""
    code: object = 0
    if "WORLD_SIZE" in os.environ:  # torch's own lines of a process that is gone are a page each; ours is one
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    with interruptible() as stopped:
        try:
            from isogloss.cli.commands import main as command_line

            command_line()
        except SystemExit as ending:
            code = ending.code
        except BaseException:
            if not stopped():
                raise
            sys.stderr.write("isogloss: stopped\n")
            code = STOPPED
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program is leaving, with an exit code that says why
    if code == STOPPED:  # where an interrupt met `exec`, Python would end as if nobody had handled it
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(STOPPED)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
