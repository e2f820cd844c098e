"""Settings that a search chooses: by source development data alone, for a price, and as if the spec had named them."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

import isogloss
from isogloss.errors import IsoglossError
from isogloss.executors.serial import Serial
from isogloss.experiment.job import FailedJob, Job
from isogloss.experiment.search import search as searching
from isogloss.experiment.search.candidates import candidates
from isogloss.experiment.search.halving import FINALISTS, price, rungs
from isogloss.experiment.search.plan import planned, spaces
from isogloss.experiment.search.record import read, shown
from isogloss.experiment.search.space import space_of
from isogloss.experiment.search.tie import within_one_error
from isogloss.methods.registry import methods
from isogloss.runtime import yaml
from isogloss.spec import Spec
from models import checkpoint, sib200

ROOT = Path(__file__).parents[2]
AUTO = {"deep-prompt": {"search": {"lr": {"from": 1e-2, "to": 0.5}, "length": [2, 3]}, "epochs": 8, "batch_size": 8}}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    checkpoint(folder / "model")
    sib200(folder / "data")
    return folder


def spec(home, methods, data="data", **more):
    return Spec(
        name="small", backbone=str(home / "model"), task="sib200", data={"path": home / data}, methods=methods,
        dtype="float32", device="cpu", source="en", targets=["de"], **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(home):
    return isogloss.run(spec(home, AUTO), out=home / "run")


def same_cells(one, two):
    """Weights and predictions of two run directories' cells, stacked trainings being equal but for rounding."""
    for file in one.glob("weights/*/*/weights.safetensors"):
        tensors, others = load_file(file), load_file(two / file.relative_to(one))
        assert tensors.keys() == others.keys()
        for name, tensor in tensors.items():
            assert torch.equal(tensor, others[name]), name
    assert isogloss.open_run(one).predictions.equals(isogloss.open_run(two).predictions)


@settings(max_examples=200, deadline=None)
@given(count=st.integers(2, 256), budget=st.floats(1, 300), look=st.floats(0, 0.02), dear=st.floats(1, 2))
def test_halving_keeps_to_its_budget(count, budget, look, dear):
    try:
        climbed = rungs(count, budget, look, dear)
    except IsoglossError as error:
        needed = float(str(error).split("at least ")[1].split(",")[0])
        assert budget < needed
        assert rungs(count, needed, look, dear)
        return
    assert price(climbed, look, dear) <= budget + 1e-9
    assert climbed[0].count == count
    assert climbed[-1].share == 1
    counts, shares = zip(*((rung.count, rung.share) for rung in climbed), strict=True)
    assert list(counts) == sorted(counts, reverse=True)
    assert list(shares) == sorted(set(shares))
    if budget >= dear * (FINALISTS + 1 + 2 * count * (look + 0.01)):
        assert counts[-1] >= FINALISTS


@pytest.mark.parametrize("name", sorted(methods()))
def test_every_method_has_a_space_or_says_why_not(name):
    raw = {"path": "x"} if name == "checkpoint" else {}
    if name == "checkpoint":
        with pytest.raises(IsoglossError, match=r"methods\.one: a checkpoint is not trained here"):
            space_of("one", {"method": name, "search": "auto", **raw})
        return
    space = space_of("one", {"method": name, "search": "auto"})
    assert len(candidates(space)) == 16
    assert candidates(space) == candidates(space_of("one", {"method": name, "search": {"budget": 4}}))
    fixed = next(iter(space.tried))
    if len(space.tried) > 1:
        values = space.tried[fixed]
        value = values[0] if isinstance(values, list) else values.least
        assert fixed not in space_of("one", {"method": name, "search": "auto", fixed: value}).tried


def test_lists_are_tried_whole_and_intervals_in_every_part():
    lists = {"lr": [1e-3, 1e-2, 1e-1], "length": [4, 16]}
    assert len(candidates(space_of("one", {"method": "deep-prompt", "search": lists}))) == 6
    both = {"lr": {"from": 1e-4, "to": 1e-0}, "length": [4, 16], "budget": 2}
    made = candidates(space_of("one", {"method": "deep-prompt", "search": both}))
    assert sorted(one["length"] for one in made) == [4] * 4 + [16] * 4
    assert sorted(int(2 * (np.log10(one["lr"]) + 4)) for one in made) == list(range(8))


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"search": 5}, "search is 5; expected auto, or"), ({"search": {"lr": 3}}, "lr is 3; expected a list"),
        ({"search": {"lr": []}}, "expected a list"), ({"search": {"lr": [0.1]}}, "has one candidate"),
        ({"search": {"lr": [0.1, 0.1]}}, "names a value twice"), ({"search": {"lr": [0.1, -1]}}, "greater than 0"),
        ({"search": {"lr": {"from": 1, "to": 0.1}}}, "expected it to rise"),
        ({"search": {"lr": {"from": 1}}}, "expected an interval such as"),
        ({"search": {"rate": [1, 2]}}, "unknown key 'rate'"), ({"search": {"budget": True}}, "budget is True"),
        ({"search": "auto", "lr": [1, 2]}, "inside `search`"),
        ({"search": {"lr": [1, 2]}, "lr": 1}, "expected it once"),
        ({"policies": "auto"}, "no `policies` of deep-prompt"),
        ({"method": "slow-fast", "policies": "auto", "search": "auto"}, "expected one of them"),
        ({"method": "slow-fast", "policies": "auto", "drift": 1}, "sets drift"),
        ({"method": "slow-fast", "policies": "D"}, "policies is 'D'; expected auto"),
        ({"search": {"lr": [0.1, 0.2], "budget": 10**400}}, "1 to 1,000,000"),
        ({"search": {"lr": {"from": 0.1, "to": 1}, "budget": 1e308}}, "1 to 1,000,000"),
        ({"search": {"length": {"from": 1.5, "to": 4}}}, "whole number"),
        ({"search": {"lr": [i / 1000 for i in range(1, 300)]}}, "299 combinations"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_said_in_a_line(home, tmp_path, raw, told):
    with pytest.raises(IsoglossError) as error:
        isogloss.run(spec(home, {"one": {"method": "deep-prompt", **raw}}), out=tmp_path / "run")
    assert str(error.value).startswith("methods.one")
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_an_interval_of_whole_numbers_has_whole_ones_and_none_leaves_its_bounds():
    made = candidates(space_of("one", {"method": "deep-prompt", "search": {"length": {"from": 2, "to": 64}}}))
    assert all(isinstance(one["length"], int) and 2 <= one["length"] <= 64 for one in made)
    assert len(made) > 8
    narrow = {"warmup": {"from": 0.951, "to": 0.999}, "budget": 20}
    assert all(0.951 <= one["warmup"] <= 0.999 for one in candidates(space_of("lora", {"search": narrow})))


def test_a_search_of_a_preset_can_be_switched_off(home):
    off = spec(home, {"one": {"method": "slow-fast", "policies": False, "search": False, "lr": 1e-4}})
    assert off.methods == {"one": {"method": "slow-fast", "lr": 1e-4}}
    assert spaces(off) == {}


def test_the_rate_of_a_head_that_learns_nothing_is_not_searched():
    words = {"method": "soft-prompt", "head": "verbalizer", "length": 4, "search": "auto"}
    assert set(space_of("one", words).tried) == {"lr"}
    assert set(space_of("one", {**words, "head": "linear"}).tried) == {"lr", "head_lr"}


def test_mistakes_of_other_methods_are_told_before_a_search(home, tmp_path, monkeypatch):
    monkeypatch.setattr(searching.Search, "_train", None)
    for other in (
        {"lora": {"rnk": 3}},
        {"lora": {"seeds": [1, 1]}},
        {"lora": {"head": "verbalizer", "search": "auto"}},
    ):
        with pytest.raises(IsoglossError, match=r"methods\.lora"):
            isogloss.run(spec(home, {**AUTO, **other}), out=tmp_path / "run")


def test_other_data_is_refused_before_a_search(run, home, tmp_path):
    copied = shutil.copytree(run.path, tmp_path / "run")
    data = shutil.copytree(home / "data", tmp_path / "data")
    file = data / "eng_Latn" / "train.tsv"
    table = pl.read_csv(file, separator="\t", quote_char=None)
    table.with_columns(pl.col("text").reverse()).write_csv(file, separator="\t", quote_style="never")
    with pytest.raises(IsoglossError, match=r"made differently \(train: "):  # that search is stale, this one not begun
        isogloss.run(spec(home, {"linear-probe": {"search": "auto"}, **AUTO}, data=data), out=copied)
    shutil.rmtree(copied / "search")
    with pytest.raises(IsoglossError, match=r"made differently \(train: "):
        isogloss.run(spec(home, {"linear-probe": {"search": "auto"}}, data=data), out=copied)
    assert not list(copied.glob("search/*/search.json"))


def test_where_a_look_is_dear_fewer_points_are_tried_and_lists_are_refused(home, tmp_path):
    """A training of one epoch over few examples costs hardly more than to look at it."""
    short = {"epochs": 1, "batch_size": 8}
    done = isogloss.run(
        spec(home, {"deep-prompt": {"search": {"lr": {"from": 0.01, "to": 0.1}, "budget": 2}, **short}}),
        out=tmp_path / "run",
    )
    record = read(done.path, "deep-prompt")
    assert 2 <= len(record.candidates) < 8
    assert record.cost <= 2 + 1e-9
    total = max(pause.step for pause in record.pauses)  # whole updates are told, and paid for
    whole = {pause.candidate: pause.step / total for pause in record.pauses}
    assert record.cost >= sum(whole.values())
    lists = {"lr": [0.01, 0.02, 0.04, 0.08, 0.1, 0.2], "budget": 1}
    with pytest.raises(IsoglossError, match="budget is 1, for 6 candidates; expected at least") as error:
        isogloss.run(spec(home, {"deep-prompt": {"search": lists, **short}}), out=tmp_path / "lists")
    needed = float(str(error.value).split("at least ")[1].split(",")[0])
    enough = {"deep-prompt": {"search": {**lists, "budget": needed}, **short}}
    isogloss.run(spec(home, enough), out=tmp_path / "lists")
    assert read(tmp_path / "lists", "deep-prompt").cost <= needed + 1e-9


def test_a_plan_says_what_is_sure(home, tmp_path):
    lists = {"lora": {"search": {"lr": [0.01, 0.02]}}}
    said = [str(one) for one in planned(spec(home, {**AUTO, **lists}), tmp_path)]
    assert said[0].startswith("deep-prompt: at most 16 candidates in lr, length, for the price of at most 4 trainings;")
    assert said[1].startswith("lora: 2 candidates in lr, for the price of at most 2 trainings;")


def test_heads_alone_share_their_states_and_the_price(home, tmp_path):
    raw = {"linear-probe": {"search": "auto", "epochs": 2}}
    done = isogloss.run(spec(home, raw), out=tmp_path / "run")
    record = read(done.path, "linear-probe")
    assert record.rungs == [(16, 1.0)]
    assert record.cost == pytest.approx(1)


def test_a_candidate_that_fails_takes_no_other_with_it(home, tmp_path):
    raw = {"fine-tuning": {"search": {"lr": [1e-4, 1e-3, 1e-2], "budget": 3}, "epochs": 1}}
    failing = [True]

    class Failing:
        name = "failing"

        def carry_out(self, jobs, workspace):
            for outcome in Serial().carry_out(jobs, workspace):
                if failing:
                    failing.clear()
                    job = Job(None, (outcome.cell,), ({},), 0.0)
                    yield FailedJob(job, IsoglossError("no room"), "what it said elsewhere")
                else:
                    yield outcome

    one = spec(home, raw)
    with pytest.raises(IsoglossError, match=r"^no room \(1 of 3 jobs failed"):
        searching.searched(one, tmp_path / "run", Failing())
    (log,) = (tmp_path / "run" / "logs").iterdir()
    assert log.read_text() == "what it said elsewhere\n"
    assert len(read(tmp_path / "run", "fine-tuning").pauses) == 2
    assert searching.searched(one, tmp_path / "run", Failing()).methods["fine-tuning"].keys() == {"epochs", "lr"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: kept["candidates"].__setitem__(0, {"lr": 0.1, "length": 2, "method": "checkpoint", "path": "/x"}),
        lambda kept: kept["candidates"].__setitem__(0, {"lr": 3.0, "length": 2}),
        lambda kept: kept["candidates"].__setitem__(0, {"lr": "0.1", "length": 2}),
        lambda kept: kept["candidates"].__setitem__(0, {"lr\x1b[31m": 0.1, "length": 2}),
        lambda kept: kept["asked"].__setitem__("fixed", 5), lambda kept: kept.__setitem__("tied", [-1]),
        lambda kept: kept.__setitem__("rungs", []), lambda kept: kept.__setitem__("rungs", [[3, 0.5]]),
        lambda kept: kept["pauses"].append(kept["pauses"][0]), lambda kept: kept.__setitem__("chosen", 10**400),
        lambda kept: kept["pauses"][0].__setitem__("score", "nan"), lambda kept: kept.__setitem__("facts", []),
    ],
)  # fmt: skip
def test_a_record_that_is_none_of_its_own_is_refused_in_a_line(run, home, tmp_path, damage):
    copied = shutil.copytree(run.path, tmp_path / "run")
    file = copied / "search" / "deep-prompt" / "search.json"
    kept = json.loads(file.read_text())
    damage(kept)
    file.write_text(json.dumps(kept))
    with pytest.raises(IsoglossError, match="search anew") as error:
        isogloss.run(spec(home, AUTO), out=copied)
    assert str(error.value).isprintable()


def test_what_is_pasted_is_what_was_chosen():
    for value in (0.00123456789, 1e-5, 3, "best", "true", "no", True, None, {"mean": 0.5}, [1, 2], "a b"):
        assert yaml.loads(f"x: {{y: {shown(value)}}}")["x"]["y"] == value


def test_the_chosen_candidate_is_a_run_with_these_settings(run, home, tmp_path):
    record = read(run.path, "deep-prompt")
    assert record.cost <= 4 + 1e-9
    assert len(record.of_rung(len(record.rungs) - 1)) == FINALISTS
    named = {"epochs": 8, "batch_size": 8, **record.candidates[record.chosen]}
    stored = yaml.load(run.path / "spec.yaml")["methods"]["deep-prompt"]
    assert {key: stored[key] for key in named} == named
    assert "search" not in stored
    alone = isogloss.run(spec(home, {"deep-prompt": named}), out=tmp_path / "alone")
    same_cells(run.path, alone.path)
    assert not (run.path / "search" / "deep-prompt" / "checkpoints").exists()


def test_halving_trains_survivors_as_if_alone(run, home, tmp_path):
    """Of each that came to its end: the score that a whole training by itself ends with."""
    record = read(run.path, "deep-prompt")
    for candidate, pause in record.of_rung(len(record.rungs) - 1).items():
        named = {"epochs": 8, "batch_size": 8, **record.candidates[candidate], "seeds": [searching.SEED]}
        alone = isogloss.run(spec(home, {"deep-prompt": named}), out=tmp_path / str(candidate))
        assert alone.scores.filter(split="dev")["value"].to_list() == [pytest.approx(pause.score, abs=1e-6)]


def test_it_is_found_again_and_another_one_is_refused(run, home, tmp_path, monkeypatch, capsys):
    copied = shutil.copytree(run.path, tmp_path / "run")
    monkeypatch.setattr(searching.Search, "_train", None)
    isogloss.run(spec(home, AUTO), out=copied)
    assert "chosen from 16 candidates for the price of" in capsys.readouterr().err
    other = {"deep-prompt": {**AUTO["deep-prompt"], "search": {"lr": [0.1, 0.2]}}}
    with pytest.raises(IsoglossError, match=r"holds another search \(tried\.length"):
        isogloss.run(spec(home, other), out=copied)
    (copied / "search" / "deep-prompt" / "search.json").write_text('{"chosen": 99}')
    with pytest.raises(IsoglossError, match="search anew, delete the folder"):
        isogloss.run(spec(home, AUTO), out=copied)


def test_target_labels_change_nothing(run, home, tmp_path):
    shutil.copytree(home / "data", home / "permuted", dirs_exist_ok=True)
    file = next((home / "permuted").glob("deu_Latn/test.tsv"))
    table = pl.read_csv(file, separator="\t", quote_char=None)
    table.with_columns(pl.col("category").reverse()).write_csv(file, separator="\t", quote_style="never")
    other = isogloss.run(spec(home, AUTO, data="permuted"), out=tmp_path / "run")
    one, two = read(run.path, "deep-prompt"), read(other.path, "deep-prompt")
    assert (one.chosen, one.tied) == (two.chosen, two.tied)
    assert [pause.score for pause in one.pauses] == [pause.score for pause in two.pauses]


def test_what_was_chosen_on_other_data_is_not_used(run, home, tmp_path):
    data = shutil.copytree(home / "data", tmp_path / "data")
    copied = shutil.copytree(run.path, tmp_path / "run")
    shutil.rmtree(copied / "weights")
    file = data / "eng_Latn" / "train.tsv"
    table = pl.read_csv(file, separator="\t", quote_char=None)
    table.with_columns(pl.col("text").reverse()).write_csv(file, separator="\t", quote_style="never")
    with pytest.raises(IsoglossError, match=r"holds a search that was made differently \(train: .*delete that folder"):
        isogloss.run(spec(home, AUTO, data=data), out=copied)


@pytest.mark.parametrize("after", [1, 18])
def test_a_search_that_was_cut_off_goes_on(run, home, tmp_path, monkeypatch, after):
    told, write = [], searching.records.write

    def cut_off(*given):
        write(*given)
        told.append(given)
        if len(told) == after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(searching.records, "write", cut_off)
        with pytest.raises(KeyboardInterrupt):
            isogloss.run(spec(home, AUTO), out=tmp_path / "run")
    begun = read(tmp_path / "run", "deep-prompt")
    assert begun.chosen is None
    again = isogloss.run(spec(home, AUTO), out=tmp_path / "run")
    one, two = read(run.path, "deep-prompt"), read(again.path, "deep-prompt")
    assert (one.chosen, one.tied, one.cost) == (two.chosen, two.tied, two.cost)
    same_cells(run.path, again.path)


def test_policies_are_chosen_by_their_own_order(home, tmp_path, monkeypatch):
    """All three are trained to their end, averaged; of those that are as good the slowest is taken."""
    raw = {"slow-fast": {"policies": "auto", "average": 2, "lr": 1e-3}}
    forms = {name: {**form, "epochs": 1} for name, form in methods()["slow-fast"].settings.FORMS.items()}
    monkeypatch.setattr(methods()["slow-fast"].settings, "FORMS", forms)
    done = isogloss.run(spec(home, raw), out=tmp_path / "run")
    record = read(done.path, "slow-fast")
    assert record.rungs == [(3, 1.0)]
    assert record.chosen == min(record.tied)
    facts = json.loads((done.path / "weights" / "slow-fast" / "0" / "run.json").read_text())["facts"]["settings"]
    assert facts["average"] == 2
    chosen = record.candidates[record.chosen]
    assert {key: facts[key] for key in chosen} == chosen


@pytest.mark.parametrize("near", [True, False])
def test_of_a_tie_the_cheaper_wins_and_else_the_best(home, tmp_path, monkeypatch, near):
    """Both train to their end; that the shorter prompt is the worse one is made sure of."""
    monkeypatch.setattr(searching, "within_one_error", lambda answers, *_, **__: [near] * len(answers))
    paused, looked_at = [0.4, 0.5], searching.Pause
    monkeypatch.setattr(
        searching, "Pause", lambda **given: looked_at(**{**given, "score": paused[given["candidate"]]})
    )  # fmt: skip
    raw = {"deep-prompt": {"search": {"length": [2, 3], "budget": 2}, "epochs": 1, "batch_size": 8}}
    done = isogloss.run(spec(home, raw), out=tmp_path / "run")
    assert read(done.path, "deep-prompt").chosen == (0 if near else 1)


def test_no_test_split_is_encoded(home, tmp_path, monkeypatch):
    from isogloss.experiment.encoded import EncodedData

    def refuse(_self):
        raise AssertionError("a test split was encoded")

    made = searching.Search(
        spec(home, AUTO), space := space_of("deep-prompt", AUTO["deep-prompt"]), candidates(space), tmp_path / "run",
        Serial(),
    )  # fmt: skip
    monkeypatch.setattr(EncodedData, "test", property(refuse))
    assert set(made.chosen()) == {"lr", "length"}


def test_a_tie_is_within_one_error_of_the_difference():
    gold = ["a", "b"] * 50
    right, one_off, worse = list(gold), ["b", *gold[1:]], ["b" if n % 3 else said for n, said in enumerate(gold)]
    asked = {"kind": "classification", "metric": "accuracy", "language": "eng-Latn"}
    assert within_one_error([right, one_off, worse], gold, **asked) == [True, True, False]
    assert within_one_error([right, right], gold, **asked) == [True, True]
    tags = ["B-PER I-PER O", "O O B-LOC"] * 20
    said = [*tags[:-4], *["O O O"] * 4]
    assert within_one_error([tags, said], tags, kind="tagging", metric="span-f1", language="eng-Latn") == [True, False]


def test_the_report_has_the_candidates_and_the_line_to_paste(run, tmp_path):
    page = isogloss.report(shutil.copytree(run.path, tmp_path / "run")).read_text(encoding="utf-8")
    record = read(run.path, "deep-prompt")
    assert f"chosen from 16 candidates for the price of {record.cost:.1f} runs" in page
    assert "To paste: deep-prompt: {method: deep-prompt, epochs: 8, batch_size: 8, lr: " in page
    assert page.count("of the updates") >= len(record.rungs)


def test_the_page_names_the_spaces_as_they_are():
    page = (ROOT / "docs" / "how-to" / "choose-settings.md").read_text(encoding="utf-8")
    for name, method in methods().items():
        if not (space := method.settings.SEARCHED):
            continue
        spaces = page[page.index("## The spaces of `auto`") :]
        (line,) = [line for line in spaces.splitlines() if line.startswith(f"| `{name}` |")]
        for key, values in space.items():
            written = ", ".join(map(str, values)) if isinstance(values, list) else r"(\S+) to ([^\s,]+)"
            (found,) = re.finditer(rf"`{key}` {written}", line)
            if not isinstance(values, list):
                assert [float(bound) for bound in found.groups()] == [values["from"], values["to"]]
