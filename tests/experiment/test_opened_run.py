"""A stored spec may name whatever files it likes: an analysis sees those that the cells were made of."""

import json
import shutil

import pytest

import isogloss
from isogloss.errors import IsoglossError
from isogloss.experiment.opened_run import OpenedRun
from isogloss.runtime import yaml
from models import checkpoint, sib200


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    sib200(folder / "data", ("eng_Latn", "deu_Latn", "ayr_Latn"))
    spec = {
        "name": "small", "backbone": str(checkpoint(folder / "model")), "task": "sib200", "source": "en",
        "targets": ["de"], "data": {"path": str(folder / "data")}, "methods": {"linear-probe": {"epochs": 1}},
        "device": "cpu", "dtype": "float32",
    }  # fmt: skip
    isogloss.run(spec, folder / "run")
    return folder


@pytest.fixture
def run(made, tmp_path):
    shutil.copytree(made / "run", tmp_path / "run")
    return tmp_path / "run"


def test_languages_that_no_cell_was_scored_on_are_not_looked_at(run):
    spec = yaml.load(run / "spec.yaml")
    (run / "spec.yaml").write_text(yaml.dumps({**spec, "targets": ["ayr-Latn", "deu-Latn"]}))
    assert [str(test.language) for test in OpenedRun.of(run).data.tests] == ["eng-Latn", "deu-Latn"]


@pytest.mark.parametrize("split", ["train", "dev"])
@pytest.mark.parametrize("said", ["0" * 64, None])
def test_training_data_have_to_be_those_of_the_run(run, split, said):
    (file,) = (run / "weights").glob("*/*/run.json")
    record = json.loads(file.read_text())
    record["facts"][split] = said
    file.write_text(json.dumps(record))
    with pytest.raises(IsoglossError, match=f"the {split} data of eng-Latn is not what linear-probe was trained on"):
        _ = OpenedRun.of(run).data
