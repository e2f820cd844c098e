"""How far a run is, by a look that changes nothing: of one that is over, at work, damaged, or has only begun."""

import json
import os
import time
from dataclasses import replace

import pytest

from isogloss import api
from isogloss.cli.commands import app
from isogloss.errors import IsoglossError
from isogloss.executors.serial import Serial
from isogloss.experiment.job import JobQueue
from isogloss.experiment.leases import CellLeases
from isogloss.experiment.run import run
from isogloss.experiment.status import run_status
from isogloss.experiment.submitted import ClusterJob, SubmittedJob, note
from isogloss.runtime import yaml
from isogloss.spec import Spec
from isogloss.store import Store
from models import checkpoint, sib200


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data")
    return folder


def spec(home, **changes):
    return Spec.model_validate({
        "name": "jobs", "backbone": str(home / "model"), "task": "sib200", "data": {"path": home / "data"},
        "methods": {"linear-probe": {"epochs": 1}, "slow-fast": {"epochs": 2, "average": 2, "batch_size": 8}},
        "seeds": [0], "targets": ["de"], "dtype": "float32", "device": "cpu", **changes,
    })  # fmt: skip


class Interrupted(Serial):
    """Stops in the middle of the first training of a method."""

    def carry_out(self, jobs, workspace):
        for job in jobs:
            if job.cells[0].name == "slow-fast" and job.cells[0].seed == 1:
                # Its checkpoint is written where the job pauses.
                list(super().carry_out(JobQueue(iter([replace(job, until=0.5)]), job.cost, jobs.folder), workspace))
                raise KeyboardInterrupt
            else:
                yield from super().carry_out(JobQueue(iter([job]), job.cost, jobs.folder), workspace)


def listing(folder):
    return sorted((str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*"))


@pytest.fixture
def stopped(home, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(spec(home), tmp_path / "run", Interrupted())
    return tmp_path / "run"


def test_a_run_that_was_stopped(stopped):
    before = listing(stopped)
    status = api.status(stopped).status
    assert listing(stopped) == before
    finished, averaged = status.cells
    assert (finished.label, finished.state, finished.lacking) == ("linear-probe", "finished", ())
    assert (averaged.label, averaged.state, averaged.members) == ("slow-fast", "missing", (1, 2))
    text = str(api.status(stopped))
    assert text.rstrip().endswith(f"{stopped}: 1 of 2 cells are finished, 1 missing")
    assert "slow-fast seed 0: 1 of 2 members are done" in text
    # Of a single training it is said how far its checkpoint is.
    member = stopped / "checkpoints/slow-fast/0/member-1/lane.safetensors"
    member.rename(member.parents[1] / member.name)
    (stopped / "spec.yaml").write_text((stopped / "spec.yaml").read_text().replace("average: 2", "average: 1"))
    (_, single) = api.status(stopped).status.cells
    assert single.updates == (3, 6)
    assert "slow-fast seed 0: its checkpoint is at update 3 of 6" in str(api.status(stopped))


def test_who_is_at_work(stopped):
    leases = CellLeases(Store(stopped), {}, {})
    with leases:
        leases.take([("slow-fast, member 2 of 2", 1)])
        (_, averaged) = api.status(stopped).status.cells
        assert (averaged.state, averaged.said) == ("training", f"process {os.getpid()} on {os.uname().nodename}")
        # One that has given no sign of life for long is not.
        (lease,) = (stopped / ".leases").glob("*.lease")
        old = time.time() - 1000
        os.utime(lease, (old, old))
        assert api.status(stopped).status.cells[1].state == "missing"
    job = ClusterJob("12_3", "x", [("slow-fast, member 2 of 2", 1)], "queued (Priority)")
    for state, meant in {"running": "training", "over": "over", "failed: no": "failed"}.items():
        every = [job, replace(job, job="13", cells=[("slow-fast", 0)], state=state)]
        (_, averaged) = run_status(stopped, lambda _, every=every: every).cells
        assert averaged.state == ("queued" if state in {"over", "failed: no"} else meant)
        assert averaged.said.endswith(" and 1 more")
    # A job of what the spec does not name any more is not passed over.
    every = [replace(job, cells=[("removed", 0)], title="removed · seed 0"), job]
    assert run_status(stopped, lambda _: every).problems == [
        "job 12_3, queued (Priority): removed · seed 0, which is none of these"
    ]
    note(stopped, SubmittedJob(
        name="0" * 32, executor="slurm", job="7", user="\x1b[31mme", host="there", title="x", cells=[("slow-fast", 0)]
    ))  # fmt: skip
    text = str(api.status(stopped))
    assert r"slow-fast seed 0: job 7, submitted by \x1b[31mme on there; 1 of 2 members are done" in text
    assert "1 of 2 cells are finished, 1 queued" in text


def test_cells_that_are_damaged_or_lack_languages(home, tmp_path, capsys):
    methods = {"linear-probe": {"epochs": 1}}
    out = api.run(spec(home, methods=methods, seeds=[0, 1, 2]), tmp_path / "run").path
    (out / "weights/linear-probe/1/run.json").write_text("{")
    (out / "weights/linear-probe/2/scores.parquet").unlink()
    stored = yaml.load(out / "spec.yaml")
    (out / "spec.yaml").write_text(yaml.dumps({**stored, "targets": ["deu-Latn", "zho-Hans"]}))
    text = str(api.status(out))
    assert "1 of 3 cells are finished, 2 damaged" in text
    assert "1 finished cell lacks 1 languages: zho-Hans" in text
    assert sum("is not what isogloss writes there" in line for line in text.splitlines()) == 2
    assert max(map(len, text.partition(str(out))[0].splitlines())) <= 80
    capsys.readouterr()
    app(["status", str(out)], standalone_mode=False)
    assert capsys.readouterr().out.splitlines()[-1] == f"{out}: 1 of 3 cells are finished, 2 damaged"
    (out / "spec.yaml").write_text("methods: 1")
    text = str(api.status(out))
    assert "what is missing is not known" in text
    assert "1 of 2 cells are finished, 1 damaged" in text
    assert sum("is not what isogloss writes there" in line for line in text.splitlines()) == 2


def test_a_search_that_has_only_begun(home, tmp_path):
    methods = {"deep-prompt": {"epochs": 2, "search": {"lr": [1e-3, 1e-2, 1e-1, 1.0], "budget": 5}}}
    out = tmp_path / "run"

    class Ends(Serial):
        def carry_out(self, jobs, workspace):
            outcomes = super().carry_out(jobs, workspace)
            yield next(outcomes)
            told.append(str(api.status(out)))
            raise KeyboardInterrupt

    told = []
    with pytest.raises(KeyboardInterrupt):
        run(spec(home, methods=methods), out, Ends())
    (text,) = told
    assert "search of deep-prompt: round 1 of " in text
    assert "1 of 4 candidates" in text
    assert f"process {os.getpid()} on " in text
    assert "nothing is trained yet" in text
    text = str(api.status(out))
    assert "1 of 4 candidates" in text
    assert "is at work on it" not in text
    file = out / "search/deep-prompt/search.json"
    (pause,) = (stored := json.loads(file.read_text()))["pauses"]
    for damage in ({"unit": -1}, {"pauses": [{**pause, "rung": 99}]}):
        file.write_text(json.dumps({**stored, **damage}))
        assert "is not what isogloss writes there" in str(api.status(out))


@pytest.mark.parametrize("what", ["nothing", "a file", "other files", "an empty folder"])
def test_what_is_no_run_directory(tmp_path, what):
    out = tmp_path / "run"
    if what == "a file":
        out.write_text("x")
    elif what != "nothing":
        out.mkdir()
    if what == "other files":
        (out / "thesis.tex").write_text("x")
    with pytest.raises(IsoglossError):
        api.status(out)
    with pytest.raises(IsoglossError):
        app(["status", str(out)], standalone_mode=False)
    assert out.exists() == (what != "nothing")
