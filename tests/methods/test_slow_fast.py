"""Slow and fast: each policy is a switch of what fine-tuning does; what was written before is told or still read."""

import json

import pytest

from isogloss import api
from isogloss.errors import IsoglossError
from isogloss.experiment.cells import cells
from isogloss.methods.registry import find
from isogloss.methods.settings import Drift, MeanOfUpdates
from isogloss.methods.slow_fast import FORMS
from isogloss.preprocessing.tokenize import tokenise
from isogloss.run_directory.cell import file_sha256
from isogloss.spec import Spec, check
from isogloss.training.loop import train
from isogloss.training.run import new_run
from isogloss.training.stack import Stack
from models import WORDS, backbone, checkpoint, sib200, train_state

TEXTS = [" ".join(WORDS[(3 * i + j * j) % len(WORDS)] for j in range(2 + i % 5)) for i in range(20)]
GOLD = [i % 3 for i in range(20)]
OFF = dict.fromkeys(("slow_time", "slow_place", "fast_place"), False)
# What main wrote of a cell before there were these policies.
BEFORE = {
    "slow_time": True, "slow_place": True, "fast_place": True, "fast_time": True, "late": 0.5, "tail": 0.5,
    "lower": 0.5, "lower_factor": 0.3, "upper": 0.5, "upper_factor": 3.0, "head_factor": 3.0, "head_alone": 0.1,
}  # fmt: skip


def trained(model, name, **settings):
    method, own = find(name), model.copy()
    common = {"epochs": 3, "batch_size": 5, "lr": 1e-3}
    run = new_run(method, own, method.settings(**common | settings), seed=0, classes=3)
    one = train_state(run, tokenise((TEXTS,), GOLD, model.tokenizer))
    train(Stack(own, method, [run]), [one], budget=60, eval_budget=60, source="eng-Latn")
    return run.state(), one.history


ALONE = "for the head alone at first `rates: {backbone: [0, 1]}, phases: [%s]`"
MEAN = "`select: {mean: %s}`, over updates and not epochs"
HALF = {"rates": {"embeddings": 0.3, "layers.0-1": 0.3}}
FAST = {"rates": {"head": 3.0, "layers.1-2": 3.0}}  # half of three layers is two


@pytest.mark.parametrize(
    ("policies", "plain"),
    [
        (OFF | {"drift": 9.0}, {}),  # the penalty is one of the policies
        (OFF | {"slow_time": True}, {"select": {"mean": 0.5, "every": 4}}),
        (OFF | {"slow_time": True, "select": {"mean": 1, "every": 1}}, {"select": {"mean": 1, "every": 1}}),
        (OFF | {"slow_place": True}, HALF),
        (OFF | {"slow_place": True, "lower_factor": 1.0, "drift": 1.0}, {"drift": 1.0}),
        (OFF | {"fast_place": True}, FAST),
        ({"drift": 1.0, "lower_factor": 1.0}, FAST | {"select": {"mean": 0.5}, "drift": 1.0}),
    ],
)
def test_each_policy_is_a_setting_of_fine_tuning(policies, plain, tmp_path):
    """None of them is fine-tuning itself, to the bit."""
    model = backbone(tmp_path)
    (ours, history), (wanted, same) = trained(model, "slow-fast", **policies), trained(model, "fine-tuning", **plain)
    assert history == same
    assert ours.keys() == wanted.keys()
    assert all(ours[name].equal(tensor) for name, tensor in wanted.items())


def test_the_forms_are_those_that_were_found():
    assert list(FORMS) == ["D", "B", "F"]  # the slowest first
    settings = {name: check(find("slow-fast").settings, form, where=name) for name, form in FORMS.items()}
    for one in settings.values():
        assert (one.lr, one.head_lr * one.head_factor, one.epochs) == (1e-4, 3e-2, 6)
        assert (one.warmup, one.decay) == (0.1, "linear")
        assert (one.kept, one.upper_factor, one.attention_dropout) == (MeanOfUpdates(mean=0.5, every=4), 3.0, 0.0)
    slow = {
        name: (one.hidden_dropout, one.holds, one.embeddings, one.lower_factor if one.slow_place else 1.0)
        for name, one in settings.items()
    }
    assert slow == {
        "D": (0.3, None, False, 0.3), "B": (0.3, Drift(1.0, None), True, 1.0), "F": (0.1, None, True, 1.0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fast_time": False}, "fast_time any more; leave it out"),
        ({"late": 0.5, "fast_time": False}, "fast_time or late any more; leave it out"),
        ({"tail": 0.25}, f"tail any more; write {MEAN % 0.25}, or leave it out"),
        ({"head_alone": 0.2}, f"head_alone any more; write {ALONE % 0.2}, or leave it out"),
        (
            {"fast_time": True, "tail": [0.5, 1.0]},
            f"fast_time or tail any more; write {MEAN % 0.5}, and {ALONE % 0.1}, or leave it out",
        ),
    ],
)
def test_a_spec_of_before_is_told_what_to_write(given, message):
    spec = {"name": "a", "task": "sib200", "methods": {"m": {"method": "slow-fast", "embeddings": True, **given}}}
    with pytest.raises(IsoglossError) as told:
        cells(check(Spec, spec, where="a"))
    assert str(told.value) == f"methods.m: there is no {message}"


def test_a_run_of_before_opens_predicts_and_exports(tmp_path):
    spec = Spec(
        name="old", task="sib200", data={"path": sib200(tmp_path / "data", ("eng_Latn", "deu_Latn"))},
        backbone=str(checkpoint(tmp_path / "model")),
        methods={"slow-fast": {"epochs": 1, "batch_size": 8, "lower_factor": 0.0}},
    )  # fmt: skip
    out = tmp_path / "old"
    api.run(spec, out)
    wanted = list(api.load(out).predict(["the cat sat", "two small dogs"]))
    folder = out / "weights" / "slow-fast" / "0"
    record = json.loads((folder / "run.json").read_text())
    settings = record["facts"]["settings"]
    record["facts"]["settings"] = {**settings, **BEFORE, "lower_factor": 0.0}
    (folder / "run.json").write_text(json.dumps(record))
    stored, gone = (out / "spec.yaml").read_text(), "fast_time: true\n    tail: 0.5\n    "
    (out / "spec.yaml").write_text(stored.replace("fast_place: true", f"{gone}fast_place: true"))
    results = api.open_run(out)
    assert "slow-fast" in str(results.scores)
    results.report()
    results.analyze("representation")
    assert list(api.load(out).predict(["the cat sat", "two small dogs"])) == wanted
    api.export(out, tmp_path / "there", to="transformers")
    with pytest.raises(IsoglossError, match="settings.fast_time"):
        api.run(spec, out)
    more = spec.model_copy(update={"methods": {"linear-probe": {"epochs": 1}}})
    assert set(api.run(more, out).scores["method"]) == {"slow-fast", "linear-probe"}
    assert json.loads((folder / "run.json").read_text()) == record
    assert file_sha256(folder / "weights.safetensors") == record["weights_sha256"]
