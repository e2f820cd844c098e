"""How a command ends: with its answer, or with one line that says why not, and an exit code that fits."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import typer

import isogloss
from isogloss.errors import UntoldError
from isogloss.runtime.interrupts import interruptible
from isogloss.runtime.launch import speaks
from isogloss.runtime.reasons import reason
from isogloss.runtime.visible import one_line, visible

UNEXPECTED, MISTAKE, STOPPED = 1, 2, 130
GIVEN_WAY = 2.0  # seconds
# From some version on typer brings click along under a name of its own: its errors are found by way of a public one.
UsageError: type[Any] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def ended(command: Callable[[], Any]) -> NoReturn:
    """Carry out a command and leave the program.

    Exit codes: 0; 2 for a mistake that a user can mend, in one line; 130 where it was asked to stop; 1 where nobody
    reads its output any more, or with a traceback for what is no user's mistake.
    """
    _open_streams()
    with interruptible() as stopped:
        try:
            code = command() or 0
            sys.stdout.flush()
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        except BaseException as error:  # noqa: BLE001 - a panic of Rust's is no Exception
            # Ctrl-C within polars.
            panic = type(error).__name__ == "PanicException" and "KeyboardInterrupt" in str(error)
            code = _told(error, stopped=stopped() or panic or isinstance(error, KeyboardInterrupt | typer.Abort))
        else:
            code = _say_stopped() if (stopped() and code in {0, STOPPED}) or code == STOPPED else code
    _close_streams()
    raise SystemExit(code)


def _told(error: BaseException, *, stopped: bool) -> int:
    """Say why a command ended, and with what code it does."""
    if isinstance(error, BrokenPipeError):  # nobody reads on, such as `head`
        return UNEXPECTED
    if "--traceback" in sys.argv and not isinstance(error, UsageError):
        _write(visible("".join(traceback.format_exception(error))))
    if stopped:
        return _say_stopped()
    if isinstance(error, UsageError):
        return _refused(error)
    if (line := reason(error)) is not None:
        _write(f"isogloss: {one_line(line)}\n", alone=isinstance(error, UntoldError))
        return MISTAKE
    if "--traceback" not in sys.argv:
        _write(visible("".join(traceback.format_exception(error))), alone=True)
    _write(
        f"isogloss: this is a fault of isogloss {isogloss.__version__}, or of a library under it: please report it "
        "with the lines above\n",
        alone=True,
    )
    return UNEXPECTED


def _refused(error: Any) -> int:
    """Of a command line that is none."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        command = error.ctx.command_path if getattr(error, "ctx", None) is not None else "isogloss"
        said = one_line(error.format_message()).removesuffix(".")
        wanted = getattr(getattr(error, "param", None), "help", None)
        if type(error).__name__ == "MissingParameter" and wanted:
            said += f": {one_line(wanted[:1].lower() + wanted[1:]).removesuffix('.')}"
        _write(f"isogloss: {said}; see `{one_line(command)} --help`\n")
    return int(error.exit_code)


def _say_stopped() -> int:
    _write("isogloss: stopped" + ("; run the same command again to go on\n" if sys.argv[1:2] == ["run"] else "\n"))
    return STOPPED


def _write(text: str, *, alone: bool = False) -> None:
    """Write to standard error; of several processes of a machine one does, unless it is of this one alone."""
    if not alone and not speaks():
        with suppress(KeyboardInterrupt):  # a launcher ends the others when one has ended: that one speaks first
            time.sleep(GIVEN_WAY)
        return
    with suppress(OSError, ValueError):  # where standard error is gone, there is nobody to tell
        sys.stderr.write(text)
        sys.stderr.flush()


def _open_streams() -> None:
    """Standard streams that are there and take every character.

    A file that is opened where a stream was closed would have its number, and get what libraries print.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004
        pass
    os.close(number)
    for name, mode, number in (("stdin", "r", 0), ("stdout", "w", 1), ("stderr", "w", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _close_streams() -> None:
    """Write what is left; where that cannot be, Python must not try again and complain."""
    for number, stream in enumerate((sys.stdout, sys.stderr), start=1):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
