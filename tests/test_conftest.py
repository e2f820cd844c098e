"""What the other tests rely on is in force: shapes are checked, threads wait passively."""

import os
import re
import subprocess
import sys

import pytest
import torch
from jaxtyping import TypeCheckError

from isogloss.tasks import heads


def test_a_wrong_shape_is_refused():
    head = heads.ClassificationHead(4, 3, torch.Generator())
    given = torch.zeros(1, 2, 4)
    assert heads.logits([head], given).shape == (1, 2, 3)
    with pytest.raises(TypeCheckError, match="given"):
        heads.logits([head], given[0])


def test_threads_wait_passively():
    """As OpenMP itself says in a process started by a test."""
    asked = os.environ | {"OMP_DISPLAY_ENV": "TRUE"}
    command = [sys.executable, "-c", "import torch"]
    shown = subprocess.run(command, env=asked, capture_output=True, text=True, check=True).stderr
    assert re.search(r"OMP_WAIT_POLICY ?= ?'PASSIVE'", shown), shown
