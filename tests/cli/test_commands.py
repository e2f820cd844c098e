"""How a command ends where something else than its input is wrong."""

import contextvars
import errno
import signal

import pytest

from isogloss.cli import commands


class PanicException(BaseException):
    """What polars raises where Ctrl-C comes while it is at work."""


@pytest.fixture(autouse=True)
def _signals():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def main():
    """In a context of its own: the command is noted in it."""
    contextvars.copy_context().run(commands.main)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PanicException("python function failed KeyboardInterrupt: "), 130, "stopped; run the same command again"),
        (OSError(errno.ENOSPC, "full", "run/scores.parquet"), 2, "No space left on device at run/scores.parquet; what"),
        (OSError(errno.EFBIG, "large", "run/scores.parquet"), 2, "File too large at run/scores.parquet; what"),
        (MemoryError("Unable to allocate 9 GiB"), 2, "not enough memory (Unable to allocate 9 GiB); what"),
    ],
)
def test_what_the_machine_refuses_ends_in_a_line(monkeypatch, capsys, error, code, said):
    def app():
        raise error

    monkeypatch.setattr(commands, "app", app)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("isogloss: ")
    assert said in line


def test_another_panic_is_none_of_the_users_business(monkeypatch):
    monkeypatch.setattr(commands, "app", lambda: (_ for _ in ()).throw(PanicException("assertion failed")))
    with pytest.raises(PanicException):
        main()
