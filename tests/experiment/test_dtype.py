"""`dtype: auto` is of the machine where a run directory begins; whoever goes on with it computes in the same."""

import json

import pytest
import torch

from isogloss import api
from isogloss.backbones import loading
from isogloss.errors import IsoglossError
from isogloss.executors.serial import Serial
from isogloss.experiment.opened_run import OpenedRun
from isogloss.experiment.run import run
from isogloss.runtime import yaml
from isogloss.spec import Spec
from models import checkpoint, sib200


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data")
    return folder


@pytest.fixture
def fastest(monkeypatch):
    """A machine that is fastest in it."""
    return lambda dtype: monkeypatch.setattr(loading, "native_dtype", lambda _: dtype)


def spec(home, **more):
    values = {
        "name": "small", "backbone": str(home / "model"), "task": "sib200", "data": {"path": home / "data"},
        "methods": {"linear-probe": {"epochs": 1}}, "device": "cpu",
    }  # fmt: skip
    return Spec(**values | more)


def dtypes(folder):
    records = [json.loads(file.read_text()) for file in folder.glob("weights/*/*/run.json")]
    return [record["facts"]["backbone"]["dtype"] for record in records]


@pytest.mark.parametrize(
    ("first", "later"), [(torch.bfloat16, torch.float32), (torch.float32, torch.bfloat16)], ids=["from", "to"]
)
def test_a_run_goes_on_in_what_it_began_in(home, tmp_path, fastest, first, later):
    fastest(first)
    named = str(first).removeprefix("torch.")
    api.run(spec(home), tmp_path)
    fastest(later)
    api.run(spec(home, seeds=[0, 1], methods={"linear-probe": {"epochs": 1}, "fine-tuning": {"epochs": 1}}), tmp_path)
    assert dtypes(tmp_path) == [named] * 4
    assert yaml.load(tmp_path / "spec.yaml")["dtype"] == "auto"
    assert OpenedRun.of(tmp_path).backbone.dtype == first
    model = api.load(tmp_path)
    assert model.stack.backbone.dtype == first
    assert len(model.predict(["a text"])) == 1


def test_what_a_spec_says_is_refused_where_it_is_another(home, tmp_path, fastest):
    fastest(torch.bfloat16)
    api.run(spec(home), tmp_path)
    with pytest.raises(IsoglossError, match=r"made differently \(backbone.dtype: bfloat16 → float32\)"):
        api.run(spec(home, dtype="float32"), tmp_path)
    api.run(spec(home, dtype="bfloat16", seeds=[1]), tmp_path)


def test_a_job_that_is_sent_elsewhere_says_it(home, tmp_path, fastest):
    sent = []

    class Watched(Serial):
        def carry_out(self, jobs, workspace):
            def seen():
                for job in jobs:
                    sent.append(job)
                    yield job

            jobs_seen = type(jobs)(seen(), jobs.cost)
            return super().carry_out(jobs_seen, workspace)

    fastest(torch.bfloat16)
    run(spec(home), tmp_path, Watched())
    assert [job.spec.dtype for job in sent] == ["bfloat16"]


def test_a_record_of_other_numbers_is_told(home, tmp_path, fastest):
    fastest(torch.float32)
    api.run(spec(home), tmp_path)
    (file,) = tmp_path.glob("weights/*/*/run.json")
    file.write_text(file.read_text().replace('"dtype": "float32"', '"dtype": "float8"'))
    for again in (lambda: api.load(tmp_path), lambda: api.run(spec(home), tmp_path)):
        with pytest.raises(IsoglossError, match=r"facts.backbone.dtype"):
            again()
