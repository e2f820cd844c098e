"""A dry run says what an experiment costs before it is spent, and is right about it."""

import pytest

from decoders import whole
from isogloss import api
from isogloss.backbones import loading
from isogloss.cli import dry_run
from isogloss.cli.dry_run import describe
from isogloss.executors.registry import executor
from isogloss.executors.serial import Serial
from isogloss.experiment import cost
from isogloss.experiment import workspace as workspace_module
from isogloss.experiment.frames import stored_frames
from isogloss.experiment.price import price
from isogloss.experiment.search.plan import planned
from isogloss.experiment.workspace import Workspace
from isogloss.runtime.console import out
from isogloss.runtime.device_memory import in_words
from isogloss.spec import Spec, read_spec
from models import LABELS, WORDS, checkpoint, sib200


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


@pytest.mark.parametrize("family", ["xlm-roberta", "gemma3_text"])
def test_no_weight_is_read_for_a_price_that_is_the_same(tmp_path, monkeypatch, family):
    whole(tmp_path / "model", family)
    classes = dict(zip(LABELS, WORDS, strict=False))
    spec = Spec.model_validate({
        "name": "priced", "backbone": str(tmp_path / "model"), "task": "sib200", "seeds": [0, 1], "targets": ["de"],
        "data": {"path": sib200(tmp_path / "data")}, "device": "cpu",
        "verbalizer": {"template": "{text} {answer}", "words": classes},
        "methods": {
            "deep-prompt": {"epochs": 2}, "fine-tuning": {"epochs": 1, "embeddings": True},
            "words": {"method": "soft-prompt", "epochs": 1, "length": 2, "head": "verbalizer"},
        },
    })  # fmt: skip
    read = price(Workspace.open(spec), [], [])
    monkeypatch.setattr(loading, "load_weights", None)  # whoever reads them fails
    found = price(Workspace.outlined(spec), [], [], whole=True)
    assert (found.jobs, found.cost, found.stored) == (read.jobs, read.cost, read.stored)
    assert found.speed > 0
    with out.capture() as shown:
        describe(spec, tmp_path / "run")
    lines = {line.split()[0]: line for line in shown.get().splitlines() if line.strip()}
    assert "of one device as fast as this one" in lines["time"]
    assert f"about {in_words(read.stored)}" in lines["stored"]


@pytest.mark.parametrize("kind", ["texts", "words", "passages"])
def test_of_large_splits_some_texts_stand_for_all(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path))
    row = {"texts": lambda split: {"text": split, "label": "A"}, "words": words, "passages": passage}[kind]
    rows = {
        split: [{**row(f"{split} {'red ' * (number % 3)}"), **({"label": "AB"[number % 2]} if kind == "texts" else {})}
                for number in range(23)]
        for split in ("train", "dev", "test")
    }  # fmt: skip
    asked = Spec(
        name="given", task="custom", backbone=str(checkpoint(tmp_path / "model", positions=200)), device="cpu",
        methods={"deep-prompt": {"epochs": 2, "length": 4, "batch_size": 4}},
    )  # fmt: skip
    spec = stored_frames(asked, {split: {"en": [*some]} for split, some in rows.items()})
    whole_texts = price(Workspace.outlined(spec), [], [], whole=True)
    monkeypatch.setattr(workspace_module, "SOME", 5)
    sampled = Workspace.outlined(spec)
    assert cost.updates(sampled, sampled.cells[0]) == 2 * 6
    found = price(sampled, [], [], whole=True)
    assert (found.jobs, found.stored) == (whole_texts.jobs, whole_texts.stored)
    assert found.cost == pytest.approx(whole_texts.cost, rel=0.25)


def test_a_model_that_stumbles_over_meaningless_numbers_stops_no_dry_run(tmp_path, monkeypatch):
    monkeypatch.setattr(dry_run, "price", lambda *_, **__: 1 / 0)
    spec = Spec(
        name="priced", task="sib200", backbone=str(checkpoint(tmp_path / "model")), device="cpu",
        data={"path": sib200(tmp_path / "data")}, methods={"linear-probe": {}},
    )  # fmt: skip
    with out.capture() as shown:
        describe(spec, tmp_path / "run")
    assert "could not be reckoned (ZeroDivisionError: division by zero)" in shown.get()
    assert "store " in shown.get()


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
    assert "is known once texts and backbone are on this machine" in shown.get()


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
