"""Commands that work on one run directory at once, or die in the middle, and what has to be there in the end."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from fork_server import SERVER, Answer
from isogloss.languages.language import Language
from isogloss.store import Store

ROUNDS = int(os.environ.get("ISOGLOSS_ROUNDS", "20"))  # of processes at once
EVERY = int(os.environ.get("ISOGLOSS_KILLS", ROUNDS >= 200))  # so many operations, one dies; 0: at two of all
HALF = re.compile(r"(^|/)\.(?!lock$)|(^|/)checkpoints|\.damaged")  # what may only be there while a process lives
TABLES = {
    "scores": ["method", "seed", "language", "split", "metric"],
    "predictions": ["method", "seed", "language", "example"],
    "history": ["method", "seed", "step", "metric", "language"],
}  # fmt: skip


class Actors:
    """A server, and commands that it carries out at once."""

    def __init__(self) -> None:
        tests = Path(__file__).parent
        path = os.pathsep.join([str(tests.parent / "src"), str(tests), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fault_server.py"))],
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

    def whole(self, name, **changes):
        """What an undisturbed run of a spec leaves; carried out once."""
        folder = self.home / "whole" / name
        if not folder.exists():
            (answer,) = self(self.actor("run", self.spec(**changes), "--out", folder))
            answer.well(code=0)
        return folder

    def begin_with(self, run_directory):
        """The run directory is a copy of that one, or is not there."""
        shutil.rmtree(self.run_directory, ignore_errors=True)
        if run_directory is not None:
            shutil.copytree(run_directory, self.run_directory)

    def run(self, spec, **how):
        return self.actor("run", spec, "--out", "run", **how)

    def __call__(self, *actors):
        return self.actors(*actors)


def whole(run_directory, reference, *, left=False):
    """Nothing lost, doubled or torn: it holds what an undisturbed run leaves; and, but after a kill, nothing else."""
    strange = [path for path in run_directory.rglob("*") if HALF.search(str(path.relative_to(run_directory)))]
    assert left or not strange, strange
    store, as_it_should_be = Store(run_directory), Store(reference)
    cells, others = store.finished(), as_it_should_be.finished()
    assert [cell.key for cell in cells] == [cell.key for cell in others]
    for cell, other in zip(cells, others, strict=True):
        assert cell.record.facts == other.record.facts
        assert cell.record.test_data == other.record.test_data
        assert dict(cell.weights()).keys() == dict(other.weights()).keys()
        assert sorted(path.name for path in cell.folder.iterdir()) == sorted(
            path.name for path in other.folder.iterdir()
        )
    for name, key in TABLES.items():
        gathered = pl.read_parquet(run_directory / f"{name}.parquet", glob=False).sort(key)
        assert_frame_equal(gathered, pl.concat(cell.table(name) for cell in cells).sort(key))
        assert not gathered.select(key).is_duplicated().any()
        expected = pl.read_parquet(reference / f"{name}.parquet", glob=False).sort(key)
        assert_frame_equal(gathered, expected, rel_tol=1e-4, abs_tol=1e-5)
    found, wanted = store.spec(), as_it_should_be.spec()
    assert found.methods == wanted.methods
    assert set(found.targets) == set(wanted.targets)
    assert set(found.seeds) == set(wanted.seeds)


def asked_for(run_directory, methods=None, seeds=(0,), targets=("de",)):
    """A process that has ended finds in the directory what it was asked for."""
    store = Store(run_directory)
    spec, cells = store.spec(), store.finished()
    for name in methods or ["linear-probe", "soft-prompt"]:
        assert name in spec.methods
        for seed in seeds:
            found = [cell for cell in cells if cell.record.name == name and cell.record.seed == seed]
            assert found, (name, seed)
            for cell in found:
                assert {Language.parse(code) for code in cell.record.test_data} >= set(map(Language.parse, targets))
    assert set(seeds) <= set(spec.seeds)
