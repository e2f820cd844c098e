"""Rates by place, phase, policy and onset."""

import numpy as np
import pytest
import torch

from isogloss.analysis.dynamics import gap_curve, onset, onsets
from isogloss.backbones.anatomy import Place, place
from isogloss.checkpoint import Checkpoints
from isogloss.errors import IsoglossError
from isogloss.methods import find
from isogloss.methods.slow_fast import pace
from isogloss.observing import interval, spread
from isogloss.onset import Trend
from isogloss.rates import Progress, RateTable
from isogloss.runs import Stack, new_run
from isogloss.spec import check
from isogloss.tokenising import tokenise
from isogloss.train import train
from models import WORDS, backbone, lane

TEXTS = [" ".join(WORDS[(3 * i + j * j) % len(WORDS)] for j in range(2 + i % 5)) for i in range(20)]
GOLD = [i % 3 for i in range(20)]


def test_a_table_multiplies_by_place_and_phase():
    table = RateTable({"layers.0-1": [0.0, 0.5], "norms": 2.0}, [0.25])
    assert table.factors(Place(0, "norms")) == (0, 1.0)
    assert table.factors(Place(2, "norms")) == (2.0, 2.0)
    factor = table.factor(Place(1, "query-key"))
    assert [factor(Progress(share, None)) for share in (0, 0.24, 0.25, 0.99)] == [0, 0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rates": {"nothing": 1}}, "names no weights"),
        ({"rates": {"layers": [1, 2]}}, "has 2 factors, expected 1"),
        ({"phases": [0.5, 0.5]}, "have to rise"),
        ({"rates": {"layers": -1}}, "greater than or equal to 0"),
    ],
)
def test_a_wrong_table_is_refused(settings, message):
    with pytest.raises(IsoglossError, match=message):
        check(find("fine-tuning").settings, settings, where="methods.fine-tuning")


def tuned(tmp_path, name="fine-tuning", epochs=2, **settings):
    model = backbone(tmp_path)
    method, own = find(name), model.copy()
    common = {"epochs": epochs, "batch_size": 5, "dropout": 0.0, "backbone_dropout": 0.0, "lr": 1e-3, "warmup": 0.0}
    run = new_run(method, own, method.settings(**common | settings), seed=0, classes=3)
    before = {key: tensor.clone() for key, tensor in own.model.state_dict().items()}
    one = lane(run, tokenise((TEXTS,), GOLD, model.tokenizer))
    train(Stack(own, method, [run]), [one], budget=60, eval_budget=60, source="eng-Latn")
    moved = {key: float((tensor - before[key]).abs().max()) for key, tensor in own.model.state_dict().items()}
    return one, moved, method.stored(run.part)


def test_what_has_no_rate_does_not_move_and_is_not_stored(tmp_path):
    _, moved, stored = tuned(tmp_path, rates={"embeddings": 0, "layers.0-1": 0, "layers.2.norms": 0})
    for name, distance in moved.items():
        where = place(name)
        learns = where.layer == 2 and where.kind != "norms"
        assert (distance > 0) == learns, name
        assert (name in stored) == learns


def test_layers_decay_and_unfreeze_from_the_top(tmp_path):
    one, _, _ = tuned(tmp_path, layer_decay=0.5)
    peaks = {group["peak"] for group in one.optimizer.param_groups}
    assert peaks == {1e-3, one.run.settings.head_lr}
    seen = sorted({group["factor"](Progress(0, None)) for group in one.optimizer.param_groups})
    assert seen == [0.125, 0.25, 0.5, 1.0]  # embeddings, layers 0 to 2, and the head
    one, _, _ = tuned(tmp_path / "b", unfreeze=0.9)
    early = sum(group["factor"](Progress(0.05, None)) > 0 for group in one.optimizer.param_groups)
    late = sum(group["factor"](Progress(0.95, None)) > 0 for group in one.optimizer.param_groups)
    assert 0 < early < late == len(one.optimizer.param_groups)


def test_l2_sp_pulls_back(tmp_path):
    _, free, _ = tuned(tmp_path, epochs=6)
    _, held, _ = tuned(tmp_path / "b", epochs=6, l2_sp=100.0)
    assert sum(held.values()) < 0.5 * sum(free.values())


def test_a_tuned_embedding_is_a_table_of_rates_too(tmp_path):
    _, moved, stored = tuned(tmp_path, embeddings=True, rates={"layers": 0})
    assert moved["embeddings.word_embeddings.weight"] > 0
    assert all(name.startswith("embeddings") for name in stored)


def test_the_mean_of_all_epochs_is_kept_and_scored(tmp_path):
    states = []
    model = backbone(tmp_path)
    method = find("soft-prompt")
    settings = method.settings(epochs=3, batch_size=5, length=3, select="mean", lr=1e-1)
    run = new_run(method, model, settings, seed=0, classes=3)
    one = lane(run, tokenise((TEXTS,), GOLD, model.tokenizer))
    keep = one.keep
    one.keep = lambda *given: (states.append(run.state()), keep(*given))
    train(Stack(model, method, [run]), [one], budget=60, eval_budget=60, source="eng-Latn")
    expected = {name: torch.stack([state[name] for state in states[:3]]).mean(0) for name in states[0]}
    for name, tensor in run.state().items():
        torch.testing.assert_close(tensor, expected[name])
    assert len(states) == 4  # the mean itself was scored last
    assert one.best_epoch == 3


@pytest.mark.parametrize("policy", ["slow_time", "slow_place", "fast_place", "fast_time"])
def test_each_policy_is_a_switch_of_its_own(policy):
    off = dict.fromkeys(("slow_time", "slow_place", "fast_place", "fast_time"), False)
    settings = find("slow-fast").settings(**off | {policy: True})
    places = [Place(None, "embeddings"), *(Place(layer, "norms") for layer in range(12))]
    moments = [Progress(share, onset) for share in (0.0, 0.2, 0.9) for onset in (None, 0.1)]
    none = find("slow-fast").settings(**off)
    assert all(pace(where, moment, none, 12) == 1 for where in places for moment in moments)
    changed = {(where, moment) for where in places for moment in moments if pace(where, moment, settings, 12) != 1}
    assert changed == {
        (where, moment)
        for where in places
        for moment in moments
        if {
            "slow_time": moment.onset is not None,
            "slow_place": where.layer is None or where.layer < 6,
            "fast_place": where.layer is not None and where.layer >= 9,
            "fast_time": moment.share < 0.4,
        }[policy]
    }


def test_without_its_policies_slow_and_fast_is_fine_tuning(tmp_path):
    off = dict.fromkeys(("slow_time", "slow_place", "fast_place", "fast_time"), False)
    _, _, plain = tuned(tmp_path)
    _, _, same = tuned(tmp_path / "b", "slow-fast", **off)
    assert plain.keys() == same.keys()
    for name, tensor in plain.items():
        assert same[name].equal(tensor), name
    _, moved, stored = tuned(tmp_path / "c", "slow-fast")
    assert {place(name).layer for name in stored} == {2}
    assert moved["embeddings.LayerNorm.weight"] == 0


def test_the_source_is_learnt_when_its_loss_has_fallen_by_half():
    trend = Trend()
    losses = [2.0] * 20 + [0.5] * 80
    for step, loss in enumerate(losses):
        trend.see(loss, step, 100)
    assert trend.onset is not None
    assert 0.2 < trend.onset < 0.3
    flat = Trend()
    for step in range(100):
        flat.see(2.0, step, 100)
    assert flat.onset is None


def test_samples_are_evenly_spread():
    assert spread(10, 3).tolist() == [0, 4, 9]
    assert spread(3, 8).tolist() == [0, 1, 2]
    assert interval(5000, None) == 100
    assert interval(150, None) == 6
    assert interval(150, 40) == 40


def test_an_onset_is_found_where_the_gap_begins_to_grow():
    generator = np.random.default_rng(0)
    steps = list(range(10, 260, 10))
    gap = np.where(np.arange(25) < 12, 0.1, 0.1 + 0.01 * (np.arange(25) - 11))
    found = onset(gap + generator.normal(0, 0.002, (5, 25)), steps)
    assert found.step in {130, 140}
    assert found.lowest <= 120
    assert found.growth == pytest.approx(0.13, abs=0.01)
    assert onset(gap[None], steps).step is None
    quiet = onset(0.1 + generator.normal(0, 0.01, (5, 25)), steps)
    assert quiet.step is None or quiet.step >= 240


def test_the_gap_curve_is_made_of_what_looking_on_wrote():
    import polars as pl

    rows = []
    for seed in (0, 1):
        for step in (10, 20):
            rows += [
                {"method": "a", "seed": seed, "step": step, "epoch": 1.0, "metric": "f1", "loss": None,
                 "language": code, "value": value}
                for code, value in (("eng-Latn", 0.9), ("deu-Latn", 0.5), ("fra-Latn", 0.7 - step / 100))
            ]  # fmt: skip
        rows.append(
            {"method": "a", "seed": seed, "step": 20, "epoch": 1.0, "metric": "f1", "loss": 0.3, "language": "eng-Latn",
             "value": 0.2}
        )  # fmt: skip
    curve = gap_curve(pl.DataFrame(rows), "eng-Latn")
    assert curve["gap"].to_list() == pytest.approx([0.35, 0.4, 0.35, 0.4])
    assert curve["targets"].to_list() == [2, 2, 2, 2]
    assert onsets(curve)["seeds"].to_list() == [2]


@pytest.mark.parametrize(
    "settings", [{}, {"unfreeze": 0.8, "layer_decay": 0.7, "rates": {"norms": [1, 0]}, "phases": [0.5]}]
)
def test_stopping_in_the_middle_of_a_schedule_changes_nothing(tmp_path, settings):
    model = backbone(tmp_path)
    features = tokenise((TEXTS,), GOLD, model.tokenizer)
    method = find("slow-fast")
    common = {"epochs": 4, "batch_size": 5, "lr": 1e-3, "slow_place": False}

    def start():
        own = model.copy()
        run = new_run(method, own, method.settings(**common | settings), seed=0, classes=3)
        one = lane(run, features)
        one.trend.onset = 0.3  # as if the source were learnt soon
        return Stack(own, method, [run]), one

    stack, whole = start()
    train(stack, [whole], budget=60, eval_budget=60, source="eng-Latn")
    for steps in (5, 9):  # in the burst, and behind the onset
        stack, first = start()
        kept = Checkpoints([tmp_path / f"{steps}.safetensors"], ["same"], minutes=9.0)

        def stop(_tokens, _updates, first=first, kept=kept, steps=steps):
            if first.step == steps:
                kept.save([first])
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(stack, [first], budget=60, eval_budget=60, source="eng-Latn", after_update=stop)
        stack, second = start()
        second.trend = Trend()
        kept.load([second])
        assert (second.step, second.trend) == (steps, first.trend)
        train(stack, [second], budget=60, eval_budget=60, source="eng-Latn")
        for name, tensor in whole.run.state().items():
            assert second.run.state()[name].equal(tensor), name
