"""Faults: processes that die at any file operation, or work on one directory at once, full disks, flipped bits.

CI does a part, the same each time; `make faults` does all: every file operation, and 200 rounds of processes at once.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fork_server import SERVER, Answer
from models import checkpoint, sib200

ROUNDS = int(os.environ.get("ISOGLOSS_ROUNDS", "20"))
LANGUAGES = ("eng_Latn", "deu_Latn", "zho_Hans", "fra_Latn", "swh_Latn")


class Actors:
    """A server, and commands that it carries out at once."""

    def __init__(self) -> None:
        tests = Path(__file__).parents[1]
        path = os.pathsep.join([str(tests.parent / "src"), str(tests), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **SERVER, "PYTHONPATH": path},
        )  # fmt: skip

    def __call__(self, *actors: dict) -> list[Answer]:
        """How each of them ended."""
        with tempfile.TemporaryDirectory() as folder:
            for number, actor in enumerate(actors):
                streams = Path(folder) / str(number)
                streams.mkdir()
                (streams / "in").touch()
                actor["streams"] = str(streams)
            self.server.stdin.write(json.dumps({"actors": actors}) + "\n")
            self.server.stdin.flush()
            codes = json.loads(self.server.stdout.readline())
            answers = []
            for actor, code in zip(actors, codes, strict=True):
                out, err = (Path(actor["streams"], name).read_text(errors="replace") for name in ("out", "err"))
                answers.append(Answer(code, out, err))
        return answers

    def close(self) -> None:
        self.server.stdin.close()
        self.server.stdout.close()
        self.server.wait()


class Place:
    """A folder with a run directory `run`, and what is done to it.

    Args:
        folder: of the test.
        home: where model and data lie.
        actors: carry commands out.
    """

    def __init__(self, folder, home, actors):
        self.folder, self.home, self.actors, self.number = folder, home, actors, 0
        self.run_directory = folder / "run"

    def spec(self, **changes):
        """A spec file."""
        self.number += 1
        spec = {
            "name": "small", "backbone": str(self.home / "model"), "task": "sib200",
            "data": {"path": str(self.home / "data")}, "source": "en", "targets": ["de"], "seeds": [0], "device": "cpu",
            "dtype": "float32", "methods": {"linear-probe": {"epochs": 2}, "soft-prompt": {"length": 2, "epochs": 1}},
            **changes,
        }  # fmt: skip
        file = self.folder / f"spec{self.number}.json"
        file.write_text(json.dumps(spec))
        return str(file)

    def actor(self, *arguments, after=0.0, fatal=None, counted=None, largest=None):
        """A command that begins so many seconds later, dies at an operation, has so many counted, or little room."""
        return {
            "arguments": [str(argument) for argument in arguments], "cwd": str(self.folder), "environment": {},
            "after": after, "fatal": fatal, "counted": counted and str(counted), "largest": largest,
            "folder": str(self.run_directory),
        }  # fmt: skip

    def run(self, spec, **how):
        return self.actor("run", spec, "--out", "run", **how)

    def __call__(self, *actors):
        return self.actors(*actors)


@pytest.fixture(scope="session")
def actors():
    made = Actors()
    yield made
    made.close()


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data", LANGUAGES, rows=14)
    return folder


@pytest.fixture
def place(tmp_path, home, actors):
    return Place(tmp_path, home, actors)
