"""Hostile input: one test an input. CI runs one in 24; `make hostile` runs all.

Each goes through the command line in a process of its own, and is answered well where it ends with 0, or with 2 and
one line that says what to do, without a traceback, and leaves what was stored as it was.
"""

import os
import shutil
from zlib import crc32

import pytest

from fork_server import Commands
from models import checkpoint, sib200

SHARE = 1 if os.environ.get("ISOGLOSS_HOSTILE") == "all" else 24
SPEC = """name: small
backbone: {model}
task: sib200
data: {{path: {data}}}
source: en
targets: [de, zh]
methods: {{linear-probe: {{epochs: 2}}, soft-prompt: {{length: 2, epochs: 1}}}}
seeds: [0]
device: cpu
dtype: float32
"""


def pytest_collection_modifyitems(config, items):
    """A fixed choice, the same on every machine, of those that are made from a list."""
    if SHARE == 1:
        return
    left_out = [item for item in items if "hostile" in item.path.parts and hasattr(item, "callspec")
                and crc32(item.nodeid.encode()) % SHARE]  # fmt: skip
    chosen = {id(item) for item in left_out}
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if id(item) not in chosen]


@pytest.fixture(scope="session")
def isogloss():
    """The command line: `isogloss("run", spec, cwd=folder)` gives an `Answer`."""
    commands = Commands()
    yield commands
    commands.close()


@pytest.fixture(scope="session")
def _made(isogloss, tmp_path_factory):
    """A small random model, a small data set, a spec of both and what it leaves."""
    folder = tmp_path_factory.mktemp("small")
    spec = SPEC.format(model=checkpoint(folder / "model"), data=sib200(folder / "data"))
    (folder / "spec.yaml").write_text(spec, encoding="utf-8")
    isogloss("run", "spec.yaml", "--out", "run", cwd=folder).well(code=0)
    return folder


@pytest.fixture
def home(_made, tmp_path):
    """A folder of the test's own with `spec.yaml` and the finished `run`; model and data lie elsewhere."""
    shutil.copytree(_made / "run", tmp_path / "run")
    shutil.copy(_made / "spec.yaml", tmp_path)
    return tmp_path


@pytest.fixture
def whole_home(_made, tmp_path):
    """The same with its own `model` and `data`, where these are to be damaged; the spec and the run name those."""
    shutil.copytree(_made, tmp_path / "home")
    for file in (tmp_path / "home" / "spec.yaml", tmp_path / "home" / "run" / "spec.yaml"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(str(_made), str(tmp_path / "home")), encoding="utf-8")
    return tmp_path / "home"
