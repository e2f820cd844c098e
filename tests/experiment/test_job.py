"""Jobs are plain data: carried out in another process, from their bytes alone, they give what they give here."""

import errno
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import islice

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from isogloss import api
from isogloss.errors import IsoglossError
from isogloss.executors.registry import executors
from isogloss.executors.serial import Serial
from isogloss.experiment.job import FailedJob
from isogloss.experiment.run import run
from isogloss.experiment.run_job import run_job
from isogloss.spec import Spec
from isogloss.store import Store
from models import checkpoint, sib200

METHODS = {
    "linear-probe": {"epochs": 2}, "deep-prompt": {"epochs": 2, "length": [2, 4]},
    "slow-fast": {"epochs": 1, "batch_size": 8},
}  # fmt: skip
WORKER = """
import pickle, sys
from isogloss.experiment.run_job import run_job
jobs = [pickle.loads(one) for one in pickle.load(sys.stdin.buffer)]
pickle.dump([pickle.dumps(list(run_job(job))) for job in jobs], sys.stdout.buffer)
"""


class Elsewhere:
    """An executor that knows nothing of this process but the bytes of its jobs."""

    name = "elsewhere"

    def __init__(self):
        self.sent = []

    def carry_out(self, jobs, workspace):
        jobs = list(jobs)
        self.sent += jobs
        done = subprocess.run(
            [sys.executable, "-c", WORKER], input=pickle.dumps([pickle.dumps(job) for job in jobs]),
            capture_output=True, check=True, env=os.environ,
        )  # fmt: skip
        for finished in pickle.loads(done.stdout):  # noqa: S301 - our own
            yield from pickle.loads(finished)  # noqa: S301


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data")
    return folder


def spec(home, **changes):
    data = {
        "name": "jobs", "backbone": str(home / "model"), "task": "sib200", "data": {"path": home / "data"},
        "methods": METHODS, "seeds": [0, 1], "targets": ["de"], "dtype": "float32", "device": "cpu",
        "dynamics": {"examples": 4}, **changes,
    }  # fmt: skip
    return Spec.model_validate(data)


@pytest.fixture(scope="module")
def here(home):
    return api.run(spec(home), home / "here")


def test_a_job_gives_elsewhere_what_it_gives_here(home, here):
    executor = Elsewhere()
    stored = run(spec(home), home / "there", executor)
    assert [len(job.cells) for job in executor.sent] == [2, 4, 1, 1]  # frozen methods in stacks, the others alone
    for name in ("scores", "predictions", "history"):
        assert_frame_equal(stored.table(name), here.store.table(name))
    record = stored.finished()[0].record
    assert record.environment["isogloss"]
    # Languages are added by a job of their own, which carries the trained cell with it.
    more = run(spec(home, targets=["de", "zh"]), home / "there", executor)
    assert [job.languages for job in executor.sent[4:]] == [("zho-Hans",)] * 8
    assert set(more.table("scores")["language"]) == {"eng-Latn", "deu-Latn", "zho-Hans"}
    assert_frame_equal(more.table("scores").filter(pl.col("language") != "zho-Hans"), here.scores)


class Failing(Serial):
    """Serial, but that jobs of one method fail."""

    def carry_out(self, jobs, workspace):
        for job in jobs:
            if job.cells[0].name == "deep-prompt":
                yield FailedJob(job, IsoglossError("the machine is gone"))
            else:
                yield from run_job(job, workspace)


def test_a_job_that_fails_leaves_the_others_finished(home, tmp_path):
    with pytest.raises(IsoglossError, match=r"^the machine is gone \(1 of 4 jobs failed; the others are stored\)$"):
        run(spec(home), tmp_path / "run", Failing())
    left = api.open_run(tmp_path / "run")
    assert set(left.scores["method"]) == {"linear-probe", "slow-fast"}
    api.run(spec(home), tmp_path / "run")  # goes on with what is missing
    assert len(left.store.finished()) == 8


def test_a_fault_of_one_method_leaves_the_others_finished(home, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("isogloss.methods.deep_prompt.DeepPrompt.build", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(spec(home), tmp_path / "run", Serial())
    assert "1 of 4 jobs failed; the others are stored" in " ".join(capsys.readouterr().err.split())
    left = api.open_run(tmp_path / "run")
    assert set(left.scores["method"]) == {"linear-probe", "slow-fast"}
    monkeypatch.undo()
    api.run(spec(home), tmp_path / "run")
    assert len(left.store.finished()) == 8


def test_a_system_that_refuses_ends_a_run_at_once(home, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("isogloss.methods.linear_probe.LinearProbe.build", refuse)
    with pytest.raises(OSError, match="No space left"):
        run(spec(home), tmp_path / "run", Serial())
    assert not Store(tmp_path / "run").finished()


def test_a_job_whose_facts_do_not_hold_where_it_is_carried_out_is_refused(home):
    executor = Elsewhere()
    executor.carry_out = lambda jobs, _: executor.sent.extend(jobs) or (outcome for outcome in ())
    run(spec(home), home / "empty", executor)
    (facts, *others), job = executor.sent[0].facts, executor.sent[0]
    changed = replace(job, facts=({**facts, "train": "0" * 64}, *others))
    with pytest.raises(IsoglossError, match=r"^linear-probe · seeds 0, 1 would be made differently here: train: 000"):
        list(run_job(changed))


class Stopped(Serial):
    """Serial, but asked to stop after so many cells; says when it was closed."""

    def __init__(self, cells):
        self.cells, self.closed = cells, False

    def carry_out(self, jobs, workspace):
        try:
            yield from islice(super().carry_out(jobs, workspace), self.cells)
            raise KeyboardInterrupt
        finally:
            self.closed = True


def test_what_is_finished_when_a_run_is_stopped_is_in_the_tables(home, tmp_path, monkeypatch):
    monkeypatch.setattr("isogloss.experiment.schedule.GATHERING", -1)  # not one table in between
    with pytest.raises(KeyboardInterrupt):
        run(spec(home), tmp_path / "run", Stopped(2))
    assert set(api.open_run(tmp_path / "run").scores["method"]) == {"linear-probe"}


def test_an_executor_is_closed_at_once_where_a_cell_cannot_be_stored(home, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("isogloss.store.Store.put", full)
    executor, handler = Stopped(2), signal.getsignal(signal.SIGINT)
    with pytest.raises(OSError, match="No space left"):
        run(spec(home), tmp_path / "run", executor)
    assert executor.closed
    assert signal.getsignal(signal.SIGINT) is handler


def test_executors_are_found_by_listing():
    assert executors()["serial"].name == "serial"
