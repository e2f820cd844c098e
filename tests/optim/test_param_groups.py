"""Rates by place, phase and policy."""

import numpy as np
import pytest
import torch

from isogloss.errors import IsoglossError
from isogloss.methods.registry import find
from isogloss.optim.param_groups import RateTable
from isogloss.optim.weight_places import WeightPlace, WeightSelection, place
from isogloss.preprocessing.tokenize import tokenise
from isogloss.spec import check
from isogloss.training.checkpoint import Checkpoints
from isogloss.training.engine import Engine
from isogloss.training.loop import train
from isogloss.training.run import new_run
from isogloss.training.segments import segments
from isogloss.training.stack import Stack
from models import WORDS, backbone, train_state

TEXTS = [" ".join(WORDS[(3 * i + j * j) % len(WORDS)] for j in range(2 + i % 5)) for i in range(20)]
GOLD = [i % 3 for i in range(20)]


def test_a_table_multiplies_by_place_and_phase():
    table = RateTable({"layers.0-1": [0.0, 0.5], "norms": 2.0}, [0.25])
    assert table.factors(WeightPlace(0, "norms")) == (0, 1.0)
    assert table.factors(WeightPlace(2, "norms")) == (2.0, 2.0)
    factor = table.factor(WeightPlace(1, "query-key"))
    assert [factor(share) for share in (0, 0.24, 0.25, 0.99)] == [0, 0, 0.5, 0.5]


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
    one = train_state(run, tokenise((TEXTS,), GOLD, model.tokenizer))
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
    rates = one.groups
    assert {own.peak for own in rates} == {1e-3, one.run.settings.head_lr}
    seen = sorted({own.factor(0) for own in rates})
    assert seen == [0.125, 0.25, 0.5, 1.0]  # embeddings, layers 0 to 2, and the head
    one, _, _ = tuned(tmp_path / "b", unfreeze=0.9)
    rates = one.groups
    early, late = (sum(own.factor(share) > 0 for own in rates) for share in (0.05, 0.95))
    assert 0 < early < late == len(rates)


def test_l2_sp_is_weight_decay_towards_the_start(tmp_path):
    _, free, _ = tuned(tmp_path, epochs=6)
    _, held, _ = tuned(tmp_path / "b", epochs=6, l2_sp=500.0)
    assert sum(held.values()) < 0.5 * sum(free.values())
    one, moved, _ = tuned(tmp_path / "c", epochs=1, l2_sp=1 / 1e-3, decay="constant")
    assert max(moved.values()) == 0  # a pull of rate times strength = 1 goes all the way back
    decays = {kind: set() for kind in ("backbone", "head")}
    laid = segments([one.run])
    for names, group, decay in laid.members:
        decays[laid.kinds[group]].add(decay)
        assert (laid.kinds[group] == "backbone") == all(name in laid.anchors for name in names)
    assert decays == {"backbone": {(0.0,)}, "head": {(0.0,), (one.run.settings.weight_decay,)}}


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
    one = train_state(run, tokenise((TEXTS,), GOLD, model.tokenizer))
    keep = one.keep
    one.keep = lambda *given: (states.append(run.state()), keep(*given))
    train(Stack(model, method, [run]), [one], budget=60, eval_budget=60, source="eng-Latn")
    expected = {name: torch.stack([state[name] for state in states[:3]]).mean(0) for name in states[0]}
    for name, tensor in run.state().items():
        torch.testing.assert_close(tensor, expected[name])
    assert len(states) == 4  # the mean itself was scored last
    assert one.best_epoch == 3


OFF = dict.fromkeys(("slow_time", "slow_place", "fast_place"), False)
CONSTANTS = {"lower": 0.6, "upper": 0.3, "head_factor": 5.0}
SLOW = 0.2
CHANGES = {  # by policy: the factor at a place
    "slow_time": lambda _: 1,
    "slow_place": lambda where: SLOW if where.layer in {0, 1} or where.kind == "embeddings" else 1,
    "fast_place": lambda where: 5 if where.kind == "head" else 3 if where.layer == 2 else 1,
}


@pytest.mark.parametrize("subset", [(), *((name,) for name in CHANGES), ("slow_time", "fast_place"), tuple(CHANGES)])
@pytest.mark.parametrize("lower_factor", [0.0, SLOW])
def test_each_policy_changes_exactly_the_groups_it_names(subset, lower_factor, tmp_path):
    model = backbone(tmp_path)
    method = find("slow-fast")
    settings = method.settings(**OFF | dict.fromkeys(subset, True), **CONSTANTS, lower_factor=lower_factor)
    run = new_run(method, model.copy(), settings, seed=0, classes=3)
    groups = {}
    names = {id(weight): name for name, weight in run.part.masters.parameters_by_name().items()}
    for group in run.rates():
        where = WeightPlace(None, "head") if group.of == "head" else place(names[id(group.parameters[0])])
        assert all(group.of == "head" or place(names[id(one)]) == where for one in group.parameters)
        groups[where] = group
    assert ({0, 1} & {where.layer for where in groups} == set()) == ("slow_place" in subset and not lower_factor)
    for where, group in groups.items():
        for share in (0.0, 0.2, 0.9):
            expected = np.prod([CHANGES[name](where) for name in subset])
            assert group.factor(share) == pytest.approx(expected)


@pytest.mark.parametrize("policy", CHANGES)
def test_the_first_update_moves_each_place_by_its_factor(policy, tmp_path):
    """Adam's first step is the rate itself, whatever the gradient."""
    model = backbone(tmp_path)
    method = find("slow-fast")
    moved = {}
    for on in (False, True):
        more = {"weight_decay": 0.0, "warmup": 0.0, "lr": 1e-3, "batch_size": 5, "backbone_dropout": 0.0, "clip": 1e9}
        settings = method.settings(**OFF | {policy: on}, **CONSTANTS, **more, lower_factor=SLOW)
        own = model.copy()
        before = {name: weight.clone() for name, weight in own.model.named_parameters()}
        run = new_run(method, own, settings, seed=0, classes=3)
        head = run.head.weight.detach().clone()
        one = train_state(run, tokenise((TEXTS,), GOLD, model.tokenizer))
        Engine(Stack(own, method, [run]), [one], budget=500).update()
        moved[on] = {name: float((w.detach() - before[name]).abs().max()) for name, w in own.model.named_parameters()}
        moved[on]["head"] = float((run.head.weight.detach() - head).abs().max())
    for name, distance in moved[True].items():
        where = WeightPlace(None, "head") if name == "head" else place(name)
        if "word_embeddings" not in name:
            assert distance == pytest.approx(CHANGES[policy](where) * moved[False][name], rel=1e-2), name


def test_what_rests_has_no_moments(tmp_path):
    one, _, _ = tuned(tmp_path, rates={"layers.0": [0, 1], "head": [1, 0]}, phases=[0.5])
    steps, laid = {}, segments([one.run])
    for (_, group, _), count in zip(laid.members, one.optimizer["steps"].tolist(), strict=True):
        steps.setdefault(laid.kinds[group], set()).add(count)
    assert one.total == 8
    assert steps == {"backbone": {8, 4}, "head": {4}}


def test_places_that_are_none_are_refused(tmp_path):
    model = backbone(tmp_path)
    method = find("fine-tuning")
    for text in ("layersnorms", ".norms", "layers.", "layers.5-2", "layers.0.head", "heads"):
        with pytest.raises(ValueError, match="names no weights"):
            WeightSelection.parse(text)
    with pytest.raises(IsoglossError, match=r"rates.layers.3 is of no weights of .*layers 0 to 2"):
        method.check(model, method.settings(rates={"layers.3": 0}))
    method.check(model, method.settings(rates={"layers.2": 0, "head": 2, "backbone": 1, "norms": 0.5}))


def test_without_its_policies_slow_and_fast_is_fine_tuning(tmp_path):
    _, _, plain = tuned(tmp_path)
    _, _, same = tuned(tmp_path / "b", "slow-fast", **OFF)
    assert plain.keys() == same.keys()
    for name, tensor in plain.items():
        assert same[name].equal(tensor), name
    _, moved, stored = tuned(tmp_path / "c", "slow-fast", lower_factor=0.0)
    assert {place(name).layer for name in stored} == {2}
    assert moved["embeddings.LayerNorm.weight"] == 0


def test_the_trend_begins_with_the_backbone(tmp_path):
    one, _, _ = tuned(tmp_path, epochs=5, rates={"backbone": [0, 1]}, phases=[0.5])
    assert one.optimizer["trend.seen"] == one.total // 2


@pytest.mark.parametrize(
    "settings",
    [
        {"drift": 1.0},
        {"unfreeze": 0.8, "layer_decay": 0.7, "rates": {"norms": [1, 0]}, "phases": [0.5], "slow_place": False},
    ],
)
def test_stopping_in_the_middle_of_a_schedule_changes_nothing(tmp_path, settings):
    model = backbone(tmp_path)
    features = tokenise((TEXTS,), GOLD, model.tokenizer)
    method = find("slow-fast")
    common = {"epochs": 4, "batch_size": 5, "lr": 1e-3}

    def start():
        own = model.copy()
        run = new_run(method, own, method.settings(**common | settings), seed=0, classes=3)
        return Stack(own, method, [run]), train_state(run, features)

    stack, whole = start()
    train(stack, [whole], budget=60, eval_budget=60, source="eng-Latn")
    for steps in (5, 9):  # before the mean begins, and in it
        stack, first = start()
        kept = Checkpoints([tmp_path / f"{steps}.safetensors"], ["same"], minutes=9.0)

        def stop(_tokens, _updates, first=first, kept=kept, steps=steps):
            if first.step == steps:
                kept.save([first])
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(stack, [first], budget=60, eval_budget=60, source="eng-Latn", after_update=stop)
        stack, second = start()
        kept.load([second])
        assert second.step == steps
        assert second.optimizer.keys() == first.optimizer.keys()
        assert all(second.optimizer[name].equal(tensor) for name, tensor in first.optimizer.items())
        train(stack, [second], budget=60, eval_budget=60, source="eng-Latn")
        for name, tensor in whole.run.state().items():
            assert second.run.state()[name].equal(tensor), name
