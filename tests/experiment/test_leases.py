"""Who has which cells in training, and what becomes of those whose holder is gone."""

import json
import os
import subprocess
import sys
import time

import pytest

from isogloss.errors import IsoglossError
from isogloss.experiment.leases import FOLDER, CellLeases
from isogloss.runtime import locks
from isogloss.store import Store

FACTS = {"one": {"train": "x", "method": "linear-probe", "settings": {"lr": 0.1}, "seed": None}}
KEYS = [("one", 0), ("one", 1), ("one", 2)]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "run")


def leases(store, facts=FACTS, test_data=None):
    return CellLeases(store, facts, test_data or {"eng-Latn": "x"})


def elsewhere(store, name="a" * 32, duration=None, cells=KEYS[:1], **said):
    """What a process on another machine leaves."""
    folder = store.path / FOLDER
    folder.mkdir(exist_ok=True, parents=True)
    duration = locks.DURATION if duration is None else duration
    (folder / f"{name}.lease").write_text(
        f"filelock/2\npid=7\nhost=elsewhere\nmode=lease\ntoken=abc\nduration={duration!r}\n"
    )
    said = {"host": "elsewhere", "process": 7, "facts": FACTS, "test_data": {"eng-Latn": "x"}, **said}
    (folder / f"{name}.json").write_text(json.dumps(said))
    (folder / f"{name}.cells").write_text(json.dumps(cells))
    return folder / f"{name}.lease"


def test_a_cell_has_one_holder(store):
    one, other = leases(store), leases(store)
    with one, other:
        assert one.take(KEYS[:2]) == KEYS[:2]
        assert other.take(KEYS) == KEYS[2:]
        assert str(other.elsewhere(KEYS)["one", 0]).startswith(f"process {os.getpid()} on ")
        one.give_back(KEYS[:1])
        assert set(other.elsewhere(KEYS)) == {KEYS[1]}
        assert other.take(KEYS) == [KEYS[0], KEYS[2]]
    assert not (store.path / FOLDER).exists()


@pytest.mark.parametrize(
    ("facts", "test_data", "words"),
    [
        ({"one": {**FACTS["one"], "settings": {"lr": 0.2}}}, {}, r"one differently \(settings.lr: 0.1 → 0.2\)"),
        ({"two": {**FACTS["one"], "train": "y"}}, {}, r"one differently \(train: x → y\)"),
        (FACTS, {"eng-Latn": "y"}, "scores on other test data of eng-Latn"),
    ],
)
def test_what_another_process_makes_differently_is_refused_at_the_start(store, facts, test_data, words):
    with leases(store):
        with pytest.raises(IsoglossError, match=words), leases(store, facts, test_data):
            pass
        with leases(store, {"two": {**FACTS["one"], "settings": {"lr": 0.2}}}, {"swh-Latn": "y"}):
            pass  # another method on other languages


def test_what_a_dead_process_had_is_free_at_once(store):
    code = f"""
import os
from pathlib import Path
from isogloss.experiment.leases import CellLeases
from isogloss.store import Store
leases = CellLeases(Store(Path({str(store.path)!r})), {{"one": {{"lr": 1}}}}, {{}})
leases.__enter__()
leases.take([("one", 0)])
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert len(list((store.path / FOLDER).iterdir())) == 3
    mine = leases(store)
    with mine:
        assert mine.take(KEYS) == KEYS
    assert not (store.path / FOLDER).exists()


def test_what_is_not_renewed_is_taken_over_and_its_holder_notices(store, monkeypatch):
    monkeypatch.setattr(locks, "DURATION", 0.6)
    mine, other = leases(store), leases(store)
    marker = elsewhere(store)
    with mine:
        assert mine.take(KEYS) == KEYS[1:]
        began = time.monotonic()
        while mine.elsewhere(KEYS):
            assert time.monotonic() - began < 10
            time.sleep(0.05)
        assert time.monotonic() - began > 0.4
        assert not marker.exists()
        assert mine.take(KEYS) == KEYS
        # As after a long sleep: the other one has taken this one for dead.
        for file in (store.path / FOLDER).iterdir():
            file.unlink()
        with other:
            assert other.take(KEYS[:1]) == KEYS[:1]
            assert mine.take(KEYS) == KEYS[1:]
            assert set(other.elsewhere(KEYS)) >= set(KEYS[1:])  # it is there again, and others see it


def test_a_process_on_another_machine_is_refused_where_it_shows_that_it_lives(store, monkeypatch):
    monkeypatch.setattr(locks, "DURATION", 1.0)
    facts = {"one": {**FACTS["one"], "settings": {"lr": 0.2}}}
    elsewhere(store)
    with leases(store, facts):  # it does not, and is forgotten
        pass
    marker = elsewhere(store)
    renew = f"for i in 1 2 3 4 5 6 7 8; do sleep 0.2; touch {marker}; done"
    with (
        subprocess.Popen(["sh", "-c", renew]),
        pytest.raises(IsoglossError, match="process 7 on elsewhere is at work on"),
        leases(store, facts),
    ):
        pass


def test_what_others_left_there_is_never_a_traceback(store, monkeypatch):
    monkeypatch.setattr(locks, "DURATION", 0.6)
    elsewhere(store, facts=[1], test_data="x", process="y", host=None, cells={"a": 1})
    elsewhere(store, name="b", duration=1234.5, cells=[["one", 0, 1], "x", [0, "one"]])  # of a version with another one
    for name in ("c.json", "d", "[a]*.cells", "..x", "e.lease.break.123.abc"):
        (store.path / FOLDER / name).write_text("{")
    (store.path / FOLDER / "f.lease").mkdir()
    mine = leases(store)
    with mine:
        assert mine.take(KEYS) == KEYS


def test_a_file_system_without_locks_has_a_lease_in_their_place(store, monkeypatch):
    def none(_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("filelock._unix.lock_fd_nonblocking", none)
    with store.lock, store.lock:
        assert (store.path / ".lock-lease").exists()
    assert not (store.path / ".lock-lease").exists()
    monkeypatch.undo()
    monkeypatch.setattr("filelock._unix.lock_fd_nonblocking", lambda _: (_ for _ in ()).throw(OSError(5, "I/O error")))
    with pytest.raises(IsoglossError, match=r"\.lock cannot be locked: I/O error"), Store(store.path).lock:
        pass
