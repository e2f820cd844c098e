"""Jobs on a cluster give what one process gives, whoever of them is stopped; they are carried out by submitit here.

Processes of its local executor are real, as are the signals; a Slurm node was tried by hand: docs/how-to/slurm.md.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from isogloss import api
from isogloss.errors import IsoglossError
from isogloss.executors import slurm_jobs, slurm_states
from isogloss.executors.registry import executor
from isogloss.executors.slurm import EXECUTOR, SlurmSettings
from isogloss.executors.slurm_folder import SlurmFolder, Ticket
from isogloss.executors.slurm_states import cluster_jobs, states
from isogloss.executors.slurm_tickets import Tickets
from isogloss.experiment.job import JobQueue
from isogloss.experiment.run import run
from isogloss.experiment.run_job import run_job
from isogloss.experiment.submitted import FOLDER, submitted
from isogloss.runtime import yaml
from isogloss.spec import Spec
from models import checkpoint, sib200

pytest.importorskip("submitit")
# A process that is left to itself is what this is about.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
TABLES = ("scores", "predictions", "history")
LOCAL = {"name": "slurm", "cluster": "local", "minutes": 10, "at_once": 2}
METHODS = {"deep-prompt": {"length": [2, 4], "epochs": 2}, "slow-fast": {"epochs": 2, "average": 2}}
LONG = {"fine-tuning": {"epochs": 80, "embeddings": True}}
ROUNDS = int(os.environ.get("ISOGLOSS_ROUNDS", "1"))


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("ISOGLOSS_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data")
    return folder


def spec(home, **changes):
    return Spec.model_validate({
        "name": "jobs", "backbone": str(home / "model"), "task": "sib200", "data": {"path": home / "data"},
        "methods": METHODS, "seeds": [0], "targets": ["de", "zh"], "dtype": "float32", "device": "cpu", **changes,
    })  # fmt: skip


@pytest.fixture(scope="module")
def long(home):
    return api.run(spec(home, methods=LONG), home / "long").store


def same(one, other):
    for name in TABLES:
        assert_frame_equal(one.table(name), other.table(name))
    for here, there in zip(one.finished(), other.finished(), strict=True):
        assert here.record.facts == there.record.facts
        assert here.record.weights_sha256 == there.record.weights_sha256


def nothing_left(out):
    """Of jobs that are gathered: no ticket, no pickle, no word in the run directory."""
    assert not list(SlurmFolder(out).path.iterdir())
    assert not (out / FOLDER).exists()


def when(there, act, seconds=90.0):
    """Do something in another thread once something is there."""

    def watch():
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (found := there()):
            time.sleep(0.05)
        act(found)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def in_training(out):
    """The first job that is at its updates, and whose process is known."""
    folder = SlurmFolder(out)
    for ticket in folder.tickets():
        if ticket.job is not None and "training" in folder.progress(ticket)[0]:
            return ticket
    return None


def task_of(ticket):
    """The process that carries a local job out: a child of the one whose number it has."""
    (child,) = Path(f"/proc/{ticket.job}/task/{ticket.job}/children").read_text().split()
    return int(child)


@pytest.mark.slow
def test_a_cluster_gives_what_one_process_gives(home, tmp_path):
    here = api.run(spec(home), tmp_path / "here")
    there = api.run(spec(home, executor=LOCAL), tmp_path / "there")  # the mean is a job after its trainings
    same(here.store, there.store)
    nothing_left(tmp_path / "there")


class Tampered(EXECUTOR):
    """Slurm, but that the facts of one method's jobs are of other data."""

    seen = ()

    def carry_out(self, jobs, workspace):
        def sent():
            for job in jobs:
                wrong = job.cells[0].name == "linear-probe"
                facts = tuple({**facts, "train": "other"} for facts in job.facts) if wrong else job.facts
                self.seen = [job] if wrong else self.seen
                yield replace(job, facts=facts)

        return super().carry_out(JobQueue(sent(), jobs.cost, jobs.folder), workspace)


@pytest.mark.slow
def test_a_job_that_fails_leaves_the_others_and_says_where_its_log_is(home, tmp_path):
    methods = {"linear-probe": {"epochs": 1}, "deep-prompt": {"length": 2, "epochs": 1}}
    asked, out = spec(home, methods=methods), tmp_path / "run"
    failing = Tampered(SlurmSettings(cluster="local", minutes=10, at_once=2))
    with pytest.raises(IsoglossError, match=r"linear-probe · seed 0: .* differently here.*its log is") as error:
        run(asked, out, failing)
    log = Path(str(error.value).partition("its log is ")[2].split(" (")[0])
    assert "differently here" in log.read_text()
    assert set(api.open_run(out).scores["method"]) == {"deep-prompt"}
    told = str(api.status(out))
    assert "1 of 2 cells are finished, 1 failed" in told
    assert str(log) in told
    (ticket,) = SlurmFolder(out).tickets()  # what is left, for people; the next run tries it again
    assert Tickets(SlurmFolder(out), out).attached(failing.seen[0])[1] is not None
    assert not log.exists()
    assert ticket.failed
    nothing_left(out)


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_lost_job_goes_on_to_the_same(home, long, tmp_path, round_, capsys):
    out, seen = tmp_path / "run", []

    def kill(ticket):
        time.sleep(0.1 * (round_ % 10))
        with suppress(ValueError, OSError):  # of later rounds: it is over already
            os.kill(task_of(ticket), signal.SIGKILL)
            seen.append(ticket)

    killing = when(lambda: in_training(out), kill)
    disturbed = api.run(spec(home, methods=LONG, checkpoint_minutes=0, executor=LOCAL), out)
    killing.join()
    same(long, disturbed.store)
    nothing_left(out)
    if not round_:
        assert seen
        assert "it begins again where its checkpoint left it" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_lost_driver_leaves_its_jobs_which_make_way_and_go_on(home, long, tmp_path, round_, capsys):
    out, written = tmp_path / "run", tmp_path / "spec.yaml"
    asked = spec(home, methods=LONG, executor=LOCAL)
    written.write_text(yaml.dumps(asked.model_dump(mode="json", exclude_defaults=True)))
    command = [sys.executable, "-m", "isogloss", "run", str(written), "--out", str(out)]
    driver = subprocess.Popen(
        command, env=os.environ, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )
    when(
        lambda: in_training(out) if not round_ else submitted(out), lambda _: driver.send_signal(signal.SIGKILL)
    ).join()
    assert driver.wait() == -signal.SIGKILL
    for number in (signal.SIGINT, signal.SIGHUP):  # jobs hear neither Ctrl-C nor that the terminal is closed
        os.killpg(driver.pid, number)
    (before,), folder = SlurmFolder(out).tickets(), SlurmFolder(out)
    (job,) = cluster_jobs(out)
    assert (job.job, job.cells) == (before.job, [("fine-tuning", 0)])
    time.sleep(0.2 * (round_ % 10))
    with suppress(ValueError, OSError):  # of later rounds: it is not there yet, or not any more
        process = task_of(before)
        os.kill(process, signal.SIGUSR2)
        end = time.monotonic() + 60
        while Path(f"/proc/{process}").exists() and time.monotonic() < end:
            time.sleep(0.05)
    if not round_:
        assert folder.checkpoint(before.name, 0, "lane.safetensors").is_file()  # it has kept what it had
        assert "Requeued job" in folder.log(before).read_text()
        capsys.readouterr()
        api.run(asked, out, detach=True)
        said = " ".join(capsys.readouterr().err.split())
        if in_queue := [ticket.job for ticket in folder.tickets()]:
            assert in_queue == [before.job]  # attached to, and not submitted again
            assert f"1 job is on the cluster ({before.job})" in said
            assert f"isogloss status {out}" in said
            assert "0 of 1 cells are finished, 1 " in str(api.status(out))
            with pytest.raises(IsoglossError, match="is submitted to slurm as job"):
                api.run(asked, out, executor="serial")
            os.kill(int(before.job), signal.SIGTERM)  # as is said how to end it: with what it has
    gathered = api.run(asked, out)
    same(long, gathered.store)
    nothing_left(out)


@pytest.mark.slow
def test_a_search_is_gathered_a_round_at_a_time(home, tmp_path):
    methods = {"deep-prompt": {"epochs": 2, "search": {"lr": [1e-3, 1e-1], "budget": 2}}}
    here = api.run(spec(home, methods=methods), tmp_path / "here")
    out, asked = tmp_path / "there", spec(home, methods=methods, executor=LOCAL)
    rounds = 0
    while not (out / "spec.yaml").exists() or not list(out.glob("weights/*/0/run.json")):
        api.run(asked, out, detach=True)
        rounds += 1
        assert "deep-prompt" in str(api.status(out))
        while any(state != "over" for state in states(SlurmFolder(out), SlurmFolder(out).tickets()).values()):
            time.sleep(0.2)
        assert rounds < 10
    assert rounds >= 3  # the candidates, the chosen one, and what came of it
    same(here.store, api.open_run(out).store)
    one, other = ((folder / "search/deep-prompt/search.json").read_text() for folder in (tmp_path / "here", out))
    assert one == other
    nothing_left(out)


def test_jobs_that_would_make_something_else_are_not_taken_for_these(home, tmp_path):
    out, folder = tmp_path / "run", SlurmFolder(tmp_path / "run")
    folder.open()
    cell = {"label": "linear-probe", "seed": 0, "facts": "of another spec"}
    sleeper = subprocess.Popen([
        sys.executable, "-c", "import time; time.sleep(60)", "submitit.local._local", str(folder.path)
    ])  # fmt: skip
    try:
        ticket = Ticket(name="0" * 32, cluster="local", job=str(sleeper.pid), title="x", cells=[cell])
        folder.write(ticket)
        asked = spec(home, methods={"linear-probe": {"epochs": 1}}, executor=LOCAL)
        with pytest.raises(IsoglossError, match=rf"job {sleeper.pid} \(x\) is running, and makes something else"):
            api.run(asked, out)
        folder.write(ticket.model_copy(update={"place": "another"}))  # a machine that shares the disk
        with pytest.raises(IsoglossError, match=r"not to be seen from here: it is a process of another.* delete"):
            api.run(asked, out)
        assert "queued" in str(api.status(out))
        folder.write(ticket)
    finally:
        sleeper.kill()
        sleeper.wait()
    (other,) = Tickets(folder, out).folder.tickets()
    assert states(folder, [other]) == {other.name: "over"}


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key in ("partition", "account", "qos", "constraint")
     for value in ("gpu\n#SBATCH --x", "gpu\n", "$(id)", "`id`", "a b", "a;b", "a'b", 'a"b', "--uid=0", "", "x" * 300)]
    + [("minutes", 0), ("cpus", 1.5), ("memory", -1), ("cluster", "debug"), ("setup", ["id"]), ("folder", "x")],
)  # fmt: skip
def test_nothing_of_a_spec_gets_into_a_shell(key, value):
    with pytest.raises(IsoglossError, match="^executor: ") as error:
        executor({"name": "slurm", "cluster": "local", key: value})
    assert "\n" not in str(error.value)


COMMANDS = {  # of a Slurm that says what stands in files, and takes jobs unless it is to say why not
    "sbatch": 'env >"$HERE/environment"; [ -s "$HERE/error" ] && { cat "$HERE/error" >&2; exit 1; }\n'
              'echo x >>"$HERE/count"; echo "Submitted batch job $(wc -l <"$HERE/count")"',
    "squeue": '[ -s "$HERE/hangs" ] && { cat "$HERE/hangs" >&2; exec sleep 9; }\n'
              '[ -z "$SQUEUE_STATES" ] && cat "$HERE/queue"',
    "sacct": 'cat "$HERE/ended"',
    "scontrol": 'cat "$HERE/config"',
    "srun": "exit 1",
}  # fmt: skip


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    here = tmp_path / "slurm"
    here.mkdir()
    for name, does in COMMANDS.items():
        (here / name).write_text(f"#!/bin/sh\nHERE={here}\n{does}\n")
        (here / name).chmod(0o755)
    for name in ("queue", "config"):
        (here / name).touch()
    monkeypatch.setenv("PATH", f"{here}:{os.environ['PATH']}")
    slurm_states.configured.cache_clear()
    yield here
    slurm_states.configured.cache_clear()


def test_what_slurm_is_asked_for(tmp_path, slurm, monkeypatch, capsys):
    settings = {"partition": "gpu,long", "minutes": 90, "cpus": 4, "gpus": 1, "memory": 32, "constraint": "a100|h100"}
    asked = executor({"name": "slurm", "account": "me", "qos": "low", "at_once": 5, **settings})
    folder = SlurmFolder(tmp_path / "run")
    folder.open()
    script = asked._executor(folder, "jobs")._executor._make_submission_file_text("COMMAND", "0")
    for line in (
        "--partition=gpu,long", "--time=90", "--cpus-per-task=4", "--gpus-per-node=1", "--mem=32GB", "--account=me",
        "--constraint='a100|h100'", "--qos=low", "--requeue", "--signal=USR2@120", "--job-name=isogloss-jobs",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in script
    assert "srun --unbuffered" in script
    assert "--cpus-per-task=4 COMMAND" in script
    # The environment does not have other words for it; a default that the spec says nothing of, it has.
    for name in ("PARTITION", "TIMELIMIT", "EXPORT", "RESERVATION"):
        monkeypatch.setenv(f"SBATCH_{name}", "other")
    (slurm / "config").write_text("ClusterName             = north\nMaxArraySize            = 2\n")
    assert list(asked.submit(folder, "jobs", [print] * 5)) == ["1_0", "1_1", "2_0", "2_1", "3"]
    told = (slurm / "environment").read_text()
    assert "SBATCH_RESERVATION=other" in told
    assert not any(f"SBATCH_{name}=" in told for name in ("PARTITION", "TIMELIMIT", "EXPORT"))
    assert os.environ["SBATCH_PARTITION"] == "other"
    (slurm / "error").write_text("sbatch: error: no\nsbatch: error: such partition\n")
    with pytest.raises(IsoglossError, match=r"does not take the jobs \(sbatch: error: no sbatch: error: such") as error:
        list(asked.submit(folder, "jobs", [print]))
    assert "\n" not in str(error.value)
    assert capsys.readouterr().err == ""  # the line says it


def test_slurm_is_asked_without_what_hides_jobs_and_may_be_silent(tmp_path, slurm, monkeypatch):
    folder = SlurmFolder(tmp_path / "run")
    ticket = Ticket(name="0" * 32, cluster="slurm", job="4711_3", title="x", cells=[], place="north")
    (slurm / "queue").write_text("4711_3|PENDING|Priority\n")
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    assert states(folder, [ticket]) == {ticket.name: "queued (Priority)"}
    (slurm / "config").write_text("ClusterName             = south\n")  # a disk may be of two clusters
    slurm_states.configured.cache_clear()
    (slurm / "queue").write_text("")
    said = "unknown: it is on the cluster north, and this is south"
    assert states(folder, [ticket]) == {ticket.name: said}
    (slurm / "hangs").write_text("slurm_load_jobs error: Unable to contact slurm controller\n")
    monkeypatch.setattr(slurm_states, "SECONDS", 0.3)
    with pytest.raises(IsoglossError, match=r"^squeue does not answer \(slurm_load_jobs error"):
        states(folder, [ticket.model_copy(update={"place": ""})])


def test_a_job_that_is_lost_keeps_what_it_had_whatever_becomes_of_it(home, tmp_path, slurm, monkeypatch, capsys):
    monkeypatch.setitem(slurm_jobs.RESULT_COMES, "slurm", 0.0)
    out, folder = tmp_path / "run", SlurmFolder(tmp_path / "run")
    methods = {"linear-probe": {"epochs": 1}}
    asked = spec(home, methods=methods, seeds=[0, 1], executor={"name": "slurm", "retries": 1, "in_queue": 1})
    (slurm / "queue").write_text("1|PENDING|Priority\n")
    api.run(asked, out, detach=True)
    assert "1 job is on the cluster (1)" in " ".join(capsys.readouterr().err.split())
    (before,) = folder.tickets()
    (slurm / "queue").write_text("")
    (slurm / "error").write_text("sbatch: error: too many jobs\n")
    (slurm / "ended").write_text("NODE_FAIL\n")
    with pytest.raises(IsoglossError, match="too many jobs"):  # to be submitted again, it is not taken
        api.run(asked, out, detach=True)
    assert folder.tickets() == [before]
    assert (folder.path / before.name).is_dir()
    assert "job 1, over, with no result to be seen" in str(api.status(out))
    # It was in the queue again, with one of its cells done, and then needed more memory than it had.
    file = folder.submission(before)
    delayed = slurm_jobs._read(file)
    delayed.function.events = [next(iter(run_job(delayed.function.job)))]
    file.write_bytes(pickle.dumps(delayed))
    (slurm / "ended").write_text("OUT_OF_MEMORY\n")
    (slurm / "error").write_text("")
    with pytest.raises(IsoglossError, match="its job 1 ended as OUT_OF_MEMORY and has handed nothing back"):
        api.run(asked, out, detach=True)
    (done,) = api.open_run(out).store.finished()
    assert done.key == ("linear-probe", 0)
    assert "linear-probe seed 1: job 1, failed: its job 1 ended as OUT_OF_MEMORY" in str(api.status(out))


def test_the_folder_is_the_users_alone(home, tmp_path):
    out, folder = tmp_path / "run", SlurmFolder(tmp_path / "run")
    folder.path.mkdir(parents=True, mode=0o755)
    folder.path.chmod(0o755)
    mine = tmp_path / "touched"

    class Bad:
        def __reduce__(self):
            return Path.touch, (mine,)

    (folder.path / "1_0_result.pkl").write_bytes(pickle.dumps(Bad()))
    ticket = {"name": "0" * 32, "cluster": "local", "job": "1", "title": "x", "cells": []}
    (folder.path / f"{'0' * 32}.json").write_text(json.dumps(ticket))
    assert cluster_jobs(out) == []
    with pytest.raises(IsoglossError, match="is not a folder of yours alone"):
        api.run(spec(home, methods={"linear-probe": {"epochs": 1}}, executor=LOCAL), out)
    # What a run directory says of jobs is read as a stranger's, and nothing that it names is opened.
    (out / FOLDER).mkdir(parents=True)
    (out / FOLDER / "x.json").write_text(json.dumps({**ticket, "executor": "slurm", "user": "u", "host": "h"}))
    (out / FOLDER / f"{'1' * 32}.json").write_text('{"job": "../../x"}')
    assert submitted(out) == []
    assert not mine.exists()


def test_only_what_can_be_left_is_left():
    with pytest.raises(IsoglossError, match=r"^executor serial cannot detach.*expected slurm$"):
        executor({}, "serial", detach=True)
