"""Threads wait asleep on whatever way isogloss is started, and as the user says where the user says something.

Each case is a Python of its own: OpenMP reads its variables once, when torch loads it.
"""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from isogloss.runtime.threads import DECIDED_BY, WAITING

SHOW = f"import json, os; print(json.dumps({{name: os.environ.get(name) for name in {DECIDED_BY!r}}}))"
LINE = "import isogloss before torch, or set OMP_WAIT_POLICY=PASSIVE"
TORCH = "import sys; sys.modules['torch'] = sys"  # all that counts is whether it is there
needs_torch = pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="tried without torch: .ci/next-python")
NOTHING = dict.fromkeys(DECIDED_BY)
SAY = "from isogloss.runtime.threads import say_if_spinning; say_if_spinning({}); say_if_spinning({})"


def python(*words, **more):
    """What a Python prints that nobody has told how to wait."""
    plain = {name: value for name, value in os.environ.items() if name not in DECIDED_BY}
    return subprocess.run([sys.executable, *words], env=plain | more, capture_output=True, text=True, check=True)


@pytest.mark.parametrize("first", ["import isogloss", "from isogloss import Spec", "import isogloss.errors"])
def test_they_wait_asleep_where_isogloss_comes_first(first):
    assert json.loads(python("-c", f"{first}; {SHOW}").stdout) == NOTHING | WAITING


@needs_torch
def test_openmp_is_told():
    shown = python("-c", "import isogloss, torch", OMP_DISPLAY_ENV="VERBOSE").stderr
    if "GOMP_SPINCOUNT" not in shown:
        pytest.skip("this torch is built with another OpenMP than GNU's")
    assert "GOMP_SPINCOUNT = '20000'" in shown
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in shown


@pytest.mark.parametrize("name", DECIDED_BY)
@pytest.mark.parametrize("order", ["import isogloss", f"{TORCH}; import isogloss"])
def test_what_the_user_has_set_stays_and_nothing_is_said(name, order):
    value = {"OMP_WAIT_POLICY": "ACTIVE", "KMP_LIBRARY": "turnaround"}.get(name, "0")
    ran = python("-c", f"{order}; {SHOW}; {SAY.format(2, 2)}", **{name: value})
    assert json.loads(ran.stdout) == NOTHING | {name: value}
    assert LINE not in ran.stderr


def test_where_torch_comes_first_a_line_says_how_but_only_when_something_is_computed():
    ran = python("-c", f"{TORCH}; import isogloss; {SHOW}")
    assert json.loads(ran.stdout) == NOTHING
    assert ran.stderr == ""
    ran = python("-c", f"{TORCH}; import isogloss; {SAY.format(2, 2)}")
    assert ran.stderr.count(LINE) == ran.stderr.count("\n") == 1
    assert python("-c", f"{TORCH}; import isogloss; {SAY.format(1, 1)}").stderr == ""


@needs_torch
def test_a_backbone_that_is_loaded_says_it(tmp_path):
    load = (
        "import torch; torch.set_num_threads(2); from isogloss.backbones.loading import load\n"
        f"try: load({str(tmp_path / 'none')!r}, device='cpu')\n"
        "except Exception: pass"
    )
    assert LINE in python("-c", load).stderr
    assert LINE not in python("-c", f"import isogloss; {load}").stderr


def test_a_process_that_is_started_waits_alike():
    inner = f"{TORCH}; import isogloss; {SHOW}; {SAY.format(2, 2)}"
    ran = python("-c", f"import isogloss, subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])")
    assert json.loads(ran.stdout) == NOTHING | WAITING
    assert ran.stderr == ""


def test_the_command_line_waits_asleep():
    start = "import sys; sys.argv = ['isogloss', '--version']\nfrom isogloss.__main__ import main"
    code = f"{start}\ntry: main()\nfinally: {SHOW}"
    assert json.loads(python("-c", code).stdout.splitlines()[-1]) == NOTHING | WAITING
