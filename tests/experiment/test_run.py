"""Whole experiments on small random models, through the command line's own entry."""

import io
import json
import re
import signal
import sys
from types import SimpleNamespace

import polars as pl
import polars.testing
import pytest

from isogloss.cli import commands as cli
from isogloss.runtime import yaml
from isogloss.store import HISTORY, PREDICTIONS, SCORES
from models import LABELS, checkpoint, sib200

METHODS = {
    "linear-probe": {"epochs": 2},
    "fine-tuning": {"epochs": 1, "batch_size": 8},
    "soft-prompt": {"epochs": 1, "length": 3},
    "deep": {"method": "deep-prompt", "epochs": 1, "length": [2, 4]},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data")
    spec = {
        "name": "small", "backbone": str(folder / "model"), "task": "sib200", "data": {"path": str(folder / "data")},
        "methods": METHODS, "seeds": [0, 1], "dtype": "float32", "device": "cpu",
    }  # fmt: skip
    (folder / "spec.yaml").write_text(yaml.dumps(spec), encoding="utf-8")
    return folder


@pytest.fixture
def command(monkeypatch, capsys):
    def call(*words, code=0, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["isogloss", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert (stop.value.code or 0) == code
        return capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def done(home):
    from isogloss.api import run
    from isogloss.spec import read_spec

    run(read_spec(str(home / "spec.yaml")), home / "run")
    return home / "run"


def contents(folder):
    return {p.relative_to(folder): (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


def test_the_run_directory_keeps_its_contract(done):
    for name, schema in {"scores": SCORES, "predictions": PREDICTIONS, "history": HISTORY}.items():
        assert dict(pl.read_parquet(done / f"{name}.parquet").schema) == schema
    scores = pl.read_parquet(done / "scores.parquet")
    assert set(scores["method"]) == {"linear-probe", "fine-tuning", "soft-prompt", "deep[length=2]", "deep[length=4]"}
    assert set(scores["language"]) == {"eng-Latn", "deu-Latn", "zho-Hans"}
    assert set(scores["split"]) == {"dev", "test"}
    assert set(scores["metric"]) == {"accuracy", "macro-f1"}
    assert scores.filter(split="test")["n"].unique().to_list() == [21]
    assert scores["value"].is_between(0, 1).all()
    predictions = pl.read_parquet(done / "predictions.parquet")
    assert len(predictions) == 5 * 2 * 3 * 21
    assert set(predictions["gold"]) == set(LABELS)
    counted = predictions.group_by("method", "seed", "language").agg(v=(pl.col("gold") == pl.col("predicted")).mean())
    joined = counted.join(scores.filter(split="test", metric="accuracy"), on=["method", "seed", "language"])
    assert (joined["v"] - joined["value"]).abs().max() < 1e-12
    assert len(joined) == len(counted)
    environment = json.loads((done / "environment.json").read_text())
    assert environment["backbone"]["weights_sha256"]
    assert environment["data"]["sha256"]["test"].keys() == {"eng-Latn", "deu-Latn", "zho-Hans"}
    spec = yaml.load(done / "spec.yaml")
    assert spec["methods"]["deep"]["length"] == [2, 4]
    assert spec["methods"]["linear-probe"]["head_lr"] == 1e-2
    assert spec["targets"] == ["deu-Latn", "zho-Hans"]
    assert {p.suffix for p in (done / "weights").rglob("*") if p.is_file()} == {".safetensors", ".json", ".parquet"}
    assert not list((done / "checkpoints").rglob("*.safetensors"))


def test_the_table_shows_every_language_method_and_gap(done, home, command):
    shown = command("run", home / "spec.yaml", "--out", done).out
    for part in ("English", "German", "Chinese", "deep[length=4]", "mean of 2 targets", "gap", "%", "±"):
        assert part in shown
    columns = ("linear-probe", "fine-tuning", "soft-prompt", "deep[length=2]", "deep[length=4]")
    assert list(columns) == sorted(columns, key=shown.index)  # as the spec has them
    assert shown.index("English") < shown.index("Chinese") < shown.index("German")


def test_a_finished_run_is_not_trained_again(done, home, command):
    before = contents(done / "weights")
    command("run", home / "spec.yaml", "--out", done)
    assert contents(done / "weights") == before


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("methods.soft-prompt.length=4", "settings.length: 3 → 4"),
        ("methods.linear-probe.epochs=3", "settings.epochs: 2 → 3"),
        ("data.train_limit=10", "train: "),
        ("data.test_limit=5", "test data of eng-Latn"),
        ("source=de", "source: eng-Latn → deu-Latn"),
        ("methods={new: {method: linear-probe}, linear-probe: {batch_size: 4}}", "settings.batch_size: 32 → 4"),
        ("dtype=bfloat16", "backbone.dtype: float32 → bfloat16"),
    ],
)
def test_a_changed_spec_is_refused_and_nothing_is_touched(home, done, command, override, message):
    before = contents(done)
    shown = command("run", home / "spec.yaml", "--out", done, "--set", override, code=2)
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert contents(done) == before


def test_a_dry_run_refuses_what_the_run_would_of_the_spec(home, done, command):
    words = ["run", home / "spec.yaml", "--out", done, "--dry-run"]
    assert "0 runs still to train" in command(*words).out
    shown = command(*words, "--set", "methods.soft-prompt.length=4", code=2)
    assert "made differently (settings.length: 3 → 4)" in shown.err
    assert (
        "settings.length: 3 → 4"
        in command(*words, "--set", "methods.soft-prompt.length=4", "--set", "seeds=[7]", code=2).err
    )
    assert "unknown executor 'seriel'" in command(*words, "--executor", "seriel", code=2).err


def test_predict_labels_any_text(done, command):
    lines = command(
        "predict", done, "--language", "zh", "--method", "soft-prompt", "--seed", "1", stdin="the cat\n三\n".encode()
    )
    answers = [json.loads(line) for line in lines.out.splitlines()]
    assert [a["text"] for a in answers] == ["the cat", "三"]
    assert all(a["label"] in LABELS and 0 < a["score"] <= 1 and a["language"] == "zho-Hans" for a in answers)


def test_predict_says_what_it_cuts(done, command):
    shown = command("predict", done, "--method", "soft-prompt", stdin=b"the " + b"cat " * 90 + b"\na\n")
    assert "1 text is longer than 37 tokens and is cut" in shown.err
    assert len(shown.out.splitlines()) == 2


def test_predict_without_a_choice_takes_the_best_on_source_dev(done):
    from isogloss.experiment.predict import choose
    from isogloss.store import Store

    scores = pl.read_parquet(done / "scores.parquet").filter(split="dev")
    chosen = choose(Store(done), None, None)
    assert scores.filter(method=chosen.key[0], seed=chosen.key[1])["value"][0] == scores["value"].max()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "{run}", "--method", "soft"], "unknown method of this run 'soft'"),
        (["predict", "{run}", "--seed", "9"], "no seed 9"),
        (["predict", "{run}", "--language", "xx"], "unknown language 'xx'"),
        (["predict", "{home}/none"], "does not exist"),
        (["predict", "{run}", "{home}/none.txt"], "No such file"),
        (["run", "{home}/spec.yaml", "--out", "{home}/data"], "did not write"),
        (["run", "{home}/spec.yaml", "--out", "{home}/spec.yaml"], "is a file"),
        (["run", "{home}/spec.yaml", "--set", "targets=[fr]"], "no data of fra-Latn"),
        (["run", "{home}/spec.yaml", "--set", "backbone={home}/data"], "no config.json"),
        (["run", "{home}/spec.yaml", "--set", "backbone=nobody/nothing"], "embedded/multilingual-e5-small"),
        (["run", "demo", "--set", "data.path={home}"], "leave data.path out"),
        (["list", "task"], "did you mean 'tasks'"),
        (["data", "sib2000"], "did you mean 'sib200'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(home, done, command, words, message):
    shown = command(*[word.format(home=home, run=done) for word in words], code=2)
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_a_line_is_a_text_whatever_it_holds(done, command):
    lines = command("predict", done, stdin="the\u2028cat\r\na\x85dog".encode()).out.split("\n")
    assert [json.loads(line)["text"] for line in lines if line] == ["the\u2028cat", "a\x85dog"]
    assert command("predict", done, stdin=b"").out == ""


def test_an_empty_line_has_an_empty_answer(done, command):
    lines = command("predict", done, stdin=b"a\n\nb\n").out.splitlines()
    assert [json.loads(line)["label"] is None for line in lines] == [False, True, False]
    assert "standard input line 1 is not UTF-8" in command("predict", done, stdin=b"\xff\n", code=2).err


def test_traceback_shows_the_whole_error(home, command):
    shown = command("run", home / "none.yaml", "--traceback", code=2).err
    assert shown.startswith("Traceback (most recent call last)")
    assert "none.yaml could not be read" in shown.splitlines()[-1]


def test_a_full_disk_keeps_what_is_stored(home, tmp_path, command, monkeypatch):
    from isogloss.run_directory import writing

    out = tmp_path / "run"
    one = ["--set", "methods={linear-probe: {epochs: 1}}", "--set", "seeds=[0]"]
    command("run", home / "spec.yaml", "--out", out, *one)
    before = contents(out / "weights")

    def full(*_, **__):
        raise OSError(28, "No space left on device", str(out))

    monkeypatch.setattr(writing, "save_file", full)
    two = ["--set", "methods={linear-probe: {epochs: 1}}", "--set", "seeds=[0, 1]"]
    shown = command("run", home / "spec.yaml", "--out", out, *two, code=2)
    assert "No space left on device" in shown.err
    assert contents(out / "weights") == before


def test_long_texts_are_cut_counted_and_reported(home, tmp_path, command):
    data = sib200(tmp_path / "data", rows=8)
    with (data / "deu_Latn" / "test.tsv").open("a", encoding="utf-8") as file:
        file.write("900\ttravel\t" + "cat " * 300 + "\n")
    spec = [
        "--set",
        f"data.path={data}",
        "--set",
        "methods={soft-prompt: {epochs: 1, length: 5}, linear-probe: {epochs: 1}}",
    ]
    shown = command("run", home / "spec.yaml", "--out", tmp_path / "run", *spec)
    assert "1 text is longer than 35 tokens and is cut" in shown.err
    assert "1 text is longer than 40 tokens and is cut" in shown.err
    record = json.loads((tmp_path / "run/weights/soft-prompt/0/run.json").read_text())
    assert record["truncated"] == {"train": 0, "dev": 0, "test": 1}
    predictions = pl.read_parquet(tmp_path / "run/predictions.parquet")
    assert predictions.filter(example="900")["predicted"].null_count() == 0


def test_adding_seeds_methods_and_languages_extends(home, tmp_path, command):
    data = sib200(tmp_path / "data", languages=("eng_Latn", "deu_Latn"), rows=8)
    out = tmp_path / "run"
    base = ["--set", f"data.path={data}", "--out", out]
    method = "methods={soft-prompt: {epochs: 1, length: 5}}"
    command("run", home / "spec.yaml", *base, "--set", method, "--set", "seeds=[0]")
    weights = contents(out / "weights")
    sib200(tmp_path / "more", languages=("eng_Latn", "deu_Latn", "fra_Latn"), rows=8)
    (tmp_path / "more" / "fra_Latn").rename(data / "fra_Latn")
    more = "methods={soft-prompt: {epochs: 1, length: 5}, linear-probe: {epochs: 1}}"
    command("run", home / "spec.yaml", *base, "--set", more, "--set", "seeds=[0, 1]")
    scores = pl.read_parquet(out / "scores.parquet").filter(split="test", metric="accuracy")
    assert len(scores) == 2 * 2 * 3
    assert contents(out / "weights")[next(p for p in weights if p.suffix == ".safetensors")] == next(
        value for path, value in weights.items() if path.suffix == ".safetensors"
    )
    spec = yaml.load(out / "spec.yaml")
    assert spec["seeds"] == [0, 1]
    assert list(spec["methods"]) == ["soft-prompt", "linear-probe"]
    assert spec["targets"] == ["deu-Latn", "fra-Latn"]
    record = json.loads((out / "weights/soft-prompt/0/run.json").read_text())
    assert record["test_data"].keys() == {"eng-Latn", "deu-Latn", "fra-Latn"}
    assert record["environment"]["packages"]["torch"]
    own = "methods={soft-prompt: {epochs: 1, length: 5, seeds: [2]}}"
    command("run", home / "spec.yaml", *base, "--set", own, "--set", "seeds=[0]")
    runs = pl.read_parquet(out / "scores.parquet").select("method", "seed").unique(maintain_order=True).rows()
    assert sorted(runs) == [
        ("linear-probe", 0), ("linear-probe", 1), ("soft-prompt", 0), ("soft-prompt", 1), ("soft-prompt", 2),
    ]  # fmt: skip
    spec = yaml.load(out / "spec.yaml")
    assert (spec["seeds"], spec["methods"]["soft-prompt"]["seeds"]) == ([0, 1], [0, 1, 2])


@pytest.mark.parametrize("parts", ["{dev: train}", "{train: test}", "{test: 'dev[:50%]'}"])
def test_splits_that_share_their_texts_are_refused(home, tmp_path, command, parts):
    words = ("run", home / "spec.yaml", "--out", tmp_path / "run", "--set", f"data.splits={parts}")
    shown = command(*words, code=2).err
    assert re.search(r"\d+ of \d+ texts of (dev|test) \(.*\) are in (train|dev) too; give data.splits", shown)


def test_another_metric_is_another_selection(done, home, command, monkeypatch):
    from isogloss.data import cards, dataset

    other = cards.find("sib200").model_copy(update={"metrics": ["macro-f1", "accuracy"]})
    monkeypatch.setattr(dataset, "find", lambda _: other)
    shown = command("run", home / "spec.yaml", "--out", done, "--set", "seeds=[0, 1, 2]", code=2).err
    assert "metrics: ['accuracy', 'macro-f1'] → ['macro-f1', 'accuracy']" in shown


def test_labels_that_training_never_shows_are_named(home, tmp_path, command):
    data = sib200(tmp_path / "data", languages=("eng_Latn", "deu_Latn"), rows=5)
    words = ["run", home / "spec.yaml", "--out", tmp_path / "run", "--set", f"data.path={data}", "--set", "seeds=[0]"]
    shown = command(*words, code=2).err
    assert "(eng-Latn) has labels that training never shows: sports, travel; train on more" in shown
    assert not (tmp_path / "run").exists()
    method = "methods={linear-probe: {epochs: 1}}"
    command(*words, "--set", "data.unseen=keep", "--set", method)
    predictions = pl.read_parquet(tmp_path / "run" / "predictions.parquet").filter(language="eng-Latn")
    unseen = predictions.filter(pl.col("gold").is_in(["sports", "travel"]))
    assert len(unseen) == 6
    scores = pl.read_parquet(tmp_path / "run" / "scores.parquet")
    score = scores.filter(language="eng-Latn", split="test", metric="accuracy").row(0, named=True)
    assert score["n"] == len(predictions) == 21  # those of no training data count too
    assert score["value"] == pytest.approx((predictions["gold"] == predictions["predicted"]).mean())


def test_variants_added_to_a_method_stay_in_the_spec(home, tmp_path, command):
    out = tmp_path / "run"
    for length in ("[2, 4]", "[4, 6]"):
        method = f"methods={{soft-prompt: {{epochs: 1, length: {length}}}}}"
        command("run", home / "spec.yaml", "--out", out, "--set", method, "--set", "seeds=[0]")
    assert yaml.load(out / "spec.yaml")["methods"]["soft-prompt"]["length"] == [2, 4, 6]
    assert len(pl.read_parquet(out / "scores.parquet")["method"].unique()) == 3


def test_a_relative_backbone_is_found_from_anywhere(home, tmp_path, command, monkeypatch):
    monkeypatch.chdir(home)
    one = ["--set", "methods={linear-probe: {epochs: 1}}", "--set", "seeds=[0]", "--set", "backbone=./model"]
    command("run", home / "spec.yaml", "--out", tmp_path / "run", *one)
    monkeypatch.chdir(tmp_path)
    assert command("predict", "run", stdin=b"a\n").out
    monkeypatch.setenv("HOME", str(home))
    command(
        "run",
        home / "spec.yaml",
        "--out",
        tmp_path / "home",
        *one[:-1],
        "backbone=~/model",
        "--set",
        "data.path=~/data",
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop_keeps_its_place(home, tmp_path, number):
    """The first signal waits for the update that runs; going on ends as if nothing had happened."""
    from isogloss.api import run
    from isogloss.spec import read_spec
    from isogloss.training.checkpoint import Checkpoints
    from isogloss.training.engine import Engine

    spec = read_spec(
        str(home / "spec.yaml"), ["methods={deep-prompt: {epochs: 3, batch_size: 4, length: 2}}", "seeds=[0]"]
    )
    whole = run(spec, tmp_path / "whole").store.table("history")
    plain, calls, saved = Engine.update, [], []
    before = signal.signal(number, signal.default_int_handler)

    def update(self):
        calls.append(None)
        if len(calls) == 6:  # the last of the first epoch, in the middle of an update
            signal.raise_signal(number)
        return plain(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "update", update)
        patch.setattr(
            Checkpoints,
            "save",
            lambda self, train_states, save=Checkpoints.save: saved.append(save(self, train_states)),
        )
        with pytest.raises(KeyboardInterrupt):
            run(spec, tmp_path / "run")
    assert (len(calls), len(saved)) == (6, 1)
    history = run(spec, tmp_path / "run").store.table("history")
    polars.testing.assert_frame_equal(whole, history)
    assert signal.signal(number, before) is signal.default_int_handler


def test_ctrl_c_says_how_to_go_on(home, tmp_path, command, monkeypatch):
    from isogloss import api

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "run", stopped)
    shown = command("run", home / "spec.yaml", "--out", tmp_path / "run", code=130)
    assert shown.err == "isogloss: stopped; run the same command again to go on\n"
