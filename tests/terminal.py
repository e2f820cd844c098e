"""A command as a terminal of some width shows it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

_STYLE = re.compile(r"\x1b\[[0-9;]*m")


def shown(*words, columns):
    """The lines that `isogloss` with these words prints on a terminal, without styles."""
    end, own = pty.openpty()
    fcntl.ioctl(own, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    command = [sys.executable, "-m", "isogloss", *map(str, words)]
    with subprocess.Popen(command, stdin=own, stdout=own, stderr=own, env={**environment, "TERM": "xterm"}):
        os.close(own)
        parts = []
        while part := _read(end):
            parts.append(part)
    os.close(end)
    return _STYLE.sub("", b"".join(parts).decode()).splitlines()


def _read(end):
    try:
        return os.read(end, 1 << 16)
    except OSError:  # Linux says so where the other end is closed
        return b""
