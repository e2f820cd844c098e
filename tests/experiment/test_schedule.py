"""What is missing becomes jobs: the longest first, and much to be scored in parts, where several carry them out."""

from dataclasses import replace

import pytest
from polars.testing import assert_frame_equal

from isogloss import api
from isogloss.executors.serial import Serial
from isogloss.experiment.job import JobQueue
from isogloss.experiment.run import run
from isogloss.spec import Spec
from models import checkpoint, sib200

METHODS = {
    "linear-probe": {"epochs": 1}, "fine-tuning": {"epochs": [1, 3]}, "slow-fast": {"epochs": 2, "average": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data")
    return folder


def spec(home, **changes):
    return Spec.model_validate({
        "name": "jobs", "backbone": str(home / "model"), "task": "sib200", "data": {"path": home / "data"},
        "methods": METHODS, "seeds": [0, 1], "targets": ["de", "zh"], "dtype": "float32", "device": "cpu", **changes,
    })  # fmt: skip


class Beside(Serial):
    """As many jobs at once as there are, the last one handed out carried out first."""

    parallel = True

    def __init__(self):
        super().__init__()
        self.jobs = []

    def carry_out(self, jobs, workspace):
        taken = list(jobs)
        self.jobs += taken
        yield from super().carry_out(JobQueue(iter(taken[::-1]), jobs.cost), workspace)


def same(one, other):
    for name in ("scores", "predictions", "history"):
        assert_frame_equal(one.table(name), other.table(name))
    for here, there in zip(one.finished(), other.finished(), strict=True):
        ours, theirs = (
            cell.record.model_dump(exclude={"environment", "tables_sha256"}) for cell in (here, there)
        )  # fmt: skip
        assert ours == theirs


def test_the_longest_begin_and_scoring_is_shared(home, tmp_path):
    executor = Beside()
    stored = run(spec(home), tmp_path / "beside", executor)
    trainings = [job for job in executor.jobs if job.trained is None and job.cost]
    costs = [job.cost for job in trainings]
    first_round = costs[: next(number for number, job in enumerate(trainings) if job.cells[0].average > 1)]
    assert first_round == sorted(first_round, reverse=True)
    heads = [job for job in executor.jobs if job.cells[0].name == "linear-probe"]
    assert heads[0].languages == ("eng-Latn",)
    assert sorted(job.languages for job in heads[1:]) == [("deu-Latn",)] * 2 + [("zho-Hans",)] * 2
    same(api.run(spec(home), tmp_path / "here").store, stored)


def test_what_is_shared_and_fails_leaves_what_is_scored(home, tmp_path):
    class Losing(Beside):
        def carry_out(self, jobs, workspace):
            yield from super().carry_out(JobQueue(map(broken, jobs), jobs.cost), workspace)

    def broken(job):
        return replace(job, facts=({**job.facts[0], "labels": ["x"]},)) if job.languages == ("zho-Hans",) else job

    heads = spec(home, methods={"linear-probe": {"epochs": 1}}, seeds=[0])
    with pytest.raises(Exception, match="would be made differently"):
        run(heads, tmp_path / "run", Losing())
    left = api.open_run(tmp_path / "run")
    assert set(left.scores["language"]) == {"eng-Latn", "deu-Latn"}
    same(api.run(heads, tmp_path / "here").store, api.run(heads, tmp_path / "run").store)


def test_of_a_training_that_fails_the_others_come_to_their_end(home, tmp_path):
    class Losing(Beside):
        def carry_out(self, jobs, workspace):
            yield from super().carry_out(JobQueue(map(broken, jobs), jobs.cost), workspace)

    def broken(job):
        lost = job.cells[0].name == "fine-tuning" or job.cells[0].whole == ("slow-fast", 1)
        return replace(job, facts=({**job.facts[0], "labels": ["x"]},) * len(job.cells)) if lost else job

    methods = {**METHODS, "fine-tuning": {"epochs": 1}}
    executor = Losing()
    with pytest.raises(Exception, match="would be made differently"):
        run(spec(home, methods=methods), tmp_path / "run", executor)
    left = api.open_run(tmp_path / "run")
    assert {cell.key for cell in left.store.finished()} == {("linear-probe", 0), ("linear-probe", 1), ("slow-fast", 0)}
    assert all(len(cell.record.test_data) == 3 for cell in left.store.finished())
    assert not [job for job in executor.jobs if job.cells[0].key == ("slow-fast", 1)]  # no mean of what is not there
    same(api.run(spec(home, methods=methods), tmp_path / "here").store, run(
        spec(home, methods=methods), tmp_path / "run", Serial()
    ))  # fmt: skip
