"""Whoever takes part in a contest does what it is said to do, on tiny models."""

import importlib.util
from itertools import pairwise

import pytest
import torch

from benchmarks.contestants.contestant import Match
from benchmarks.contestants.entrants import Entrants
from benchmarks.contestants.isogloss import Isogloss
from benchmarks.contestants.loop import Loop, Way, fastest, ways
from benchmarks.shapes import SHAPES, checkpoint, tiny
from benchmarks.texts import Source, like_lengths

METHODS = ("deep-prompt", "soft-prompt", "lora", "fine-tuning")
CPU = torch.device("cpu")
needs_peft = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: checkpoint(tiny(name), tmp_path_factory.mktemp(name)) for name in SHAPES}


@pytest.fixture
def match(folders):
    def made(shape="small", method="deep-prompt", train=8):
        texts = Source()
        return Match(tiny(shape), folders[shape], method, 4, texts.texts("train", train), texts.texts("test", 6), CPU)

    return made


def learnt(before, after):
    return [name for name, tensor in after.items() if not torch.equal(before[name], tensor)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", [pytest.param(name, marks=needs_peft if name == "lora" else ()) for name in METHODS])
def test_isogloss_trains_and_evaluates(match, shape, method):
    runs = 3 if "prompt" in method else 1
    one = Isogloss(match(shape, method), runs)
    before = [state.run.state() for state in one.train_states]
    assert one.train(2) > 0
    for state, start in zip(one.train_states, before, strict=True):
        assert state.step == 2
        assert {name.partition(".")[0] for name in learnt(start, state.run.state())} == {"part", "head"}
    scores = one.scores(one.test)
    assert [tuple(part.shape) for part in scores] == [(6, 7)]
    assert scores[0].isfinite().all()
    assert one.evaluate() > 0


@needs_peft
@pytest.mark.parametrize("method", ["lora", "fine-tuning"])
def test_dropout_inside_isoglosses_backbone_is_on_unless_it_is_turned_off(match, method):
    shares = {}
    for dropout in (True, False):
        one = Isogloss(match(method=method), dropout=dropout)
        modules = [part for part in one.stack.backbone.model.modules() if isinstance(part, torch.nn.Dropout)]
        shares[dropout] = {part.p for part in modules}
    assert max(shares[True]) > 0
    assert shares[False] == {0.0}


@needs_peft
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["usual", "dynamic", "bf16", "expert", "expert, no dropout"])
@pytest.mark.parametrize("shape", ["small", "alibi"])
@pytest.mark.filterwarnings("ignore")
def test_rivals_train_what_they_should(match, method, name, shape):
    one = Entrants(match(shape, method)).builders((name,))[name]()
    own = one.model.named_parameters()
    before = {key: weight.detach().clone() for key, weight in own}
    one.train(2)
    changed = set(learnt(before, dict(one.model.named_parameters())))
    frozen = {key for key, weight in one.model.named_parameters() if not weight.requires_grad}
    assert changed
    assert not changed & frozen
    assert bool(frozen) == (method != "fine-tuning" or name.startswith("expert"))
    assert all(weight.isfinite().all() for weight in one.model.parameters())
    assert one.evaluate() > 0


@needs_peft
@pytest.mark.filterwarnings("ignore")
def test_rivals_of_one_contest_share_what_stays_as_it_is(match):
    builders = Entrants(match()).builders(("usual", "dynamic", "dynamic, no dropout"))
    places = [
        {weight.data_ptr() for weight in build().model.parameters() if not weight.requires_grad}
        for build in builders.values()
    ]
    assert places[0] == places[1] == places[2]


@needs_peft
@pytest.mark.filterwarnings("ignore")
def test_the_usual_script_pads_to_a_fixed_length_and_the_others_do_not(match):
    seen = {}
    given = match()
    for name, build in Entrants(given).builders(("usual", "dynamic")).items():
        one = build()
        one.model.register_forward_pre_hook(
            lambda _, __, named, name=name: seen.setdefault(name, []).append(named["input_ids"].shape[1]),
            with_kwargs=True,
        )
        one.train(2)
    assert set(seen["usual"]) == {112}
    assert max(seen["dynamic"]) == max(given.train.lengths) < 112


@needs_peft
@pytest.mark.filterwarnings("ignore")
def test_no_dropout_is_none(match):
    builders = Entrants(match()).builders(("dynamic", "dynamic, no dropout"))
    shares = [
        {part.p for part in build().model.modules() if isinstance(part, torch.nn.Dropout)}
        for build in builders.values()
    ]
    assert max(shares[0]) == 0.1
    assert shares[1] == {0.0}


def test_the_expert_batches_texts_of_like_length_all_of_them_once():
    texts = Source().texts("train", 40)
    batches = like_lengths(texts, 8, shuffled=True)
    lengths = [batch["attention_mask"].sum(1) for batch in batches]
    assert sorted(torch.cat(lengths).tolist()) == sorted(texts.lengths)
    assert [int(own.max()) for own in lengths] == [batch["input_ids"].shape[1] for batch in batches]
    ranges = sorted((int(own.min()), int(own.max())) for own in lengths)
    assert all(one[1] <= other[0] for one, other in pairwise(ranges))


def test_float32_is_among_the_experts_ways_and_bf16_weights_are_no_way_to_fine_tune():
    assert {way.precision for way in ways("deep-prompt")} == {"weights", "autocast", "float32"}
    assert {way.precision for way in ways("fine-tuning")} == {"autocast", "float32"}
    assert {way.attention for way in ways("lora")} == {"sdpa", "eager"}


def test_the_trial_takes_the_fastest_way_and_passes_over_those_that_fail(match):
    given = match()
    times = {Way("float32", "sdpa"): 3.0, Way("float32", "eager"): 1.0, Way("autocast", "sdpa"): 2.0}
    times[Way("autocast", "eager")] = 90.0
    spent = []

    class Timed(Loop):
        def train(self, updates):
            spent.append(times[self.is_of] * updates)
            return spent[-1]

        def evaluate(self):
            return 1.0

    def build(way):
        if way not in times:
            raise ValueError("no such kernel")
        one = Timed(torch.nn.Linear(1, 1), way, given.train, given.test, batch=4, device=CPU)
        one.is_of = way
        return one

    found = fastest(build, ways("deep-prompt"))
    assert (found.way["precision"], found.way["attention"]) == ("float32", "eager")
    assert found.dtype == torch.float32
    assert sum(spent) < 2 * 90  # the hopeless one had its warm-up alone
    assert "no such kernel" in found.way["no way"]["weights + sdpa"]
    with pytest.raises(RuntimeError, match="no such kernel"):
        fastest(build, [Way("weights", "sdpa")])
