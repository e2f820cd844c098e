"""That the harness itself can fail, and the plainest of wrong commands."""

import pytest

from fork_server import Answer, snapshot

COMMANDS = {
    "no preset": (["run", "nope"], "nope"),
    "no file": (["run", "nope.yaml"], "nope.yaml"),
    "no directory": (["report", "nope"], "nope"),
    "an empty directory": (["predict", "."], "."),
    "no data set": (["data", "nope"], "nope"),
    "no folder": (["data-card", "nope"], "nope"),
    "no list": (["list", "nope"], "nope"),
    "no executor": (["run", "demo", "--executor", "nope", "--dry-run"], "nope"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_command_ends_in_a_line(isogloss, tmp_path, name):
    arguments, named = COMMANDS[name]
    isogloss(*arguments, cwd=tmp_path).well(named, code=2)
    assert not snapshot(tmp_path)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(None, "", ""), Answer(-9, "", ""), Answer(1, "", ""), Answer(2, "", "two\nlines"),
        Answer(2, "", "Traceback (most recent call last)\nisogloss: no"), Answer(2, "", "isogloss: one\nisogloss: two"),
        Answer(2, "", "isogloss: no\nand more"), Answer(2, "", "isogloss: does not name it"),
    ],
)  # fmt: skip
def test_what_is_answered_badly_is_seen(answer):
    with pytest.raises(AssertionError):
        answer.well("file.yaml")


def test_what_hangs_is_ended(isogloss, home):
    assert isogloss("predict", "run", "/dev/stdin", cwd=home, seconds=0.01).code is None


def test_a_run_as_it_is_reports(isogloss, home):
    isogloss("report", "run", cwd=home).well(code=0)
