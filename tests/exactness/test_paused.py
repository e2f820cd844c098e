"""A training that pauses and goes on, as often and in whatever company, is the one that nothing has disturbed."""

from dataclasses import replace

import pytest
import torch
from polars.testing import assert_frame_equal

from isogloss import store
from isogloss.experiment import cost
from isogloss.experiment.encoded import EncodedData
from isogloss.experiment.job import Job, JobObserver, PausedCell
from isogloss.experiment.run_job import run_job
from isogloss.experiment.workspace import Workspace
from isogloss.spec import Spec
from models import checkpoint, sib200

SHARES = (0.05, 0.3, 1 / 3, 0.5, 2 / 3, 0.95, 1.0)  # of 12 updates: at the end of an epoch, within one, at the very end
SMALL = {"epochs": 3, "batch_size": 6, "lr": 1e-3}
METHODS = {
    "best": {"method": "fine-tuning", **SMALL, "embeddings": True},
    "last": {"method": "fine-tuning", **SMALL, "select": "last", "backbone_dropout": 0.2},
    "mean": {"method": "fine-tuning", **SMALL, "select": "mean"},
    "slow-fast": {**SMALL},
    "updates": {"method": "slow-fast", **SMALL, "select": {"mean": 0.5, "every": 2}, "slow_time": False, "drift": 1.0},
    "lora": {**SMALL, "rank": 2},
    "deep-prompt": {**SMALL, "length": 3},
    "linear-probe": {"epochs": 3, "batch_size": 6},
}
FOUR = {
    "deep-prompt": {"epochs": 3, "batch_size": 6, "length": [1, 2, 3, 4]},
    "linear-probe": {"epochs": 3, "batch_size": 6, "head_lr": [1e-3, 3e-3, 1e-2, 3e-2]},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data")
    return folder


def opened(home, methods, **changes):
    data = {
        "name": "paused", "backbone": str(home / "model"), "task": "sib200", "data": {"path": home / "data"},
        "methods": methods, "seeds": [3], "targets": ["de"], "dtype": "float32", "device": "cpu", **changes,
    }  # fmt: skip
    return Workspace.open(Spec.model_validate(data))


@pytest.fixture(scope="module")
def workspace(home):
    return opened(home, METHODS)


def job(workspace, cells, files=(), until=None, **more):
    facts = tuple(cell.facts(workspace.facts) for cell in cells)
    return Job(workspace.spec, tuple(cells), facts, 1.0, checkpoints=tuple(files), until=until, **more)


def alike(one, other):
    for name in ("scores", "predictions", "history", "confidence"):
        assert_frame_equal(one.tables[name], other.tables[name])
    assert all(torch.equal(tensor, other.weights[name]) for name, tensor in one.weights.items())
    assert one.record.model_copy(update={"environment": {}}) == other.record.model_copy(update={"environment": {}})


def score_of(workspace, cell, paused):
    metric, gold = workspace.card.metrics[0], workspace.encoded(cell).train_dev(cell.seed).gold
    return workspace.task.metrics[metric](gold, paused.answers, "eng-Latn")


@pytest.mark.parametrize("name", METHODS)
def test_paused_is_undisturbed(workspace, tmp_path, name):
    (cell,) = [cell for cell in workspace.cells if cell.name == name]
    file = tmp_path / "one.safetensors"
    (whole,) = run_job(job(workspace, [cell]), workspace)
    steps = []
    for share in SHARES:
        (paused,) = run_job(job(workspace, [cell], [file], share), workspace)
        assert (type(paused), paused.cell) == (PausedCell, cell)
        assert score_of(workspace, cell, paused) == pytest.approx(paused.score)
        so_far = store.rows(store.HISTORY, [{"method": name, "seed": 3, **row} for row in paused.history])
        assert_frame_equal(so_far, whole.tables["history"].head(len(so_far)))
        steps.append(paused.step)
    assert steps == [1, 4, 4, 6, 8, 11, 12]
    assert [paused.score] == whole.tables["scores"].filter(split="dev")["value"].to_list()
    assert len(so_far) == len(whole.tables["history"])
    assert paused.tokens == so_far["tokens"].max()
    (finished,) = run_job(job(workspace, [cell], [file]), workspace)
    alike(finished, whole)


def test_a_pause_encodes_nothing_of_tests(home, tmp_path, monkeypatch):
    workspace = opened(home, {"fine-tuning": SMALL}, memory=1.0)  # what is reckoned is without them, too
    monkeypatch.setattr(EncodedData, "test_set", lambda *_: pytest.fail("a test split was encoded"))
    (paused,) = run_job(job(workspace, workspace.cells, [tmp_path / "one"], 0.5), workspace)
    assert paused.step == 6


class Watching(JobObserver):
    """Counts what is said to be done, and asks to stop after so many updates."""

    def __init__(self, updates=1000):
        self.done, self.looks, self.updates = 0.0, 0, updates

    def advance(self, tokens, cost):
        self.done += cost
        self.looks += tokens > 0

    def stopping(self):
        return self.looks >= self.updates


@pytest.mark.parametrize("name", ["best", "deep-prompt", "linear-probe"])
def test_what_is_done_adds_up_though_a_part_is_interrupted(workspace, tmp_path, name):
    (cell,) = [cell for cell in workspace.cells if cell.name == name]
    (whole,) = run_job(job(workspace, [cell]), workspace)
    begin = 0.0
    for until in (0.5, 1.0):
        part = job(workspace, [cell], [tmp_path / "one"], until)
        part = replace(part, cost=cost.part(workspace, cell, begin, until))
        with pytest.raises(KeyboardInterrupt):
            list(run_job(part, workspace, Watching(2)))
        watching = Watching()
        assert len(list(run_job(part, workspace, watching))) == 1
        assert watching.looks == 4  # of six updates, two were done
        assert watching.done == pytest.approx(part.cost, rel=0.2 if name == "linear-probe" else 1e-6)
        begin = until
    (finished,) = run_job(job(workspace, [cell], [tmp_path / "one"]), workspace)
    alike(finished, whole)


@pytest.mark.parametrize("name", FOUR)
def test_a_stack_goes_on_narrower(home, tmp_path, name):
    workspace = opened(home, {name: FOUR[name]})
    files = [tmp_path / str(number) for number in range(4)]
    assert len(list(run_job(job(workspace, workspace.cells, files, 0.4), workspace))) == 4
    two, kept = workspace.cells[1:3], files[1:3]
    paused = list(run_job(job(workspace, two, kept, 1.0), workspace))
    finished = list(run_job(job(workspace, two, kept), workspace))
    alone = list(run_job(job(workspace, two), workspace))
    for one, other, pause in zip(finished, alone, paused, strict=True):
        for key, tensor in other.weights.items():
            torch.testing.assert_close(one.weights[key], tensor, rtol=1e-4, atol=1e-4)
        for key in ("scores", "predictions", "history"):
            assert_frame_equal(one.tables[key], other.tables[key], rel_tol=1e-4, abs_tol=1e-4)
        assert [pause.score] == one.tables["scores"].filter(split="dev")["value"].to_list()
    assert not torch.equal(*(one.weights["head.weight"] for one in finished))


def test_trainings_of_other_lengths_pause_each_at_its_share(home, tmp_path):
    workspace = opened(home, {"deep-prompt": {**SMALL, "length": 2, "epochs": [2, 4], "batch_size": [6, 12]}})
    files = [tmp_path / str(number) for number in range(4)]
    paused = list(run_job(job(workspace, workspace.cells, files, 0.5), workspace))
    assert sorted(one.step for one in paused) == [2, 4, 4, 8]
    finished = list(run_job(job(workspace, workspace.cells, files), workspace))
    for one, other in zip(finished, run_job(job(workspace, workspace.cells), workspace), strict=True):
        for key, tensor in other.weights.items():
            torch.testing.assert_close(one.weights[key], tensor, rtol=1e-4, atol=1e-4)
