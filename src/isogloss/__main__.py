"""`python -m isogloss`, and the program `isogloss`."""

import signal
import sys

from isogloss.runtime.interrupts import interruptible


def main() -> None:
    """The command line; asked to stop while it is still being loaded, it stops without a word of where it was."""
    try:
        with interruptible() as stopped:
            try:
                from isogloss.cli.commands import main as command_line

                command_line()
            except SystemExit:
                raise
            except BaseException:
                if not stopped():
                    raise
                sys.stderr.write("isogloss: stopped\n")
                raise SystemExit(130) from None
    finally:  # the program is leaving, with an exit code that says why
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
