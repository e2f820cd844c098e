"""A dry run says what an experiment costs before it is spent, and is right about it."""

import pytest

from isogloss import api
from isogloss.cli.dry_run import describe
from isogloss.executors.registry import executor
from isogloss.executors.serial import Serial
from isogloss.experiment import cost
from isogloss.experiment.frames import stored_frames
from isogloss.experiment.price import price
from isogloss.experiment.search.plan import planned
from isogloss.experiment.workspace import Workspace
from isogloss.runtime.console import out
from isogloss.spec import Spec, read_spec
from models import checkpoint, sib200


class Counting(Serial):
    def __init__(self):
        super().__init__()
        self.jobs = []

    def carry_out(self, jobs, workspace):
        def counted():
            for job in jobs:
                self.jobs.append(job)
                yield job

        yield from super().carry_out(type(jobs)(counted(), jobs.cost), workspace)


def test_jobs_and_bytes_are_what_they_come_to(tmp_path):
    checkpoint(tmp_path / "model")
    methods = {"deep-prompt": {"length": [2, 4]}, "fine-tuning": {"embeddings": True}, "slow-fast": {"average": 2}}
    spec = Spec.model_validate({
        "name": "priced", "backbone": str(tmp_path / "model"), "task": "sib200",
        "data": {"path": sib200(tmp_path / "data")}, "seeds": [0, 1], "targets": ["de"], "device": "cpu",
        "methods": {name: {"epochs": 2, **given} for name, given in methods.items()},
    })  # fmt: skip
    counting = Counting()
    expected = price(Workspace.open(spec), [], [])
    api.carry_out(spec, tmp_path / "run", counting)
    assert expected.jobs == len(counting.jobs) == 9  # a stack, two trainings, four members and their two means
    assert expected.cost == pytest.approx(sum(job.cost for job in counting.jobs))
    assert expected.longest[0].startswith("deep-prompt")
    kept = sum(file.stat().st_size for file in (tmp_path / "run" / "weights").rglob("*.safetensors"))
    assert expected.stored == pytest.approx(kept, rel=0.05)
    stored = api.open_run(tmp_path / "run").store.finished()
    more = price(Workspace.open(spec.model_copy(update={"targets": ["de", "zh"]})), stored, [])
    assert more.jobs == 8  # each cell lacks a language
    assert more.stored == 0
    heads = spec.model_copy(update={"methods": {"linear-probe": {"epochs": 1}}, "targets": ["de", "zh"]})
    beside = price(Workspace.open(heads), [], [], parallel=True)
    counting = Counting()
    counting.parallel = True
    api.carry_out(heads, tmp_path / "beside", counting)
    assert beside.jobs == len(counting.jobs) == 5  # a stack of two heads in one language, and two languages of each
    assert beside.cost == pytest.approx(price(Workspace.open(heads), [], []).cost)
    assert 0 < beside.longest[1] < price(Workspace.open(heads), [], []).longest[1]
    assert dict(price(Workspace.open(spec), stored, []).lines())["jobs"] == "0"
    with out.capture() as shown:
        describe(spec, tmp_path / "other", executor({}))
    lines = {line.split()[0]: line for line in shown.get().splitlines() if line.strip()}
    assert "9, the longest deep-prompt" in lines["jobs"]
    assert "of one device as fast as this one" in lines["time"]


def words(split):
    return {"words": ["ada", split, "oslo"] * 40, "labels": ["A", "O", "B"] * 40}


def passage(split):
    return {"question": split, "passage": f"ada of {split} " * 40, "answers": {"text": ["ada"], "answer_start": [0]}}


@pytest.mark.parametrize("row", [words, passage])
def test_tags_and_passages_and_texts_longer_than_there_is_room_have_a_price(tmp_path, monkeypatch, row):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path))
    asked = Spec(
        name="given", task="custom", backbone=str(checkpoint(tmp_path / "model")), device="cpu",
        methods={"linear-probe": {"epochs": 1}, "deep-prompt": {"epochs": 1, "length": 4}},
    )  # fmt: skip
    found = price(Workspace.open(stored_frames(asked, {
        split: {"en": [row(split)] * 2} for split in ("train", "dev", "test")
    })), [], [])  # fmt: skip
    assert found.speed > 0
    assert found.jobs == 2


def test_what_is_not_at_hand_has_no_price(tmp_path):
    with out.capture() as shown:
        describe(read_spec("tu2022-xnli"), tmp_path / "run", executor({}))
    assert "known once texts and backbone are on this machine" in shown.get()


def test_a_search_costs_its_budget(tmp_path):
    checkpoint(tmp_path / "model")
    spec = Spec.model_validate({
        "name": "priced", "backbone": str(tmp_path / "model"), "task": "sib200", "targets": ["de"], "device": "cpu",
        "data": {"path": sib200(tmp_path / "data")}, "methods": {"lora": {"epochs": 2, "search": {"lr": [1e-3, 1e-2]}}},
    })  # fmt: skip
    plans = planned(spec, tmp_path / "run")
    one = Spec.model_validate({**spec.model_dump(mode="json"), "methods": {"lora": {"epochs": 2}}})
    workspace = Workspace.open(one)
    whole = cost.training(workspace, workspace.cells[0])
    assert price(workspace, [], plans).searching == pytest.approx(2 * whole)  # both candidates, to their end
