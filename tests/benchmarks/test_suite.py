"""Cells are written as they end, resumed, and put into one table."""

import json
import sys
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from rich.console import Console

import benchmarks.__main__
from benchmarks import programs, records, suite
from benchmarks.__main__ import listed, main
from benchmarks.cells import EVALUATION, TRAINING, Cell, Part, Program
from benchmarks.contest import Ground, Rounds
from benchmarks.contestants.contestant import Match
from benchmarks.curves import draw, points
from benchmarks.parts import parts, quick
from benchmarks.records import Records
from benchmarks.shapes import tiny
from benchmarks.table import markdown, rows
from benchmarks.texts import Source

FAR = float("inf")


class Clockwork:
    """A contestant that takes the seconds that it is told to."""

    dtype = torch.float32
    way = MappingProxyType({})

    def __init__(self, *seconds, runs=1, turns=None, name="", fails=0):
        self.seconds, self.runs, self.turns, self.name, self.fails = list(seconds), runs, turns, name, fails
        self.closed = False

    def train(self, updates):
        if self.turns is not None:
            self.turns.append(self.name)
        self.fails -= 1
        if self.fails == 0:
            raise ValueError("broke\ndown")
        return self.seconds[0] if len(self.seconds) == 1 else self.seconds.pop(0)

    def evaluate(self):
        return 1.0

    def close(self):
        self.closed = True


def cell(*contestants, **more):
    return Cell("a/cell", "small", "deep-prompt", contestants, batch=4, train=8, test=6, **more)


@pytest.fixture
def compete(tmp_path):
    source = Source()
    match = Match(
        tiny("small"),
        tmp_path,
        "deep-prompt",
        4,
        source.texts("train", 8),
        source.texts("test", 6),
        torch.device("cpu"),
    )

    def rounds(which, contestants, until=FAR):
        builders = {name: one if callable(one) else lambda one=one: one for name, one in contestants.items()}
        return Rounds(which, match, quick=True).all(builders, until=until, say=lambda _: None)

    return rounds


def record(found, which, **more):
    about = {
        "machine": {"name": "abacus", "device": "cpu", "cpu": {"threads": 2, "cores": 2, "capability": "beads"}},
        "versions": {"isogloss": "1", "torch": "2"}, "code": "c0de", "texts": "words", "quick": False,
    }  # fmt: skip
    return {"key": "k", "part": "p", "cell": which.written(), "about": about, "failed": [], **found, **more}


def test_contestants_take_turns_and_each_begins_once(compete):
    turns = []
    compete(cell("a", "b", "c", rounds=3), {name: Clockwork(1.0, turns=turns, name=name) for name in "abc"})
    assert "".join(turns[3:]) == "abcbcacab"  # after one update each to warm up


def test_ratios_are_taken_within_a_round(compete):
    which = cell("isogloss K=1", "isogloss K=4", "expert", rounds=3)
    contestants = {
        # The first number warms up; the machine is twice as slow in the second round, for all alike.
        "isogloss K=1": Clockwork(9, 1, 2, 1), "isogloss K=4": Clockwork(9, 1, 2, 1, runs=4),
        "expert": Clockwork(9, 3, 6, 3),
    }  # fmt: skip
    flat = rows([record(compete(which, contestants), which)])
    training = {row["contestant"]: row for row in flat if row["doing"] == TRAINING}
    assert training["expert"]["ratios"]["1"] == {"median": 3, "low": 3, "high": 3}
    # Four runs of a batch of 4 in an update, against two updates of one run.
    assert training["expert"]["ratios"]["4"]["median"] == pytest.approx(6)
    assert training["isogloss K=4"]["ms_an_update_of_one_run"]["median"] == pytest.approx(250)
    assert training["isogloss K=1"]["ms_an_update_of_one_run"]["high"] == pytest.approx(1000)
    assert training["expert"]["examples_per_second"] == pytest.approx({"median": 8 / 3, "low": 8 / 6, "high": 8 / 3})
    evaluation = {row["contestant"] for row in flat if row["doing"] == EVALUATION}
    assert evaluation == {"isogloss K=1", "expert"}  # a stack evaluates run by run


def test_like_is_compared_with_like():
    names = ("isogloss K=1", "isogloss K=1, no dropout", "expert", "expert, no dropout")
    which = replace(cell(*names), method="fine-tuning", doing=(TRAINING,))
    rates = dict(zip(names, (10.0, 20.0, 5.0, 8.0), strict=True))
    found = {
        name: {"runs": 1, "dtype": "f", "way": {}, TRAINING: {"examples_per_second": [rate], "share": [0.1]}}
        for name, rate in rates.items()
    }
    flat = {row["contestant"]: row["ratios"] for row in rows([record({"contestants": found}, which)])}
    assert flat["expert"]["1"]["median"] == 2
    assert flat["expert, no dropout"]["1"]["median"] == 2.5
    assert flat["isogloss K=1"] == {}


def test_a_rival_that_fails_is_a_result_and_the_others_go_on(compete):
    def refuses():
        raise ImportError("no such library")

    contestants = {"isogloss K=1": Clockwork(1.0), "usual": Clockwork(1.0, fails=3)}
    which = cell("isogloss K=1", "usual", "dynamic", rounds=3)
    found = compete(which, {**contestants, "dynamic": refuses})
    everyone = found["contestants"]
    assert everyone["dynamic"] == {"failed": "ImportError: no such library"}
    assert everyone["usual"]["failed"] == "ValueError: broke down"
    assert len(everyone["isogloss K=1"][TRAINING]["seconds"]) == 3
    assert contestants["usual"].closed
    text = markdown([record(found, which)])
    assert "ValueError: broke down" in text
    assert "ImportError: no such library" in text


def test_no_round_begins_that_would_end_too_late(compete):
    found = compete(cell("a", rounds=50), {"a": Clockwork(1.0)}, until=time.monotonic())
    assert len(found["contestants"]["a"][TRAINING]["seconds"]) == 1


FEW = Part(
    "few", "", (
        Cell("curve/runs/0", "small", "deep-prompt", ("isogloss K=1", "isogloss K=2"), doing=(TRAINING,), curve="runs"),
        Cell("alibi/cell", "alibi", "soft-prompt", ("isogloss K=1", "dynamic")),
    ), 1,
)  # fmt: skip


@pytest.fixture
def again(tmp_path, monkeypatch):
    """The command, on a part of few cells."""
    monkeypatch.setattr(benchmarks.__main__, "parts", lambda _: {"few": FEW})

    def command(*more):
        return main(["--quick", "--device", "cpu", "--out", str(tmp_path), *more])

    return command


@pytest.mark.filterwarnings("ignore")
def test_what_is_measured_is_written_and_not_measured_again(again, tmp_path, monkeypatch, capsys):
    assert again() == 0
    lines = (tmp_path / "cells.jsonl").read_text(encoding="utf-8").splitlines()
    names = [json.loads(line)["cell"]["name"] for line in lines]
    assert names == [one.name for one in FEW.cells]
    one, other = map(json.loads, lines)
    assert one["about"]["versions"]["torch"] == metadata.version("torch")
    assert one["contestants"]["isogloss K=2"]["training"]["examples"] == 2 * 4
    assert len(other["contestants"]["isogloss K=1"]["evaluation"]["seconds"]) == 1
    table = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert {row["cell"] for row in table["rows"]} == {"alibi/cell"}
    assert table["rows"][0]["contestant"] == "isogloss K=1"
    assert table["rows"][0]["share"]["median"] > 0
    assert "Tiny models" in (tmp_path / "table.md").read_text(encoding="utf-8")
    assert (tmp_path / "runs-cpu.svg").exists()

    asked = []
    monkeypatch.setattr(suite, "contest", lambda which, *_, **__: asked.append(which.name) or other)
    again()
    assert asked == []
    assert capsys.readouterr().out.count("measured before") == 2
    monkeypatch.setattr(records, "sources", lambda: "changed")
    again("--minutes", "0")  # no time for any
    assert asked == []
    again()
    assert asked == names
    again("--again")
    assert asked == names * 2


def test_where_isogloss_fails_the_command_says_so_and_the_cell_is_measured_again(tmp_path, monkeypatch, capsys):
    broken = {"contestants": {"isogloss K=1": {"failed": "ValueError: broke"}}, "peak": {}}
    monkeypatch.setattr(suite, "contest", lambda *_, **__: broken)
    given = ["--quick", "--device", "cpu", "--part", "small-lora", "--out", str(tmp_path)]
    assert main(given) == 1
    assert "FAILED: ValueError: broke" in capsys.readouterr().out
    assert main(given) == 1
    assert len(Records(tmp_path / "cells.jsonl").all()) == 2


def test_a_machine_that_only_measures_needs_nothing_to_draw_with(tmp_path, monkeypatch, capsys):
    Records(tmp_path / "cells.jsonl").add(record({"contestants": {}}, cell("isogloss K=1")))
    monkeypatch.setitem(sys.modules, "benchmarks.curves", None)
    given = ["--quick", "--device", "cpu", "--table", "--out", str(tmp_path)]
    assert main(given) == 0
    assert "the curves are not drawn" in capsys.readouterr().out
    assert "abacus" in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_a_line_that_was_cut_off_harms_no_other(tmp_path):
    held = Records(tmp_path / "deep" / "cells.jsonl")
    held.add({"key": "a", "failed": []})
    with held.path.open("a", encoding="utf-8") as stream:
        stream.write('{"key": "b", "fai')
    held.add({"key": "c", "failed": ["so"]})
    held.add({"key": "d", "failed": []})
    assert [one["key"] for one in held.all()] == ["a", "c", "d"]
    assert held.done() == {"a", "d"}


def test_the_newest_of_each_cell_and_machine_counts(tmp_path):
    held = Records(tmp_path / "cells.jsonl")
    first, other = cell("x"), replace(cell("x"), name="other")
    held.add(record({"number": 1}, first))
    held.add(record({"number": 2}, other))
    held.add(record({"number": 3}, first))
    elsewhere = record({"number": 4}, first)
    elsewhere["about"] = {**elsewhere["about"], "machine": {**elsewhere["about"]["machine"], "name": "slide rule"}}
    held.add(elsewhere)
    assert sorted(one["number"] for one in held.newest()) == [2, 3, 4]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_parts_hold_what_is_promised(device):
    known = parts(device)
    cells = [one for part in known.values() for one in part.cells]
    assert len({one.name for one in cells}) == len(cells)
    assert all(part.cells and 0 < part.minutes <= 8 for part in known.values())
    contests = [one for one in cells if isinstance(one, Cell)]
    assert {one.curve for one in contests} == {None, "runs", "length", "rows", "languages"}
    assert {one.shape for one in contests} == {"small", "large", "grouped", "alibi", "windowed"}
    grid = {
        (one.shape, one.method, one.batch): one.contestants
        for part in known.values()
        for one in part.cells
        if part.name != "adapters" and isinstance(one, Cell) and not one.curve
    }
    for method in ("deep-prompt", "soft-prompt"):
        for batch in (8, 32):
            names = grid["small", method, batch]
            assert {"isogloss K=1", "isogloss K=8", "isogloss K=32"} <= set(names)
            plain = {"usual", "dynamic", "expert"}
            assert plain | {f"{name}, no dropout" for name in plain} <= set(names)
    assert {"bf16", "isogloss K=1, no dropout"} <= set(grid["small", "fine-tuning", 32])
    if device == "cuda":
        both = {(method, batch) for shape, method, batch in grid if shape == "large"}
        assert {(m, b) for m in ("deep-prompt", "soft-prompt") for b in (8, 32)} | {("lora", 32)} < both
        assert {f"isogloss K={k}" for k in (1, 2, 4, 8, 16, 32)} <= set(grid["large", "deep-prompt", 32])
    less = [quick(part) for part in known.values()]
    assert all(one.rounds == 1 and one.train <= 8 for part in less for one in part.cells if isinstance(one, Cell))


def test_parts_are_listed():
    lines = listed().splitlines()[1:]
    assert {line.split()[0] for line in lines} == set(parts("cpu")) | set(parts("cuda"))
    assert all(len(line.split()[1]) <= 3 for line in lines)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--part", "smal-lora"], "known: small-deep-prompt"),
        (["--data", "nowhere"], "no eng_Latn/train.tsv"),
        *([] if torch.cuda.is_available() else [(["--device", "cuda"], "no GPU")]),
    ],
)
def test_what_is_not_there_is_said_in_a_line(given, said, capsys, tmp_path):
    assert main(["--out", str(tmp_path), *given]) == 2
    assert said in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_part_that_needs_what_is_not_here_is_left_out(tmp_path, capsys):
    ground = Ground(torch.device("cpu"), Source(), tmp_path, quick=True)
    measuring = suite.Suite(ground, tmp_path / "out", Console(soft_wrap=True), minutes=1)
    never = Program("never", "demo", {})
    measuring.measure([Part("a", "", (never,), 1, needs=("no_such",)), Part("b", "", (never,), 1, needs=("adapters",))])
    said = capsys.readouterr().out
    assert "a: left out; no_such is not here, in a clone of isogloss: pip install" in said
    assert "b: left out; adapters is not here, python -m benchmarks.adapters_environment" in said
    assert not measuring.failed
    assert not (tmp_path / "out").exists()


def test_what_bears_on_a_measurement_decides_whether_it_is_done_again(tmp_path):
    library, folder = tmp_path / "library", tmp_path / "suite"
    for path in (library / "training", folder / "contestants"):
        path.mkdir(parents=True)
    files = {
        library / "training" / "loop.py": True, folder / "contest.py": True, folder / "contestants" / "peft.py": True,
        folder / "table.py": False, folder / "parts.py": False,
    }  # fmt: skip
    for path in files:
        path.write_text("1", encoding="utf-8")
    for path, bears in files.items():
        before = records.sources(library, folder)
        assert before == records.sources(library, folder)
        path.write_text("2", encoding="utf-8")
        assert (records.sources(library, folder) != before) == bears
    patterns = [list(records.SUITE.glob(pattern)) for pattern in records.MEASURING]
    assert all(patterns)


def test_where_the_rival_that_a_part_is_for_fails_it_is_measured_again(tmp_path, monkeypatch):
    rival = {"adapters": {"failed": "no"}, "expert": {"failed": "no"}}
    for name, fails in (("adapters", True), ("expert", False)):
        monkeypatch.setattr(
            suite, "contest", lambda *_, name=name, **__: {"contestants": {name: rival[name]}, "peak": {}}
        )
        ground = Ground(torch.device("cpu"), Source(), tmp_path, quick=True, adapters=Path(sys.executable))
        measuring = suite.Suite(ground, tmp_path / name, Console(), minutes=1)
        measuring.measure([Part("a", "", (cell("isogloss K=1"),), 1, needs=("adapters",))])
        assert measuring.failed == fails


def test_a_program_has_its_time_its_memory_and_its_end(tmp_path):
    hungry = [sys.executable, "-c", "x = bytearray(300_000_000); x[::4096] = x[::4096]; print('done')"]
    done = programs._measured(hungry, tmp_path, FAR, {})
    assert 0.3 < done["memory"] < 0.6
    assert done["said"] == "done\n"
    began = time.monotonic()
    late = programs._measured([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, began + 0.3, {})
    assert "stopped" in late["failed"]
    assert time.monotonic() - began < 30
    assert "ZeroDivisionError" in programs._measured([sys.executable, "-c", "1/0"], tmp_path, FAR, {})["failed"]


def test_busy_processes_are_there_as_long_as_they_should_be():
    with programs._busy(2) as others:
        assert [other.poll() for other in others] == [None, None]
    assert all(other.poll() is not None for other in others)


def test_curves_have_a_point_for_each_cell(tmp_path):
    def point(at, rate):
        which = replace(cell("isogloss K=1", "expert, no dropout"), name=f"c/{at}", curve="rows", at=at, test=at)
        did = {"runs": 1, EVALUATION: {"examples_per_second": [rate, 2 * rate, 3 * rate]}}
        return record({"contestants": {"isogloss K=1": did, "expert, no dropout": {"failed": "no"}}}, which)

    held = [point(100, 50.0), point(200, 50.0)]
    table = points(held, "rows")
    assert table["x"].to_list() == [100, 200]
    assert table["y"].to_list() == [1.0, 2.0]  # seconds
    assert table["high"].to_list() == [2.0, 4.0]
    assert set(table["method"]) == {"isogloss"}
    assert draw(held, tmp_path) == ["rows-cpu"]
    assert (tmp_path / "rows-cpu.png").read_bytes()[:4] == b"\x89PNG"
    assert "evaluation: seconds" in (tmp_path / "rows-cpu.svg").read_text(encoding="utf-8")


def test_a_curve_over_k_has_its_points_in_one_cell():
    which = replace(cell("isogloss K=1"), curve="runs", doing=(TRAINING,))
    did = {
        name: {"runs": runs, TRAINING: {"examples_per_second": [rate]}}
        for name, runs, rate in (("isogloss K=1", 1, 4.0), ("isogloss K=8", 8, 16.0), ("expert, no dropout", 1, 2.0))
    }
    table = points([record({"contestants": did}, which)], "runs")
    assert table.filter(method="isogloss").select("x", "y").rows() == [(1.0, 1000.0), (8.0, 250.0)]
    # A rival's runs learn one after the other.
    assert table.filter(method="expert, no dropout").select("x", "y").rows() == [(1.0, 2000.0), (8.0, 2000.0)]


def test_nothing_that_other_environments_use_needs_isogloss():
    folder = Path(suite.__file__).parent
    for name in ("shapes", "texts", "measure", "contestants/loop", "contestants/adapters_process"):
        lines = (folder / f"{name}.py").read_text(encoding="utf-8").splitlines()
        assert not [line for line in lines if line.startswith(("import isogloss", "from isogloss"))]
