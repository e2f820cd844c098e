"""A run killed at random moments and started again ends as an undisturbed one."""

import multiprocessing
import random
import shutil
import signal
import time

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from decoders import whole
from isogloss import api
from isogloss.spec import Spec
from isogloss.store import Store
from models import LABELS, WORDS, sib200

KILLS = 8


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    prompt = {"length": [2, 4], "epochs": 12, "batch_size": 4}
    return Spec(
        name="small", backbone=str(whole(folder / "model", "xglm")), task="sib200",
        data={"path": sib200(folder / "data", rows=40)}, seeds=[0, 1], dtype="float32", device="cpu",
        checkpoint_minutes=0,
        methods={
            "deep-prompt": prompt, "soft-prompt": {**prompt, "head": "verbalizer"}, "linear-probe": {"epochs": 3},
            "fine-tuning": {"epochs": 3, "batch_size": 4},
            "prompted-fine-tuning": {"epochs": 3, "batch_size": 4, "head": "verbalizer", "place": "template"},
        },
        verbalizer={"template": "{text}{prompt} {answer}", "words": dict(zip(LABELS, WORDS, strict=False))},
    )  # fmt: skip


def start(spec, out):
    """The experiment in a process of its own, forked from a server that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["isogloss.api"])
    process = context.Process(target=api.run, args=(spec, out))
    process.start()
    return process


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_the_same(spec, tmp_path):
    process = start(spec, tmp_path / "first")  # warms the server up
    process.join()
    began = time.monotonic()
    process = start(spec, tmp_path / "whole")
    process.join()
    whole = time.monotonic() - began
    assert process.exitcode == 0
    draw, killed, steps = random.Random(4), 0, []  # noqa: S311
    while killed < 3:  # fewer where the machine has become faster than it was: then anew, and sooner
        shutil.rmtree(tmp_path / "killed", ignore_errors=True)
        killed, steps = 0, []
        for _ in range(KILLS):
            process = start(spec, tmp_path / "killed")
            process.join(draw.uniform(0.1, 0.6) * whole)
            process.kill()
            process.join()
            assert process.exitcode in {0, -signal.SIGKILL}
            killed += process.exitcode == -signal.SIGKILL
            finished = Store(tmp_path / "killed").finished() if (tmp_path / "killed").exists() else []
            steps.append(len(finished))
            for cell in finished:  # whatever is there is whole
                assert cell.weights()
                assert all(len(cell.table(name)) for name in ("scores", "predictions", "history"))
        assert steps == sorted(steps)
        whole /= 2
    process = start(spec, tmp_path / "killed")
    process.join()
    assert process.exitcode == 0
    for name, key in {
        "scores": ["method", "seed", "language", "split", "metric"],
        "predictions": ["method", "seed", "language", "example"],
        "history": ["method", "seed", "step", "metric"],
    }.items():
        one, other = (pl.read_parquet(tmp_path / which / f"{name}.parquet").sort(key) for which in ("whole", "killed"))
        assert_frame_equal(one, other, rel_tol=1e-4, abs_tol=1e-5)


@pytest.mark.slow
def test_two_processes_on_one_directory_both_end_well(spec, tmp_path):
    """What one has finished, it clears up; the other's checkpoints may vanish under its hands."""
    both = [start(spec, tmp_path / "run") for _ in range(2)]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    scores = pl.read_parquet(tmp_path / "run" / "scores.parquet")
    assert not scores.is_duplicated().any()
    assert scores.select("method", "seed").n_unique() == 14
