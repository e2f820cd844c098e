"""Trackers are told what the history holds, and neither they nor their failures change anything of a training."""

import json
import os
import signal
import sys
import threading
import time
from collections import namedtuple
from contextvars import ContextVar
from types import ModuleType, SimpleNamespace

import pytest
from polars.testing import assert_frame_equal
from pydantic import Field

from isogloss import api
from isogloss.cli.dry_run import describe
from isogloss.errors import IsoglossError
from isogloss.runtime.checked import Checked
from isogloss.spec import Spec, check
from isogloss.store import Store
from isogloss.trackers import feed as feeds
from isogloss.trackers import registry
from isogloss.trackers.feed import FILE, Feed, feeding, measured
from isogloss.trackers.tracker import TrackedCell, Tracker
from models import checkpoint, sib200

CELL = TrackedCell("topics", "deep-prompt[length=2]", 0, {"lr": 0.1, "rates": {"a": 1}, "none": None}, {"task": "x"})
METHODS = {"deep-prompt": {"epochs": 2, "length": [2, 4], "batch_size": 4}}


class NotebookSettings(Checked):
    page: str | None = Field(None, description="of the notebook")


class Notebook:
    """A tracker that writes everything down in memory, and may fail or take its time."""

    name = module = extra = "notebook"
    settings = NotebookSettings

    def __init__(self):
        self.runs, self.begun, self.fails, self.wait = {}, [], None, 0.0

    def begin(self, cell, settings, known):
        self.trip("begin")
        self.begun.append((cell.title, known))
        run = self.runs.get(known) or SimpleNamespace(cell=cell, rows=[], ends=[], settings=settings)
        run_id = known if known in self.runs else f"run-{len(self.runs)}"
        self.runs[run_id] = run

        def log(rows):
            self.trip("log")
            run.rows.extend(rows)

        def finish(status):
            self.trip("finish")
            run.ends.append(status)

        return SimpleNamespace(id=run_id, resumed=run_id == known, log=log, finish=finish)

    def trip(self, where):
        time.sleep(self.wait)
        if self.fails == where:
            raise ConnectionError("the server\nis down")


@pytest.fixture
def notebook(monkeypatch):
    made = Notebook()
    known = dict(registry.trackers())
    monkeypatch.setattr(registry, "trackers", lambda: {**known, "notebook": made})
    monkeypatch.setattr(registry, "find_spec", lambda name: name)
    yield made
    for thread in threading.enumerate():  # one that nobody waited for would begin a run in the next test's notebook
        if thread.name == "isogloss-trackers":
            thread.join(60)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data")
    return folder


def spec(home, **changes):
    return Spec.model_validate({
        "name": "topics", "backbone": str(home / "model"), "task": "sib200", "data": {"path": home / "data"},
        "methods": METHODS, "targets": ["de"], "dtype": "float32", "device": "cpu", "dynamics": {"examples": 2},
        **changes,
    })  # fmt: skip


@pytest.fixture(scope="module")
def plain(home):
    return api.run(spec(home), home / "plain")


def same(one, other):
    """The same bits: tables, and weights by their hashes."""
    for name in ("scores", "predictions", "history"):
        assert_frame_equal(one.store.table(name), other.store.table(name))
    hashes = [{cell.key: cell.record.weights_sha256 for cell in of.store.finished()} for of in (one, other)]
    assert hashes[0] == hashes[1]
    facts = [{cell.key: cell.record.facts for cell in of.store.finished()} for of in (one, other)]
    assert facts[0] == facts[1]


def test_every_tracker_is_one():
    assert list(registry.trackers()) == ["mlflow", "trackio"]
    for name, tracker in registry.trackers().items():
        assert isinstance(tracker, Tracker)
        assert tracker.name == name
        assert all(field.description for field in tracker.settings.model_fields.values())


def test_a_tracker_is_told_all_of_the_history_and_the_test_scores(home, plain, notebook, tmp_path):
    results = api.run(spec(home, track={"notebook": {"page": "3"}}), tmp_path / "run")
    same(results, plain)
    assert len(notebook.runs) == 2
    for run_id, run in notebook.runs.items():
        assert run.settings.page == "3"
        assert run.ends == ["finished"]
        assert run.cell.parameters["length"] in {2, 4}
        assert run.cell.parameters["seed"] == 0
        assert run.cell.tags["source"] == "eng-Latn"
        history = results.history.filter(method=run.cell.method)
        assert [step for step, _ in run.rows[:-1]] == history["step"].to_list()
        assert [values for _, values in run.rows[:-1]] == [measured(row) for row in history.iter_rows(named=True)]
        test = results.scores.filter(split="test", method=run.cell.method)
        told = {f"test/{row['metric']}/{row['language']}": row["value"] for row in test.iter_rows(named=True)}
        assert run.rows[-1] == (history["step"].max(), told)
        (stored,) = [cell for cell in results.store.finished() if cell.record.method == run.cell.method]
        assert stored.record.environment["trackers"] == {"notebook": run_id}
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_names_of_what_is_told():
    row = {"step": 3, "epoch": 0.5, "tokens": 9, "loss": 0.5, "learning_rate": 0.1, "metric": None, "value": None}
    assert measured(row) == {"epoch": 0.5, "train/loss": 0.5, "learning-rate": 0.1}
    of_dev = {**row, "learning_rate": None, "metric": "accuracy", "value": 0.7, "language": "eng-Latn"}
    assert measured(of_dev) == {"epoch": 0.5, "dev/loss": 0.5, "dev/accuracy": 0.7}
    assert measured({**of_dev, "loss": None, "language": "deu-Latn"}) == {"epoch": 0.5, "seen/accuracy/deu-Latn": 0.7}
    assert measured({**row, "loss": float("nan")}) == {"epoch": 0.5, "learning-rate": 0.1}


@pytest.mark.parametrize("where", ["begin", "log", "finish"])
def test_a_tracker_that_fails_is_said_in_a_line_and_ends_nothing(home, plain, notebook, tmp_path, capsys, where):
    notebook.fails = where
    results = api.run(spec(home, track=["notebook"]), tmp_path / "run")
    same(results, plain)
    lines = [line for line in capsys.readouterr().err.splitlines() if "notebook" in line]
    assert lines == ["notebook failed (the server is down); the training goes on, and is not told to it any more"]


def test_a_tracker_that_does_not_answer_holds_nothing_up(home, plain, notebook, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(feeds, "PATIENCE", 0.2)
    notebook.wait = 1.5
    began = time.monotonic()
    results = api.run(spec(home, track=["notebook"]), tmp_path / "run")
    assert time.monotonic() - began < 15
    same(results, plain)
    assert "notebook: not all was taken within" in capsys.readouterr().err


def test_a_training_that_is_stopped_goes_on_in_the_same_run_and_tells_nothing_twice(
    home, plain, notebook, tmp_path, monkeypatch
):
    calls = []
    from isogloss.training import loop

    whole = loop.look

    def look(train_state, *rest):
        whole(train_state, *rest)
        calls.append(train_state.step)
        if len(calls) == 2 * 7:  # both runs, in the second epoch
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop, "look", look)
    with pytest.raises(KeyboardInterrupt):
        api.run(spec(home, track=["notebook"]), tmp_path / "run")
    assert {tuple(run.ends) for run in notebook.runs.values()} == {("stopped",)}
    kept = [json.loads(file.read_text()) for file in (tmp_path / "run" / "checkpoints").rglob(FILE)]
    assert sorted(one["notebook"]["id"] for one in kept) == ["run-0", "run-1"]
    assert all(one["notebook"]["rows"] for one in kept)
    monkeypatch.undo()
    known = dict(registry.trackers())
    monkeypatch.setattr(registry, "trackers", lambda: {**known, "notebook": notebook})
    monkeypatch.setattr(registry, "find_spec", lambda name: name)
    results = api.run(spec(home, track=["notebook"]), tmp_path / "run")
    same(results, plain)
    assert len(notebook.runs) == 2
    for run in notebook.runs.values():
        history = results.history.filter(method=run.cell.method)
        assert [step for step, _ in run.rows[:-1]] == history["step"].to_list()
        assert run.ends == ["stopped", "finished"]


def test_languages_that_are_added_later_are_told_to_the_same_run(home, notebook, tmp_path):
    api.run(spec(home, track=["notebook"]), tmp_path / "run")
    api.run(spec(home, track=["notebook"], targets=["de", "zh"]), tmp_path / "run")
    assert len(notebook.runs) == 2
    for run in notebook.runs.values():
        assert list(run.rows[-1][1]) == ["test/accuracy/zho-Hans", "test/macro-f1/zho-Hans"]


def test_a_training_that_fails_is_told_as_failed(notebook):
    with pytest.raises(ZeroDivisionError), feeding({"notebook": {}}, [CELL]) as feed:
        feed.history(0, [{"step": 1, "epoch": 1.0, "loss": 0.5, "learning_rate": 0.1, "metric": None}])
        raise ZeroDivisionError
    (run,) = notebook.runs.values()
    assert (len(run.rows), run.ends) == (1, ["failed"])


def test_a_run_that_is_gone_is_told_everything_anew(notebook, tmp_path):
    (tmp_path / FILE).write_text(json.dumps({"notebook": {"id": "gone", "rows": 5}}))
    rows = [{"step": step, "epoch": 1.0, "loss": 0.5, "learning_rate": 0.1, "metric": None} for step in range(7)]
    with feeding({"notebook": {}}, [CELL], [tmp_path / FILE]) as feed:
        feed.history(0, rows)
    (run,) = notebook.runs.values()
    assert notebook.begun == [(CELL.title, "gone")]
    assert [step for step, _ in run.rows] == list(range(7))


@pytest.mark.parametrize("text", ["", "[]", '{"notebook": 3}', '{"notebook": {"id": 3, "rows": "x"}}', "\x00"])
def test_a_damaged_file_of_what_was_told_is_as_good_as_none(notebook, tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with feeding({"notebook": {}}, [CELL], [tmp_path / FILE]) as feed:
        feed.history(0, [{"step": 1, "epoch": 1.0, "loss": 0.5, "learning_rate": 0.1, "metric": None}])
    (run,) = notebook.runs.values()
    assert len(run.rows) == 1


def test_without_trackers_there_is_no_thread():
    before = threading.active_count()
    with feeding({}, [CELL]) as feed:
        feed.history(0, [{"step": 1}])
        assert feed.ids(0) == {}
        assert threading.active_count() == before
    with feeding({}, []):
        pass
    assert isinstance(feed, Feed)


WRONG = {
    "mlfow": "unknown tracker 'mlfow'; did you mean 'mlflow'",
    "trackio": None,
    ("mlflow", ("urii", "x")): "mlflow: unknown key 'urii'; did you mean 'uri'",
    ("mlflow", ("uri", 3)): "mlflow: uri: expected a text",
    ("mlflow", ("uri", "https://me:secret@host/x")): "mlflow: uri: expected no password",
}


@pytest.mark.parametrize("given", WRONG)
def test_a_mistake_is_said_where_the_spec_is_read(given):
    track = [given] if isinstance(given, str) else {given[0]: dict([given[1]])}
    raw = {"name": "x", "task": "sib200", "methods": {"linear-probe": {}}, "track": track}
    if WRONG[given] is None:
        assert check(Spec, raw, where="spec").track == {"trackio": {}}
        return
    with pytest.raises(IsoglossError) as told:
        check(Spec, raw, where="spec")
    assert WRONG[given] in str(told.value)
    assert str(told.value).startswith("spec: track")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("track", [3, [3], {"mlflow": 3}, {"mlflow": []}, [["mlflow"]], {3: {}}, True, {"": {}}, [""]])
def test_what_is_no_tracker_is_refused_in_a_line(track):
    with pytest.raises(IsoglossError) as told:
        check(Spec, {"name": "x", "task": "sib200", "methods": {"linear-probe": {}}, "track": track}, where="spec")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("track", "read"), [("mlflow", {"mlflow": {}}), ({"mlflow": None}, {"mlflow": {}}), ([], {}), ({}, {})]
)
def test_a_name_alone_is_enough(track, read):
    raw = {"name": "x", "task": "sib200", "methods": {"linear-probe": {}}, "track": track}
    assert check(Spec, raw, where="spec").track == read


def test_a_library_that_is_not_here_is_named_before_anything_is_read(home, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "find_spec", lambda _: None)
    asked = spec(home, track=["mlflow"])
    for ask in (lambda: api.run(asked, tmp_path / "run"), lambda: describe(asked, tmp_path / "run")):
        with pytest.raises(
            IsoglossError, match=r"mlflow, which is not installed; in a clone of isogloss: pip install '\.\[mlflow\]'"
        ):
            ask()
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("notebook")
def test_a_dry_run_says_where_it_would_be_told(home, tmp_path, capsys):
    describe(spec(home, track=["notebook"]), tmp_path / "run")
    assert "track       notebook" in capsys.readouterr().out


class FakeTrackio(ModuleType):
    """With the signatures of trackio 0.43: `init`, and a run's `log` and `finish`; a run ends the one before it."""

    def __init__(self):
        super().__init__("trackio")
        self.runs, self.current = {}, ContextVar("current", default=None)

    def init(
        self, project, name=None, group=None, space_id=None, server_url=None, dataset_id=None, bucket_id=None,
        config=None, resume="never", settings=None, private=None, embed=True, auto_log_gpu=None,
        gpu_log_interval=10.0, auto_log_cpu=None, cpu_log_interval=10.0, webhook_url=None, webhook_min_level=None,
    ):  # fmt: skip
        assert self.current.get() is None, "the run before would be ended"
        assert auto_log_gpu is auto_log_cpu is False
        sys.stdout.write("* Trackio project initialized\n")  # as it does
        assert resume == "allow"
        made = SimpleNamespace(name=name, rows=[], project=project, group=group, config=config)
        run = self.runs.setdefault(name, made)
        self.current.set(run)
        run.space = (space_id, private)
        run.log = lambda metrics, step=None: run.rows.append((step, metrics))
        run.finish = lambda: sys.stdout.write("* Run finished\n")
        return run


def test_trackio(monkeypatch, capsys):
    module = FakeTrackio()
    monkeypatch.setitem(sys.modules, "trackio", module)
    tracker = registry.find("trackio")
    run = tracker.begin(CELL, tracker.settings(), None)
    run.log([(10, {"train/loss": 0.5}), (20, {"train/loss": 0.4})])
    run.finish("finished")
    (made,) = module.runs.values()
    assert (made.project, made.group, made.space) == ("topics", CELL.method, (None, None))
    assert made.config == {"lr": 0.1, "rates": {"a": 1}, "task": "x"}
    assert made.rows == [(10, {"train/loss": 0.5}), (20, {"train/loss": 0.4})]
    again = tracker.begin(CELL, tracker.settings(project="p", space="org/x", private=True), run.id)
    assert (again.id, again.resumed, run.resumed, made.space) == (run.id, True, False, ("org/x", True))
    assert tracker.begin(CELL, tracker.settings(), None).id != run.id
    assert capsys.readouterr().out == ""  # which is a command's answer


class FakeMlflow:
    """With the signatures of mlflow 3.17 that are used: a client, its entities and its error."""

    def __init__(self, monkeypatch):
        self.runs, self.experiments, self.uri, self.broken = {}, {}, None, False
        exceptions, entities, top = (ModuleType(name) for name in ("mlflow.exceptions", "mlflow.entities", "mlflow"))
        exceptions.MlflowException = type("MlflowException", (Exception,), {})
        entities.Metric = namedtuple("Metric", "key value timestamp step")  # noqa: PYI024 - made as MLflow makes it
        entities.Param = namedtuple("Param", "key value")  # noqa: PYI024
        top.MlflowClient, top.exceptions, top.entities = self.client, exceptions, entities
        self.error = exceptions.MlflowException
        for module in (top, exceptions, entities):
            monkeypatch.setitem(sys.modules, module.__name__, module)

    def client(self, tracking_uri=None, registry_uri=None):
        self.uri = tracking_uri
        return self

    def get_experiment_by_name(self, name):
        return SimpleNamespace(experiment_id=self.experiments[name]) if name in self.experiments else None

    def create_experiment(self, name, artifact_location=None, tags=None):
        self.experiments[name] = str(len(self.experiments))
        if self.broken:  # another process was as quick
            raise self.error("it exists")
        return self.experiments[name]

    def create_run(self, experiment_id, start_time=None, tags=None, run_name=None):
        made = SimpleNamespace(
            info=SimpleNamespace(run_id=f"{len(self.runs)}"), params={}, metrics=[], status="RUNNING"
        )
        made.experiment, made.tags, made.name = experiment_id, tags, run_name
        self.runs[made.info.run_id] = made
        return made

    def update_run(self, run_id, status=None, name=None):
        if run_id not in self.runs:
            raise self.error("it is gone")
        self.runs[run_id].status = status

    def log_batch(self, run_id, metrics=(), params=(), tags=(), synchronous=None):
        assert len(metrics) <= 1000
        assert len(params) <= 100
        self.runs[run_id].metrics += metrics
        self.runs[run_id].params |= {param.key: param.value for param in params}

    def set_terminated(self, run_id, status=None, end_time=None):
        self.runs[run_id].status = status


def test_what_mlflow_is_told(monkeypatch):
    there = FakeMlflow(monkeypatch)
    tracker = registry.find("mlflow")
    run = tracker.begin(CELL, tracker.settings(uri="http://x.y"), None)
    assert there.uri == "http://x.y"
    assert there.experiments == {"topics": "0"}
    run.log([(step, {"train/loss": 0.5, "epoch": 1.0}) for step in range(700)])
    run.finish("stopped")
    made = there.runs[run.id]
    assert (made.name, made.tags, made.status, len(made.metrics)) == (CELL.title, {"task": "x"}, "KILLED", 1400)
    assert made.params == {"lr": "0.1", "rates": '{"a": 1}'}
    again = tracker.begin(CELL, tracker.settings(experiment="other"), run.id)
    assert (again.id, again.resumed, made.status) == (run.id, True, "RUNNING")
    again.finish("finished")
    assert made.status == "FINISHED"
    many = TrackedCell("topics", "m", 0, {f"p{number}": "x" * 9000 for number in range(250)})
    there.broken = True
    other = tracker.begin(many, tracker.settings(experiment="other"), "gone")
    assert (other.resumed, len(there.runs[other.id].params)) == (False, 250)
    assert {len(value) for value in there.runs[other.id].params.values()} == {500}
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"


def test_mlflow_itself_takes_it(tmp_path):
    for needed in ("mlflow", "sqlalchemy", "alembic"):  # a store of its own takes more than the extra
        pytest.importorskip(needed, reason="mlflow is not installed")
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracker = registry.find("mlflow")
    settings = tracker.settings(uri=uri)
    run = tracker.begin(CELL, settings, None)
    rows = [(step, {"train/loss": 1 / (step + 1), "test/accuracy/deu-Latn": 0.5}) for step in range(700)]
    run.log(rows)
    run.finish("stopped")
    client = MlflowClient(tracking_uri=uri)
    stored = client.get_run(run.id)
    assert stored.info.status == "KILLED"
    assert stored.info.run_name == CELL.title
    assert stored.data.params == {"lr": "0.1", "rates": '{"a": 1}'}
    assert stored.data.tags["task"] == "x"
    assert client.get_experiment(stored.info.experiment_id).name == "topics"
    again = tracker.begin(CELL, settings, run.id)
    assert (again.id, again.resumed) == (run.id, True)
    assert client.get_run(run.id).info.status == "RUNNING"
    again.log([(700, {"train/loss": 0.0})])
    again.finish("finished")
    history = client.get_metric_history(run.id, "train/loss")
    assert sorted(one.step for one in history) == list(range(701))
    other = tracker.begin(CELL, settings, "0" * 32)
    assert (other.resumed, other.id == run.id) == (False, False)


def test_a_stored_run_without_a_word_of_trackers_opens(plain):
    assert Store(plain.path).known_spec().track == {}
    assert "trackers" not in plain.store.finished()[0].record.environment


def test_members_of_an_averaged_cell_are_told_of_and_so_is_their_mean(home, notebook, tmp_path):
    one = {"linear-probe": {"epochs": 1}, "fine-tuning": {"epochs": 1, "batch_size": 8, "average": 2}}
    run = api.run(spec(home, methods=one, seeds=[1], track={"notebook": {}}), tmp_path)
    titles = [title for title, _ in notebook.begun if title.startswith("fine")]
    assert titles == [
        "fine-tuning, member 1 of 2 seed 2", "fine-tuning, member 2 of 2 seed 3", "fine-tuning seed 1",
    ]  # fmt: skip
    runs = [made for made in notebook.runs.values() if made.cell.method.startswith("fine")]
    assert [made.ends for made in runs] == [["finished"]] * 3
    last = run.history.filter(method="fine-tuning")["value"][-1]
    whole = [values for _, values in runs[2].rows]
    assert [values["dev/accuracy"] for values in whole if "dev/accuracy" in values][-1] == last
    assert sum("test/accuracy/deu-Latn" in values for made in runs for _, values in made.rows) == 1
