"""Scores in the forms of other projects: held against what those projects' schemas ask for, and by them where they are.

`mteb`, `lm_eval` and `every_eval_ever` are installed by no extra; where they are there, as in `.ci/published-results`,
they read what was written.
"""

import json
import re
import shutil
import subprocess
import uuid

import polars as pl
import pytest

from isogloss.errors import IsoglossError
from isogloss.interop.cell_scores import method_scores
from isogloss.interop.results.registry import find, results_formats
from isogloss.store import Store
from one_cell import one_cell
from synthetic import directory

FORMATS = ("every-eval-ever", "lm-eval", "mteb")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    return Store(directory(folder, targets=3, methods=("fine-tuning", "deep-prompt[length=4]"), seeds=2))


@pytest.fixture(scope="module")
def written(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return {name: one.write(store, out / name) for name, one in results_formats().items()}


def read(files):
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def stored(store, label, seed, metric="accuracy"):
    table = store.has(label, seed).table("scores").filter(split="test", metric=metric)
    return dict(table.select("language", "value").iter_rows())


def test_formats_are_found_by_listing():
    assert tuple(results_formats()) == FORMATS
    with pytest.raises(IsoglossError, match="unknown format of results 'mtebb'; did you mean 'mteb'"):
        find("mtebb")


@pytest.mark.parametrize("name", FORMATS)
def test_writing_again_gives_the_same_files(store, written, tmp_path_factory, name):
    again = results_formats()[name].write(store, tmp_path_factory.mktemp("again"))
    assert [file.name for file in again] == [file.name for file in written[name]]
    assert read(again) == read(written[name])


@pytest.mark.parametrize("name", FORMATS)
def test_a_directory_without_a_finished_cell_is_refused(tmp_path, name):
    with pytest.raises(IsoglossError, match="holds no finished run"):
        results_formats()[name].write(Store(tmp_path / "nothing"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_mteb(store, written):
    """As `mteb.results.TaskResult` validates it."""
    files = written["mteb"]
    assert len(files) == 2 * 4
    results = [file for file in files if file.name == "isogloss-sib200.json"]
    assert {file.parents[1].name for file in results} == {
        f"isogloss__synthetic-{method}-seed-{seed}"
        for method in ("fine-tuning", "deep-prompt-length-4")
        for seed in (0, 1)
    }  # fmt: skip
    for file in results:
        (result,) = read([file])
        assert set(result) == {
            "dataset_revision", "task_name", "mteb_version", "scores", "evaluation_time", "kg_co2_emissions", "date",
        }  # fmt: skip
        assert isinstance(result["dataset_revision"], str)
        assert result["task_name"] == "isogloss-sib200"
        (meta,) = read([file.with_name("model_meta.json")])
        assert file.parent.name == meta["revision"]
        assert re.fullmatch(r"isogloss/[\w.-]+", meta["name"])
        label = "fine-tuning" if "fine-tuning" in meta["name"] else "deep-prompt[length=4]"
        values = stored(store, label, int(meta["name"][-1]))
        assert list(result["scores"]) == ["test"]
        for subset in result["scores"]["test"]:
            (code,) = subset["languages"]
            assert re.fullmatch(r"[a-z]{3}-[A-Z][a-z]{3}", code)
            assert subset["hf_subset"] == code.replace("-", "_")
            assert subset["main_score"] == subset["accuracy"] == values[code]
            assert subset["main_score_low"] < subset["main_score"] < subset["main_score_high"]


def test_mteb_itself_reads_it(written):
    pytest.importorskip("mteb")
    from mteb.results import TaskResult

    for file in written["mteb"]:
        if file.name != "model_meta.json":
            result = TaskResult.from_disk(file)
            assert 0 < result.get_score() < 1
            assert result.get_score(languages=["eng"]) > 0.5


def test_lm_eval(store, written):
    """As `simple_evaluate` gives it and `make_table` reads it."""
    files = written["lm-eval"]
    assert len(files) == 4
    for file in files:
        assert re.fullmatch(r"results_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}\.json", file.name)
        (result,) = read([file])
        assert {"results", "groups", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples",
                "config", "git_hash", "date", "model_name"} <= set(result)  # fmt: skip
        assert file.parent.name == result["model_name_sanitized"] == result["model_name"].replace("/", "__")
        (group, tasks) = next(iter(result["group_subtasks"].items()))
        assert set(result["results"]) == {group, *tasks}
        assert set(result["configs"]) == set(result["n-samples"]) == set(result["n-shot"]) == set(tasks)
        values = stored(store, result["config"]["model_args"]["method"], result["config"]["model_args"]["seed"])
        for code, value in values.items():
            task = f"isogloss_sib200_{code.replace('-', '_')}"
            assert result["results"][task]["acc,none"] == value
            assert 0 < result["results"][task]["acc_stderr,none"] < 0.2
            assert result["configs"][task]["metadata"]["language"] == code
            assert result["n-samples"][task] == {"original": 40, "effective": 40}
        targets = [value for code, value in values.items() if code != "eng-Latn"]
        assert result["results"][group]["acc,none"] == pytest.approx(sum(targets) / len(targets))


def test_lm_eval_itself_reads_it(written):
    pytest.importorskip("lm_eval")
    from lm_eval.utils import make_table

    for result in read(written["lm-eval"]):
        assert "isogloss_sib200" in make_table(result)
        assert "acc" in make_table(result, "groups")


SCHEMA = {  # of eval.schema.json 0.3.0: what has to be there, and where nothing else may
    "": ({"schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "model_info", "eval_library",
          "evaluation_results"}, {"evaluation_timestamp", "detailed_evaluation_results"}),
    "source_metadata": ({"source_type", "source_organization_name", "evaluator_relationship"}, None),
    "model_info": ({"name", "id", "additional_details"}, None),
    "eval_library": ({"name", "version"}, None),
}  # fmt: skip


def test_every_eval_ever(store, written):
    files = written["every-eval-ever"]
    assert len(files) == 4
    for file in files:
        (record,) = read([file])
        for place, (needed, more) in SCHEMA.items():
            part = record[place] if place else record
            assert needed <= set(part)
            assert more is None or set(part) <= needed | more
        assert file.parts[-5:-1] == ("data", "sib200", "isogloss", record["model_info"]["id"].partition("/")[2])
        assert uuid.UUID(file.stem).version == 4
        assert record["source_metadata"]["source_type"] in {"documentation", "evaluation_run"}
        related = {"first_party", "third_party", "collaborative", "other"}
        assert record["source_metadata"]["evaluator_relationship"] in related
        assert float(record["retrieved_timestamp"]) > 0
        details = record["model_info"]["additional_details"]
        assert details["deployment_type"] in {"self_deployed", "externally_managed", "unknown"}
        assert details["model_availability"] in {"open_weights", "closed_weights", "unknown"}
        values = stored(store, details["method"], int(details["seed"]))
        ids = [result["evaluation_result_id"] for result in record["evaluation_results"]]
        assert len(set(ids)) == len(ids) == len(values)
        for result in record["evaluation_results"]:
            assert {"evaluation_name", "source_data", "metric_config", "score_details"} <= set(result)
            config, score, source = result["metric_config"], result["score_details"], result["source_data"]
            assert (config["lower_is_better"], config["score_type"]) == (False, "continuous")
            assert config["min_score"] <= score["score"] <= config["max_score"]
            assert score["score"] == values[score["details"]["language"]]
            assert (source["source_type"], source["dataset_name"]) == ("other", "sib200")
            interval = score["uncertainty"]["confidence_interval"]
            assert interval["lower"] <= score["score"] <= interval["upper"]
            assert isinstance(score["uncertainty"]["num_samples"], int)
            for texts in (details, score["details"], source["additional_details"]):
                assert all(isinstance(text, str) for text in texts.values())


def test_every_eval_ever_itself_takes_it(written):
    if (command := shutil.which("every_eval_ever")) is None:
        pytest.skip("every_eval_ever is not installed")
    told = subprocess.run(
        [command, "validate", *map(str, written["every-eval-ever"])], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_data_of_the_hub_are_named_with_their_commit(tmp_path):
    gold = {"eng-Latn": ["a", "b"] * 4, "deu-Latn": ["a", "b"] * 4}
    environment = {"data": {"hub": "Davlan/sib200", "revision": "d" * 40}}
    store = one_cell(tmp_path / "run", gold, gold, environment=environment)
    (file,) = results_formats()["every-eval-ever"].write(store, tmp_path / "eee")
    source = json.loads(file.read_text())["evaluation_results"][0]["source_data"]
    assert (source["hf_repo"], source["hf_config"], source["hf_revision"]) == ("Davlan/sib200", "eng_Latn", "d" * 40)
    file, _ = results_formats()["mteb"].write(store, tmp_path / "mteb")
    assert json.loads(file.read_text())["dataset_revision"] == "d" * 40


def test_other_kinds_of_task_and_names_of_strangers(tmp_path):
    texts = {"eng-Latn": ['["a secret answer"]'] * 8}
    questions = one_cell(
        tmp_path / "qa", texts, {"eng-Latn": ["an answer"] * 8}, kind="qa", task="../../x y/<z>",
        labels=("start", "end"), metrics=("f1", "exact-match"), spec={"task": "xquad"}, inputs=["question", "passage"],
    )  # fmt: skip
    for name, one in results_formats().items():
        for file in one.write(questions, tmp_path / "out" / name):
            assert file.resolve().is_relative_to((tmp_path / "out" / name).resolve())
            assert re.fullmatch(r"[\w./-]+", file.relative_to(tmp_path / "out").as_posix())
            assert "secret" not in file.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "qa"]


def test_unlike_labels_are_unlike_models(tmp_path):
    folder = directory(tmp_path / "run", targets=1, methods=("a[b=1]", "a-b-1"), seeds=1)
    files = results_formats()["lm-eval"].write(Store(folder), tmp_path / "out")
    assert len({file.parent.name for file in files}) == 2


def test_without_the_answers_there_are_scores_without_intervals(store, tmp_path):
    from isogloss.interop.exported_run import exported_run

    exported_run(store, store.has("fine-tuning", 0), tmp_path / "run")
    left = Store(tmp_path / "run")
    scores = method_scores(left, "fine-tuning")[0]
    assert scores.unknown == "the model has come without its test answers"
    assert scores.over["gap"].value == pytest.approx(scores.over["source"].value - scores.over["target"].value)
    (file,) = results_formats()["lm-eval"].write(left, tmp_path / "lm")
    result = json.loads(file.read_text())["results"]
    assert {one["acc_stderr,none"] for one in result.values()} == {"N/A"}
    (file,) = results_formats()["every-eval-ever"].write(left, tmp_path / "eee")
    assert "uncertainty" not in json.loads(file.read_text())["evaluation_results"][0]["score_details"]
    file, _ = results_formats()["mteb"].write(left, tmp_path / "mteb")
    assert "main_score_low" not in json.loads(file.read_text())["scores"]["test"][0]


def test_a_single_language_has_no_group(tmp_path):
    gold = {"eng-Latn": ["a", "b"] * 4}
    store = one_cell(tmp_path / "run", gold, gold)
    (file,) = results_formats()["lm-eval"].write(store, tmp_path / "out")
    result = json.loads(file.read_text())
    assert list(result["results"]) == ["isogloss_sib200_eng_Latn"]
    assert "groups" not in result
    assert isinstance(store.table("scores"), pl.DataFrame)
