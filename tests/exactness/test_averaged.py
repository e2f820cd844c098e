"""A cell of `average: K` is the mean of K trainings, each of which is the plain cell of its seed, bit for bit."""

import multiprocessing
import os
import signal
import time

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from decoders import whole
from isogloss import api
from isogloss.errors import IsoglossError
from isogloss.executors.serial import Serial
from isogloss.experiment.cells import cells
from isogloss.experiment.job import Job, PausedCell
from isogloss.experiment.run import run
from isogloss.experiment.run_job import run_job
from isogloss.experiment.workspace import Workspace
from isogloss.spec import Spec
from isogloss.store import Store
from models import LABELS, WORDS, checkpoint, sib200

SMALL = {"epochs": 2, "batch_size": 8, "lr": 1e-3}
METHODS = {
    "fine-tuning": {**SMALL, "embeddings": True},
    "slow-fast": SMALL,
    "linear-probe": {"epochs": 2, "batch_size": 8},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data")
    return folder


def spec(home, methods=METHODS, seeds=(1,), average=None, **changes):
    if average:
        methods = {name: {**settings, "average": average} for name, settings in methods.items()}
    data = {"path": home / "data", **changes.pop("data", {})}
    return Spec.model_validate(
        {
            "name": "averaged", "backbone": str(home / "model"), "task": "sib200", "data": data, "methods": methods,
            "seeds": list(seeds), "targets": ["de"], "dtype": "float32", "device": "cpu", **changes,
        }
    )  # fmt: skip


def mean(tensors):
    return torch.stack([tensor.double() for tensor in tensors]).mean(dim=0).float()


@pytest.fixture(scope="module")
def averaged(home):
    return api.run(spec(home, average=3, dynamics={"examples": 4}), home / "averaged")


@pytest.fixture(scope="module")
def plain(home):
    return api.run(spec(home, seeds=(3, 4, 5), dynamics={"examples": 4}), home / "plain")


@pytest.mark.parametrize("name", METHODS)
def test_an_averaged_model_is_the_mean_of_the_plain_cells_of_its_seeds(averaged, plain, name):
    cell = averaged.store.has(name, 1)
    parts = [plain.store.has(name, seed).weights() for seed in (3, 4, 5)]
    weights = cell.weights()
    assert set(weights) == set(parts[0])
    for key in weights:
        tensors = [part[key] for part in parts]
        assert torch.equal(weights[key], mean(tensors) if tensors[0].is_floating_point() else tensors[0])
    assert not torch.equal(weights["head.weight"], parts[0]["head.weight"])
    assert cell.record.facts["settings"]["average"] == 3
    assert (cell.record.updates, cell.record.observed) == (6, plain.store.has(name, 3).record.observed)
    assert not (averaged.path / "checkpoints").exists()


def test_its_history_is_that_of_its_trainings_and_its_own_end(averaged, plain):
    rows = averaged.history.filter(method="slow-fast").drop("seed", "tokens", "method")
    parts = [plain.history.filter(method="slow-fast", seed=seed) for seed in (3, 4, 5)]
    values = pl.mean_horizontal(*(part["value"].alias(str(number)) for number, part in enumerate(parts)))
    expected = parts[0].drop("seed", "tokens", "method").with_columns(value=pl.select(values).to_series())
    assert_frame_equal(rows.head(-1).drop("loss"), expected.drop("loss"))
    dev = averaged.scores.filter(method="slow-fast", split="dev")["value"].item()
    assert rows.tail(1).select("step", "language", "value").row(0) == (6, "eng-Latn", dev)
    tokens = sum(part["tokens"].max() for part in parts)
    assert averaged.history.filter(method="slow-fast")["tokens"].max() == tokens


def test_it_predicts_and_goes_out_as_any_other(averaged, home):
    loaded = averaged.load("slow-fast", seed=1)
    predicted = averaged.predictions.filter(method="slow-fast", language="eng-Latn", split="test")
    texts = (home / "data" / "eng_Latn" / "test.tsv").read_text().splitlines()[1:]
    said = loaded.predict([text.split("\t")[2] for text in texts])
    assert [one.label if hasattr(one, "label") else one["label"] for one in said] == predicted["predicted"].to_list()


class DiedError(Exception):
    """In place of the process."""


class Dying(Serial):
    """Serial, but that the process dies after so many outcomes."""

    def __init__(self, outcomes):
        self.outcomes, self.titles = outcomes, []

    def carry_out(self, jobs, workspace):
        for job in jobs:
            self.titles.append(job.title)
            for outcome in run_job(job, workspace):
                if not self.outcomes:
                    raise DiedError
                self.outcomes -= 1
                yield outcome


def test_a_run_that_died_goes_on_where_it_was(averaged, home, tmp_path):
    one = {"slow-fast": SMALL}
    for outcomes in (2, 0):
        with pytest.raises(DiedError):
            run(spec(home, one, average=3, dynamics={"examples": 4}), tmp_path, Dying(outcomes))
    files = sorted(file.parent.name for file in (tmp_path / "checkpoints").rglob("*.safetensors"))
    assert files == ["member-0", "member-1", "member-2"]
    executor = Dying(9)
    stored = run(spec(home, one, average=3, dynamics={"examples": 4}), tmp_path, executor)
    assert executor.titles == ["slow-fast · seed 1"]  # nothing is trained twice
    for name in ("scores", "predictions", "history"):
        assert_frame_equal(stored.table(name), averaged.store.table(name).filter(method="slow-fast"))
    assert not (tmp_path / "checkpoints").exists()


def test_members_are_jobs_that_anyone_may_carry_out(home, tmp_path):
    executor = Dying(99)
    run(spec(home, {"slow-fast": SMALL, "linear-probe": METHODS["linear-probe"]}, average=2), tmp_path / "a", executor)
    assert executor.titles == [
        "slow-fast · seed 1, member 1 of 2", "slow-fast · seed 1, member 2 of 2", "slow-fast · seed 1",
        "linear-probe · seed 1, 2 members", "linear-probe · seed 1",
    ]  # fmt: skip


def test_a_damaged_member_is_trained_anew(averaged, home, tmp_path):
    one = {"slow-fast": SMALL}
    with pytest.raises(DiedError):
        run(spec(home, one, average=3, dynamics={"examples": 4}), tmp_path, Dying(2))
    file = next((tmp_path / "checkpoints").rglob("member-1/*.safetensors"))
    raw = bytearray(file.read_bytes())
    raw[-5] ^= 1
    file.write_bytes(raw)
    stored = run(spec(home, one, average=3, dynamics={"examples": 4}), tmp_path, Serial())
    assert_frame_equal(stored.table("scores"), averaged.store.table("scores").filter(method="slow-fast"))


def work(spec, out):
    api.run(spec, out)


@pytest.mark.slow
def test_two_processes_share_it_and_one_is_killed(averaged, home, tmp_path):
    own = spec(home, average=3, dynamics={"examples": 4}, checkpoint_minutes=0)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(own, tmp_path / "run")) for _ in range(2)]
    for process in processes:
        process.start()
    while not list(tmp_path.rglob("member-*")) and all(process.is_alive() for process in processes):
        time.sleep(0.02)
    os.kill(processes[0].pid, signal.SIGKILL)
    for process in processes:
        process.join()
    assert processes[1].exitcode == 0
    stored = Store(tmp_path / "run")
    for name in ("scores", "predictions", "history"):
        assert_frame_equal(
            stored.table(name).sort(pl.all()), averaged.store.table(name).sort(pl.all()), rel_tol=1e-4, abs_tol=1e-5
        )


def test_few_shots_show_each_training_words_of_its_own(home, tmp_path):
    methods, data = {"fine-tuning": {**SMALL, "embeddings": True}}, {"shots": 1}
    weights = api.run(spec(home, methods, average=2, data=data), tmp_path / "a").store.has("fine-tuning", 1).weights()
    plain = api.run(spec(home, methods, (2, 3), data=data), tmp_path / "b")
    parts = [plain.store.has("fine-tuning", seed).weights() for seed in (2, 3)]
    shown = [part["part.words"].tolist() for part in parts]
    assert shown[0] != shown[1]
    assert weights["part.words"].tolist() == sorted({*shown[0], *shown[1]})
    name = "part.embeddings.word_embeddings.rows.weight"
    table = Workspace.open(spec(home, methods)).backbone.model.get_input_embeddings().weight
    for word, row in zip(weights["part.words"].tolist(), weights[name], strict=True):
        of = [
            part[name][seen.index(word)] if word in seen else table[word]
            for part, seen in zip(parts, shown, strict=True)
        ]
        assert torch.equal(row, mean(of))


def test_a_pause_of_an_averaged_cell_looks_at_the_mean(home, tmp_path):
    workspace = Workspace.open(spec(home, {"slow-fast": SMALL}, average=2))
    (cell,) = workspace.cells
    job = Job(workspace.spec, (cell,), (cell.facts(workspace.facts),), 1.0, checkpoints=(tmp_path / "c" / "x",))
    for until in (0.4, 1.0):
        (paused,) = run_job(Job(**{**vars(job), "until": until}), workspace)
        assert isinstance(paused, PausedCell)
    (finished,) = run_job(job, workspace)
    assert [paused.score] == finished.tables["scores"].filter(split="dev")["value"].to_list()
    (undisturbed,) = run_job(Job(**{**vars(job), "checkpoints": ()}), workspace)
    assert all(torch.equal(tensor, undisturbed.weights[name]) for name, tensor in finished.weights.items())
    assert_frame_equal(finished.tables["history"], undisturbed.tables["history"])


def test_facts_of_before_are_those_of_now(home):
    """Or cells and checkpoints of before would not be found again."""
    plain, of_one, of_two = (
        cells(spec(home, {"fine-tuning": settings}))[0].facts({})
        for settings in (SMALL, {**SMALL, "average": 1}, {**SMALL, "average": 2})
    )
    assert plain == of_one
    assert "average" not in plain["settings"]
    assert of_two["settings"].pop("average") == 2
    assert of_two == plain


def test_another_number_of_trainings_is_refused_over_what_is_stored(home, averaged, plain):
    with pytest.raises(IsoglossError, match=r"slow-fast seed 1, made differently \(settings.average: 3 → 1\)"):
        api.run(spec(home, {"slow-fast": SMALL}, dynamics={"examples": 4}), averaged.path)
    with pytest.raises(IsoglossError, match=r"slow-fast seed 3, made differently \(settings.average: 1 → 2\)"):
        api.run(spec(home, {"slow-fast": SMALL}, average=2), plain.path)


@pytest.mark.parametrize("name", ["lora", "soft-prompt", "deep-prompt", "prompted-fine-tuning"])
def test_what_has_no_mean_is_refused(home, name):
    with pytest.raises(
        IsoglossError, match=rf"^methods.{name}: there is no `average` for {name}: .*; leave it out"
    ) as caught:
        cells(spec(home, {name: {"average": 3}}))
    assert str(caught.value).endswith("or take fine-tuning or linear-probe or slow-fast")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("settings", [{"gradient_checkpointing": True}])
def test_other_ways_to_compute_give_the_same(averaged, home, tmp_path, settings):
    own = api.run(spec(home, {"slow-fast": SMALL}, average=3, **settings), tmp_path)
    assert_frame_equal(own.scores, averaged.scores.filter(method="slow-fast"), rel_tol=1e-4, abs_tol=1e-4)


def test_heads_that_are_words_have_a_mean_too(home, tmp_path):
    words = {"template": "{text} {answer}", "words": dict(zip(LABELS, WORDS, strict=False))}
    one = {"fine-tuning": {**SMALL, "head": "verbalizer", "embeddings": True}}
    more = {"backbone": str(whole(tmp_path / "model", "xglm")), "verbalizer": words}
    averaged = api.run(spec(home, one, (0,), average=2, **more), tmp_path / "a").store.has("fine-tuning", 0).weights()
    plain = api.run(spec(home, one, (0, 1), **more), tmp_path / "b").store
    parts = [plain.has("fine-tuning", seed).weights() for seed in (0, 1)]
    assert set(averaged) == set(parts[0])
    assert all(torch.equal(averaged[key], mean([part[key] for part in parts])) for key in averaged)
