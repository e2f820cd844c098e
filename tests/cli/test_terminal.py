"""What a terminal of 80 columns shows: nothing is cut, least of all a name that is to be typed."""

import io
from collections import Counter

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from isogloss.analysis.analysis import AnalysisOptions
from isogloss.analysis.run import analyze
from isogloss.backbones.loading import EMBEDDED
from isogloss.cli.catalog import INDENT, LISTS, method_settings
from isogloss.cli.commands import app
from isogloss.data.cards import cards
from isogloss.experiment.status import run_status
from isogloss.reports.score_table import ScoreTable
from isogloss.reports.status import StatusReport
from isogloss.runtime.console import PlainConsole
from isogloss.runtime.shell_table import ShellTable
from isogloss.spec import presets
from isogloss.store import Store
from synthetic import directory
from terminal import shown

NAMES = {
    "tasks": cards,
    "methods": method_settings,
    "backbones": lambda: EMBEDDED,
    "presets": presets,
    "languages": lambda: {code for card in cards().values() for code in card.languages},
}


def printed(part, width=80):
    """The lines of something on a terminal."""
    text = io.StringIO()
    PlainConsole(width=width, file=text).print(part)
    return text.getvalue().splitlines()


def test_every_list_is_tried():
    assert set(NAMES) == set(LISTS)


@pytest.mark.parametrize("what", NAMES)
def test_a_list_has_every_name_whole_and_once(what):
    # Families of backbones are of torch, which is loaded here already.
    lines = printed(LISTS[what]()) if what == "backbones" else shown("list", what, columns=80)
    assert max(map(cell_len, lines)) <= 80
    first = [line.split()[0] for line in lines if line[:INDENT].strip()]
    for name in NAMES[what]():
        assert first.count(name) == 1, name
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize("width", [30, 80])
def test_a_table_is_nowhere_cut(width):
    table = ShellTable("name", "what it is")
    rows = {"massive": "a" * 70, "massive-slots": "words " * 20, "long[" + "x" * 40 + "]": "1"}
    for name, what in rows.items():
        table.add_row(name, what)
    lines = printed(table, width)
    assert not any("…" in line for line in lines)
    assert max(map(cell_len, lines)) <= width
    kept = Counter("".join(lines))
    kept.subtract("".join([*rows, *rows.values()]))
    assert min(count for sign, count in kept.items() if not sign.isspace()) >= 0
    if width == 80:
        assert any(line.split()[:1] == ["massive-slots"] for line in lines)


def test_tables_of_a_run_and_of_its_analyses_are_no_wider_than_the_terminal(tmp_path):
    methods = ["fine-tuning", "deep-prompt", "a-method-with-a-name-of-forty-four-characters"]
    folder = directory(tmp_path / "run", targets=3, seeds=2, examples=12, methods=methods)
    parts = [part for one in analyze(folder, ["gap", "significance"], AnalysisOptions()) for part in one.result.shown]
    for part in [ScoreTable(Store(folder)), StatusReport(run_status(folder, lambda _: [])), *parts]:
        lines = printed(part)
        assert max(map(cell_len, lines[:-1])) <= 80  # but for the last of a status, with a path
        assert not any("…" in line for line in lines)
        assert any("deep-prompt" in line for line in lines)


@pytest.mark.parametrize("words", [["-h"], ["run", "-h"], ["list", "-h"]])
def test_help_is_asked_by_one_letter(words):
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    assert "Usage" in done.output
