"""Tab completion: by the shells' own protocol, in bash itself, and quickly."""

import os
import shutil
import subprocess
import sys

import pytest

from isogloss.cli import completion
from isogloss.cli.catalog import LISTS
from isogloss.data.cards import cards
from isogloss.spec import presets
from synthetic import directory
from test_import_weight import HEAVY


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run directory in it and a program `isogloss` beside it."""
    home = tmp_path_factory.mktemp("place")
    directory(home / "runs" / "topics", targets=2, seeds=2, examples=6)
    (home / "runs" / "empty").mkdir()
    (home / "my.yaml").touch()
    program = home / "bin" / "isogloss"
    program.parent.mkdir()
    start = "import sys; sys.argv[0] = 'isogloss'; from isogloss.__main__ import main; main()"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{start}" "$@"\n')
    program.chmod(0o755)
    return home


def offered(place, line):
    """What bash is offered at the end of a line."""
    words = line.split(" ")
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_ISOGLOSS_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [place / "bin" / "isogloss"], env={**os.environ, **asked}, cwd=place, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "among"),
    [
        ("isogloss ex", {"export"}),
        ("isogloss run --dry", {"--dry-run"}),
        ("isogloss run sib200", {"sib200", "sib200-backbones", "sib200-gemma"}),
        ("isogloss run m", {"my.yaml"}),
        ("isogloss report ", {"runs/topics"}),
        ("isogloss report runs/t", {"runs/topics"}),
        ("isogloss report runs/topics runs/", {"runs/topics"}),
        ("isogloss predict runs/topics --method ", {"deep-prompt", "fine-tuning"}),
        ("isogloss predict runs/topics --method deep-prompt --seed ", {"0", "1"}),
        ("isogloss predict runs/topics --language eng", {"eng-Latn"}),
        ("isogloss export runs/topics out --to l", {"lm-eval"}),
        ("isogloss analyze runs/topics ga", {"gap"}),
        ("isogloss run demo --executor s", {"serial", "slurm"}),
        ("isogloss data xn", {"xnli"}),
        ("isogloss data massive --language e", {"el", "en", "es"}),
        ("isogloss list ", {"tasks", "methods", "backbones", "presets", "languages"}),
        ("isogloss predict runs/empty --method ", set()),
        ("isogloss predict 'runs --method ", set()),
    ],
)
def test_what_is_offered(place, line, among):
    assert set(offered(place, line)) == among


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_by_the_line_that_the_docs_give(place):
    script = (
        'eval "$(isogloss --show-completion)"; COMP_WORDS=(isogloss analyze runs/topics si); COMP_CWORD=3; '
        '_isogloss_completion isogloss; echo "${COMPREPLY[@]}"'
    )
    path = f"{place / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("significance\n", "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_offered_the_same(place, shell):
    asked = {
        "_ISOGLOSS_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "isogloss predict runs/topics --method d",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }  # fmt: skip
    done = subprocess.run(
        [place / "bin" / "isogloss"], env={**os.environ, **asked}, cwd=place, capture_output=True, text=True, check=True
    )
    assert "deep-prompt" in done.stdout
    assert "fine-tuning" not in done.stdout


def test_names_are_those_that_the_commands_take():
    pytest.importorskip("torch")
    from isogloss.analysis.registry import analyses
    from isogloss.executors.registry import executors
    from isogloss.interop.formats.registry import formats
    from isogloss.interop.results.registry import results_formats

    assert set(completion.analyses("")) == set(analyses())
    assert set(completion.executors("")) == set(executors())
    assert set(completion.formats("")) == {*formats(), *results_formats()}
    assert set(completion.tasks("")) == set(cards())
    assert set(presets()) <= set(completion.specs(""))
    assert set(completion.lists("")) == set(LISTS)


def test_nothing_heavy_is_loaded_for_a_letter(place):
    code = (
        "import sys, os; sys.argv[0] = 'isogloss'\n"
        "from isogloss.__main__ import main\n"
        "try: main()\n"
        "finally: print(*sys.modules)"
    )
    for line in ("isogloss run s", "isogloss predict runs/topics --method "):
        asked = {
            "COMP_WORDS": line, "COMP_CWORD": str(line.count(" ")), "_ISOGLOSS_COMPLETE": "complete_bash",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **asked},
            cwd=place,
            capture_output=True,
            text=True,
            check=True,
        )
        loaded = set(done.stdout.split())
        assert "isogloss.cli.completion" in loaded
        assert not {*HEAVY, "ruamel"} & loaded
