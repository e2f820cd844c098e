"""How far one long step is: a bar on a terminal, a line now and then elsewhere, and nothing where it is short."""

from __future__ import annotations

import io

import pytest

from isogloss.runtime import console
from isogloss.runtime.console import PlainConsole, activity, counting, err, watching


@pytest.fixture
def shown(monkeypatch):
    """What is written to a terminal, or to a file, if waiting is over at once."""

    def to(terminal, patience=0.0):
        text = io.StringIO()
        made = PlainConsole(file=text, force_terminal=terminal, width=120)
        monkeypatch.setattr(console, "err", made)
        monkeypatch.setattr(console, "PATIENCE", patience)
        return text

    return to


def count(total=4):
    with counting("tokenising", total) as advance:
        for _ in range(total):
            advance(1)


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_where_it_is_short(shown, terminal):
    text = shown(terminal, patience=60.0)
    count()
    assert text.getvalue() == ""


def test_a_bar_on_a_terminal(shown):
    text = shown(terminal=True)
    count()
    assert "tokenising" in text.getvalue()
    assert "of 4" in text.getvalue()


def test_lines_elsewhere(shown):
    text = shown(terminal=False)
    count()
    (line,) = text.getvalue().splitlines()  # the next comes after a while
    assert line == "tokenising: 1 of 4  0:00:00 left"


@pytest.mark.parametrize("around", [lambda: watching(10.0), lambda: activity("forecast")])
@pytest.mark.parametrize("terminal", [True, False])
def test_within_another_step(shown, terminal, around):
    text = shown(terminal)
    with around():
        count()
    count()
    assert "tokenising" in text.getvalue()


def test_an_error_gives_the_terminal_back(shown):
    text = shown(terminal=True)
    with pytest.raises(ValueError, match="no"), counting("tokenising", 4) as advance:
        advance(1)
        raise ValueError("no")
    assert text.getvalue().endswith("\x1b[?25h") or "\x1b[?25h" in text.getvalue()  # the cursor is shown again


def test_what_was_redirected_follows_standard_error_again(capsys):
    kept = io.StringIO()
    with err.redirected(kept):
        err.print("aside")
    err.print("here")
    assert (kept.getvalue(), capsys.readouterr().err) == ("aside\n", "here\n")
